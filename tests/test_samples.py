"""The samples keep what data/samples/README.md says, and the job files that use them load."""

from __future__ import annotations

import base64
import io
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pypdfium2
import pytest
from PIL import Image

from parquill.job import load_job
from parquill.prompts import UserText

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "data" / "samples"
PICTURES = SAMPLES / "pictures"
DOCUMENTS = SAMPLES / "documents"
BROKEN = "pictures/broken.jpg"


@pytest.fixture(scope="module")
def manifest() -> pa.Table:
    return pq.read_table(SAMPLES / "manifest.parquet")


@pytest.fixture(scope="module")
def rows(manifest: pa.Table) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = manifest.to_pylist()
    return rows


def _values(rows: list[dict[str, Any]]) -> list[str]:
    return [value for row in rows for value in row["image_url"] or ()]


def _local(rows: list[dict[str, Any]]) -> set[str]:
    return {value for value in _values(rows) if not value.startswith(("https:", "data:"))}


def _files() -> list[Path]:
    return sorted(path for path in PICTURES.iterdir() if path.suffix != ".md")


def test_there_are_at_least_forty_rows_each_with_its_own_id(rows: list[dict[str, Any]]) -> None:
    assert len(rows) >= 40
    assert len({row["id"] for row in rows}) == len(rows)


def test_only_the_picture_column_has_nulls(manifest: pa.Table) -> None:
    assert [name for name in manifest.column_names if manifest[name].null_count] == ["image_url"]


def test_prompts_are_in_at_least_five_languages(rows: list[dict[str, Any]]) -> None:
    questions: dict[str, set[str]] = {}
    for row in rows:
        questions.setdefault(row["language"], set()).add(row["question"])
    assert len(questions) >= 5
    for language, own in questions.items():
        others = set().union(*(said for name, said in questions.items() if name != language))
        assert not own & others, f"the questions in {language} are those of another language"


def test_rows_with_two_pictures_with_none_and_with_a_data_url_are_there(rows: list[dict[str, Any]]) -> None:
    assert any(len(row["image_url"] or ()) == 2 for row in rows)
    assert any(row["image_url"] is None for row in rows)
    assert any(row["image_url"] == [] for row in rows)
    assert any(value.startswith("data:image/jpeg;base64,") for value in _values(rows))


def test_the_data_url_holds_a_picture(rows: list[dict[str, Any]]) -> None:
    (value,) = [value for value in _values(rows) if value.startswith("data:")]
    with Image.open(io.BytesIO(base64.b64decode(value.partition(",")[2], validate=True))) as image:
        image.load()
        assert image.format == "JPEG"


def test_exactly_two_rows_are_alike_in_all_but_the_id(rows: list[dict[str, Any]]) -> None:
    alike = Counter(repr({**row, "id": None}) for row in rows)
    assert sorted(alike.values())[-2:] == [1, 2]


def test_few_rows_need_the_web(rows: list[dict[str, Any]]) -> None:
    online = [value for value in _values(rows) if value.startswith("https:")]
    assert 1 <= len(online) <= len(rows) // 10


def test_exactly_one_row_holds_the_broken_picture(rows: list[dict[str, Any]]) -> None:
    assert sum(BROKEN in (row["image_url"] or ()) for row in rows) == 1


def test_the_broken_picture_opens_but_cannot_be_decoded() -> None:
    with Image.open(SAMPLES / BROKEN) as image:
        assert image.format == "JPEG"
        with pytest.raises(OSError, match="truncated"):
            image.load()


def test_every_local_picture_is_a_file_below_the_manifest(rows: list[dict[str, Any]]) -> None:
    for value in _local(rows):
        path = (SAMPLES / value).resolve()
        assert path.is_file()
        assert path.is_relative_to(SAMPLES)


def test_every_picture_file_is_used(rows: list[dict[str, Any]]) -> None:
    assert {path.relative_to(SAMPLES).as_posix() for path in _files()} == _local(rows)


