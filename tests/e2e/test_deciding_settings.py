"""Every setting of the schema, changed alone on a finished output: it asks the rows concerned, or none."""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pydantic
import pytest
from tokenizers import Tokenizer, models

from parquill.estimation import estimate_job
from parquill.job import Job, Role, Setting, load_job, settings_of
from parquill.planning import RunOptions
from parquill.running import run_job
from parquill.verification import verify_job
from tests.e2e.kit import Rehearsal, rehearsal
from tests.hostile_files import PNG, noise, saved
from tests.pdfs import pdf

SETTINGS = {one.name: one for one in settings_of(Job)}
OF_ITS_OWN = {"name", "output.path"}
"""A job under another name is refused, another output begins empty."""

ROWS = {"text", "bytes", "path", "link", "both", "paper"}
LOOKED_AT = {"bytes", "path", "both", "paper"}
"""Rows with a picture or pages that are opened here."""

GIVEN: dict[str, Any] = {
    "manifest.path": "copy.parquet",
    "manifest.id_column": "code",
    "manifest.image_columns": ["place", "front"],
    "manifest.document_columns": ["paper", "more"],
    "manifest.keep_columns": ["text"],
    "prompt.user": "{{ text }}, and {{ text }}",
    "prompt.user_column": "said",
    "prompt.examples": [{"user": "one", "answer": "two"}],
    "output.schema": {"type": "object", "properties": {"tag": {"type": "string"}}, "required": ["tag"]},
    "output.functions": [{"name": "save"}],
    "output.mode": "prompt",
    "output.reuse_from": ["out"],
    "model.name": "google/gemma-3-12b-it",
    "model.fallback_models": ["google/gemma-3-12b-it"],
    "model.endpoint": "http://localhost:1/v1",
    "model.endpoints": [{"base_url": "http://localhost:1/v1"}],
    "model.api_key_env": "PARQUILL_TEST_KEY",
    "model.tokenizer": "tokenizer.json",
    "images.root": "elsewhere",
    "images.deny_hosts": ["pictures.example"],
    "images.max_side": 448,
    "images.allow_private": ["10.1.0.0/16"],
    "images.cache": "cache",
    "images.allow_buckets": ["s3://pictures"],
    "images.max_bytes": 1_000_000,
    "documents.pages": "1",
    "budget.timezone": "Europe/Berlin",
    "nightly.timezone": "Europe/Berlin",
    "network.proxy": "none",
    "nightly.until": "05:30",
    "nightly.notify.webhook": "https://hooks.example/1",
}
"""Values that no type can give: names of columns and files, addresses, times."""

CONCERNED = {
    "manifest.image_columns": {"both"},
    "manifest.document_columns": {"both"},
    "images.root": {"path"},
    "images.required": {"text"},
    "images.allow_hosts": {"link", "both"},
    "images.deny_hosts": {"link", "both"},
    "images.allow_ports": set(),
    "images.allow_buckets": set(),
    "images.allow_private": set(),
    "images.max_bytes": set(),
}
"""Rows whose own text, pictures or documents another value makes others."""

REFUSED = {"images.required", "images.allow_hosts", "images.deny_hosts"}
"""What another value of these makes of a row is refused here: no request is sent for it."""


def test_every_setting_says_whether_it_decides() -> None:
    assert not [name for name, one in SETTINGS.items() if one.role is None]


def another(one: Setting) -> Any:
    """A value of the setting's own type that is not the one it has."""
    if one.name in GIVEN:
        return GIVEN[one.name]
    model: type[pydantic.BaseModel] = Job
    for name in one.fields[:-1]:
        kind = model.model_fields[name].annotation
        assert isinstance(kind, type)
        model = kind
    info = model.model_fields[one.fields[-1]]
    adapter: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(Annotated[info.annotation, one.role, *info.metadata])
    for value in _values(adapter.json_schema()):
        try:
            if adapter.validate_python(value) != one.default:
                return value
        except pydantic.ValidationError:
            continue
    pytest.fail(f"{one.name}: no other value of its type is found; name one in GIVEN")


