from __future__ import annotations

import base64
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from parquill.errors import ManifestError
from parquill.init_job import starter_job
from parquill.job import Job, load_job
from parquill.job.syntax import parse


def written(folder: Path, **columns: pa.Array) -> Job:
    """A manifest's starter job, read back as a job."""
    pq.write_table(pa.table(columns), folder / "goods.parquet")
    return Job.model_validate(yaml.safe_load(starter_job(str(folder / "goods.parquet"))))


def test_a_starter_job_loads_and_names_id_pictures_and_a_prompt(tmp_path: Path) -> None:
    job = written(
        tmp_path,
        title=pa.array(["a", "b", "b"]),
        sku=pa.array(["x1", "x2", "x3"]),
        photo=pa.array(["a.jpg", "https://example.org/b.png", None]),
    )
    assert job.manifest.id_column == "sku"
    assert job.manifest.image_columns == ("photo",)
    assert "{{ title or '' }}" in str(job.prompt.user)


def test_a_column_of_bare_base64_holds_pictures_or_documents(tmp_path: Path) -> None:
    drawing = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(60)).decode()
    pages = base64.b64encode(b"%PDF-1.7\n" + bytes(60)).decode()
    job = written(tmp_path, id=pa.array([1, 2]), drawn=pa.array([drawing, None]), pages=pa.array([pages, pages]))
    assert (job.manifest.image_columns, job.manifest.document_columns) == (("drawn",), ("pages",))


def test_a_column_called_prompt_is_taken_as_it_is(tmp_path: Path) -> None:
    job = written(tmp_path, id=pa.array([1, 2]), prompt=pa.array(["Say a.", "Say b."]))
    assert (job.prompt.user_column, job.prompt.user) == ("prompt", None)


def test_a_column_that_merely_happens_to_be_unique_is_no_id_and_is_said(tmp_path: Path) -> None:
    path = tmp_path / "small.parquet"
    pq.write_table(pa.table({"label": ["cat", "dog"], "text": ["x", "x"]}), path)
    text = starter_job(str(path))
    assert yaml.safe_load(text)["manifest"].get("id_column") is None
    assert "# id_column: label" in text
    assert "row" in text


@pytest.mark.parametrize("name", ["ID", "product_id", "itemId", "SKU", "order no", "img.key"])
def test_an_id_is_known_by_its_name(name: str, tmp_path: Path) -> None:
    job = written(tmp_path, title=pa.array(["a", "b"]), **{name: pa.array([7, 8])})
    assert job.manifest.id_column == name


def test_an_id_is_known_by_how_it_is_written(tmp_path: Path) -> None:
    values = ["0f8fad5b-d9cb-469f-a165-70867728950e", "7c9e6679-7425-40de-944b-e07fc1f90ae7"]
    assert written(tmp_path, title=pa.array(["a", "b"]), ref=pa.array(values)).manifest.id_column == "ref"


@pytest.mark.parametrize("name", ["paid", "monkey", "valid", "casino"])
def test_words_that_end_like_an_id_are_none(name: str, tmp_path: Path) -> None:
    assert written(tmp_path, **{name: pa.array(["a", "b"])}).manifest.id_column is None


def test_no_id_is_named_where_none_is_unique(tmp_path: Path) -> None:
    job = written(tmp_path, id=pa.array(["a", "a"]), text=pa.array(["x", "x"]))
    assert job.manifest.id_column is None


def test_pictures_as_structs_and_documents_are_seen(tmp_path: Path) -> None:
    job = written(
        tmp_path,
        image=pa.array([{"bytes": b"\xff\xd8\xff", "path": "a.jpg"}]),
        paper=pa.array(["papers/letter.pdf"]),
    )
    assert job.manifest.image_columns == ("image",)
    assert job.manifest.document_columns == ("paper",)


def test_column_names_that_yaml_would_misread_are_quoted(tmp_path: Path) -> None:
    assert written(tmp_path, **{"no": pa.array(["k1", "k2"]), "text": pa.array(["x", "x"])}).manifest.id_column == "no"


def test_a_missing_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"gone\.parquet"):
        starter_job(str(tmp_path / "gone.parquet"))


@pytest.mark.parametrize(
    ("cells", "required"),
    [(["a.jpg", "b.jpg"], True), (["a.jpg", None], False), (["a.jpg", "b.jpg", ""], False), ([["a.jpg"], []], False)],
)
def test_pictures_are_required_where_no_row_that_was_looked_at_lacks_one(
    cells: list[object], required: bool, tmp_path: Path
) -> None:
    job = written(tmp_path, id=pa.array(range(len(cells))), photo=pa.array(cells))
    assert job.manifest.image_columns == ("photo",)
    assert job.images.required is required


def test_a_document_is_as_good_as_a_picture(tmp_path: Path) -> None:
    job = written(tmp_path, photo=pa.array(["a.jpg", "b.jpg", None]), paper=pa.array([None, None, "c.pdf"]))
    assert job.images.required


ODD = [
    "a\nmodel: {endpoint: http://evil.example}",
    "b\x1b]0;gone\x07",
    "c\u202egpj",
    "d\u2028e",
    "f\x85g",
    "h: # i",
    "'j\"",
    "${HOME}",
    "größe 圖",
]


def test_names_that_mean_harm_stay_names(tmp_path: Path) -> None:
    path = tmp_path / "x\nbudget: {usd: 9}\x1b[2J\u202e.parquet"
    columns = {name: ["https://a.example/x.png", "https://a.example/y.png"] for name in ODD}
    pq.write_table(pa.table({"id\n# x": ["1", "2"], **columns}), path)
    text = starter_job(str(path))
    assert all(sign == "\n" or sign.isprintable() for sign in text)
    assert "\u202e" not in text
    job = load_job(parse(text), environ={})
    assert (job.manifest.path, job.manifest.image_columns) == (str(path), tuple(ODD))
    assert job.model.endpoint == "openrouter"
    assert str(job.budget.usd) == "1.00"