@pytest.mark.parametrize("path", [path for path in _files() if path.name != "broken.jpg"], ids=lambda path: path.name)
def test_a_picture_is_small_opens_and_carries_no_camera_data(path: Path) -> None:
    assert path.stat().st_size <= 60_000
    with Image.open(path) as image:
        image.load()
        assert image.format == {".jpg": "JPEG", ".png": "PNG"}[path.suffix]
        assert max(image.size) <= 640
        assert not image.getexif()


def test_there_are_at_least_ten_pictures_and_no_two_are_the_same() -> None:
    contents = {path.read_bytes() for path in _files()}
    assert len(contents) == len(_files()) >= 11


def test_every_picture_file_has_an_author_and_a_licence() -> None:
    table = (PICTURES / "LICENSES.md").read_text(encoding="utf-8")
    noted = {
        row[0].strip("`"): row
        for row in ([cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines())
        if re.fullmatch(r"`[^`]+\.(jpg|png)`", row[0])
    }
    assert set(noted) == {path.name for path in _files()}
    for name, (_, what, author, licence, _changes) in noted.items():
        assert what, name
        assert author, name
        assert licence in {"CC0", "CC BY 2.0", "public domain"}, name


def test_the_samples_are_less_than_two_and_a_half_megabytes() -> None:
    assert sum(path.stat().st_size for path in SAMPLES.rglob("*") if path.is_file()) < 2_500_000


@pytest.mark.parametrize(
    ("name", "pages", "words"),
    [
        ("letter.pdf", 1, "Käthe Brümmer"),
        ("invoice.pdf", 2, "INVOICE NL-2026-0417"),
        ("handbook.pdf", 12, "portafilter"),
    ],
)
def test_a_document_has_its_pages_and_a_text_layer(name: str, pages: int, words: str) -> None:
    with pypdfium2.PdfDocument(DOCUMENTS / name) as document:
        assert len(document) == pages
        page = document[0]
        text = page.get_textpage()
        assert words in text.get_text_range()
        text.close()
        page.close()


def test_a_row_of_the_documents_has_a_file_or_a_text() -> None:
    rows = pq.read_table(DOCUMENTS / "documents.parquet").to_pylist()
    assert len({row["id"] for row in rows}) == len(rows)
    for row in rows:
        assert (row["document"] is None) != (row["text"] is None)
    named = {row["document"] for row in rows if row["document"]}
    assert named == {path.name for path in DOCUMENTS.glob("*.pdf")}


@pytest.mark.parametrize("name", ["caption", "tag"])
def test_a_job_file_loads_and_has_a_prompt_for_every_row_of_its_manifest(name: str) -> None:
    job = load_job(ROOT / "configs" / f"{name}.yaml", environ={})
    table = pq.read_table(ROOT / job.manifest.path)
    text = UserText(job, table.column_names)
    for row in table.to_pylist():
        assert "None" not in text.render(row)
    columns = (job.manifest.id_column, *job.manifest.image_columns, *job.manifest.document_columns)
    assert set(columns) <= set(table.column_names)


CODES = {
    "English": "en",
    "Deutsch": "de",
    "Français": "fr",
    "Español": "es",
    "Português": "pt",
    "中文": "zh",
    "العربية": "ar",
    "हिन्दी": "hi",
    "日本語": "ja",
    "Kiswahili": "sw",
}


def test_the_schema_can_name_every_language_of_the_manifest(rows: list[dict[str, Any]]) -> None:
    schema = json.loads((ROOT / "configs" / "schemas" / "caption.json").read_text(encoding="utf-8"))
    assert {CODES[row["language"]] for row in rows} <= set(schema["properties"]["language"]["enum"])


@pytest.mark.parametrize("name", ["caption", "tag"])
def test_a_job_file_fits_a_page_and_explains_itself(name: str) -> None:
    lines = (ROOT / "configs" / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 60
    assert sum("#" in line for line in lines) >= 15


def test_the_sample_jobs_have_a_hard_cap() -> None:
    for name in ("caption", "tag"):
        assert load_job(ROOT / "configs" / f"{name}.yaml", environ={}).budget.usd is not None