def _values(schema: dict[str, Any]) -> Iterator[Any]:
    """Values of a JSON Schema, the plainest first."""
    for inner in schema.get("anyOf", []):
        yield from _values({**inner, "$defs": schema.get("$defs", {})})
    if "$ref" in schema:
        yield from _values(schema["$defs"][schema["$ref"].rpartition("/")[2]])
    yield from schema.get("enum", [])
    match schema.get("type"):
        case "boolean":
            yield from (True, False)
        case "integer" | "number":
            least = schema.get("minimum", schema.get("exclusiveMinimum", 0))
            for step in (7, 1, 0.5):
                yield least + step
        case "string":
            yield from ("x", "1")
        case "array":
            yield from ([item] for item in itertools.islice(_values(schema["items"]), 3))
        case "object":
            known = {name: next(_values(inner), None) for name, inner in schema.get("properties", {}).items()}
            yield known or {"sort": "price"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a manifest of one row of each kind, and its finished output."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "picture.png").write_bytes(saved(noise(50, 50), "PNG"))
    (folder / "picture.png").write_bytes(PNG)
    Tokenizer(models.WordLevel({"a": 0, "?": 1}, unk_token="?")).save(str(folder / "tokenizer.json"))
    link, paper = "https://pictures.example/1.png", pdf(["One", "Two"])
    columns = {
        "id": ["text", "bytes", "path", "link", "both", "paper"],
        "code": [*range(6)],
        "text": [f"What is shown at {number}?" for number in range(6)],
        "said": [f"What is to be seen at {number}?" for number in range(6)],
        "front": pa.array([None, PNG, None, None, PNG, None], pa.binary()),
        "place": [None, None, "picture.png", link, link, None],
        "paper": pa.array([None, None, None, None, None, paper], pa.binary()),
        "more": pa.array([None, None, None, None, paper, None], pa.binary()),
    }
    for name in ("manifest.parquet", "copy.parquet"):
        pq.write_table(pa.table(columns), folder / name)
    asyncio.run(_finish(folder))
    return folder


async def _finish(folder: Path) -> None:
    async with rehearsal(folder, sections=SECTIONS) as run:
        for name in ("", "output.mode"):
            summary = await run_job(load_job(source(run, name)))
            assert (summary.requests, summary.rows.ok) == (6, 6)


SECTIONS = {
    "manifest": {
        "image_columns": ["front", "place"],
        "document_columns": ["paper"],
        "keep_columns": ["id", "code", "text"],
    },
    "output": {"rows_per_part": 4},
}


def source(run: Rehearsal, name: str) -> dict[str, Any]:
    """The job as it was before a setting changes; a mode needs a schema."""
    job = run.source(images={"cache": str(run.folder / "opened")})
    if name == "output.mode":
        job["output"] |= {"schema": GIVEN["output.schema"], "path": f"{run.output}-with-schema"}
    return {**job, "prompt": {"user": "{{ text }}"}}


def changed(job: dict[str, Any], one: Setting, folder: Path) -> dict[str, Any]:
    value = another(one)
    if one.name in ("manifest.path", "images.root", "images.cache", "model.tokenizer"):
        value = str(folder / value)
    elif one.name == "output.reuse_from":
        value = [str(folder / "out")]
    elif one.name == "model.endpoint":
        value = job["model"]["endpoint"].replace("127.0.0.1", "localhost")
    elif one.name == "model.endpoints":
        addresses = job["model"]["endpoint"], job["model"]["endpoint"].replace("127.0.0.1", "localhost")
        value = [{"base_url": one, "api_key_env": job["model"].get("api_key_env")} for one in addresses]
        job = {
            **job,
            "model": {key: old for key, old in job["model"].items() if key not in {"endpoint", "api_key_env"}},
        }
    job = json.loads(json.dumps(job))
    inner = job
    for name in one.name.split(".")[:-1]:
        inner = inner.setdefault(name, {})
    inner[one.name.rpartition(".")[2]] = value
    if one.name == "prompt.user_column":
        del job["prompt"]["user"]
    return job


def concerned(one: Setting) -> set[str]:
    """The rows that a change of the setting concerns, by what the docs say."""
    assert one.role is not None
    if not one.role.decides:
        return set()
    if one.role is Role.PICTURES:
        return LOOKED_AT
    return CONCERNED.get(one.name, ROWS)


@pytest.mark.parametrize("name", sorted(SETTINGS.keys() - OF_ITS_OWN))
async def test_a_changed_setting_asks_the_rows_concerned_and_no_other(
    name: str, finished: Path, tmp_path: Path
) -> None:
    folder, one = tmp_path / "job", SETTINGS[name]
    shutil.copytree(finished, folder)
    async with rehearsal(folder, sections=SECTIONS) as run:
        job = load_job(changed(source(run, name), one, folder))
        before = rows_in(job)
        told = await estimate_job(job)
        summary = await run_job(job, RunOptions(allow_shrink=True, replace=True))
        after = rows_in(job)
        expected = concerned(one)
        again = {row for row, cells in after.items() if cells["finished_at"] != before[row]["finished_at"]}
        assert again == expected
        refused = expected if name in REFUSED else set()
        assert (summary.requests, run.asked) == (len(expected - refused),) * 2
        assert (told.rows.todo, told.rows.failing) == (len(expected - refused), len(refused))
        assert (told.rows.kept, summary.rows.ok) == (len(ROWS - expected), len(ROWS - refused))
        if expected:  # else the run before sent nothing either
            assert (await run_job(job)).requests == 0
        await asyncio.to_thread(must_hold, job)


def rows_in(job: Job) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in pq.read_table(job.output.path).to_pylist()}


def must_hold(job: Job) -> None:
    found = verify_job(job)
    assert found.holds, found.findings
