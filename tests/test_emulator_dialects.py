"""Servers at home, as far as they are documented: what they say otherwise, and jobs that run there all the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from parquill.doctor import Health, examine
from parquill.emulator import PROFILES, Emulator, EmulatorSettings
from parquill.job import Job, load_job
from parquill.running import run_job
from tests.e2e.kit import ROOT, rehearsal, rows
from tests.emulator_calls import Caller, calling

HOMES = ("ollama", "lmstudio")
PICTURE = "https://pictures.example/1.jpg"


@pytest.fixture(params=HOMES)
def home(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def caller(home: str) -> AsyncIterator[Caller]:
    async with calling(**PROFILES[home]) as ready:
        yield ready


def model_of(home: str) -> str:
    return str(PROFILES[home]["models"][0])


async def test_an_answer_has_openais_fields_no_cost_and_needs_no_key(caller: Caller, home: str) -> None:
    said = (await caller.ask(model=model_of(home), key=None)).json
    assert set(said["usage"]) == {"prompt_tokens", "completion_tokens", "total_tokens"}
    assert not {"provider", "service_tier"} & set(said)
    assert "native_finish_reason" not in said["choices"][0]
    assert said["id"].startswith("chatcmpl-")
    assert said["system_fingerprint"] == {"ollama": "fp_ollama", "lmstudio": model_of(home)}[home]


async def test_models_are_listed_by_name_alone(caller: Caller, home: str) -> None:
    listed = (await caller.get("/models", key=None)).json
    assert listed["object"] == "list"
    assert [one["id"] for one in listed["data"]] == [model_of(home)]
    assert not {"pricing", "context_length"} & set(listed["data"][0])


async def test_a_path_that_is_not_there_is_said_in_each_ones_way() -> None:
    async with calling(**PROFILES["ollama"]) as caller:
        reply = await caller.get("/models/gemma3:4b/endpoints")
        assert (reply.status, reply.raw) == (404, b"404 page not found")
    async with calling(**PROFILES["lmstudio"]) as caller:
        reply = await caller.get("/models/gemma-3-4b-it/endpoints")
        assert (reply.status, reply.error[:38]) == (200, "Unexpected endpoint or method. (GET /v")


async def test_pictures_by_address_are_refused(caller: Caller, home: str) -> None:
    reply = await caller.show(PICTURE, model=model_of(home))
    assert reply.status == 400
    assert (
        reply.error
        == {
            "ollama": {"message": "invalid image input", "type": "invalid_request_error", "param": None, "code": None},
            "lmstudio": "'url' field must be a base64 encoded image.",
        }[home]
    )


async def test_too_long_a_prompt_is_cut_without_a_word_or_refused_in_words() -> None:
    async with calling(**PROFILES["ollama"]) as caller:
        said = await caller.ask("word " * 20_000, model="gemma3:4b", max_tokens=192)
        assert (said.status, said.json["usage"]["prompt_tokens"]) == (200, 8_000)
    async with calling(**PROFILES["lmstudio"]) as caller:
        said = await caller.ask("word " * 20_000, model="gemma-3-4b-it")
        assert said.status == 400
        assert "exceed_context_size_error" in said.error


@pytest.fixture
async def served(home: str) -> AsyncIterator[Emulator]:
    async with Emulator(EmulatorSettings.of_profile(home)) as running:
        yield running


def local_job(served: Emulator, home: str, folder: Path) -> Job:
    """The project's own job for such a server, with what docs/local-models.md changes in it; no row needs the web."""
    sample = pq.read_table(ROOT / "data" / "samples" / "manifest.parquet")
    near = ["https://" not in str(addresses) for addresses in sample.column("image_url").to_pylist()]
    pq.write_table(sample.filter(pa.array(near)), folder / "sample.parquet")
    changes = {
        "model.endpoint": served.base_url.replace("/api/v1", "/v1"),
        "model.name": model_of(home),
        "manifest.path": str(folder / "sample.parquet"),
        "images.root": str(ROOT / "data" / "samples"),
        "output.path": str(folder / "out"),
    }
    return load_job(ROOT / "configs" / "local.yaml", changes)


async def test_the_local_job_of_the_docs_runs_there(
    served: Emulator, home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)  # where the schema's path begins
    summary = await run_job(local_job(served, home, tmp_path))
    assert summary.rows.total > 30
    assert summary.rows.ok == summary.rows.total - 1, "one of the sample's pictures is broken"
    assert summary.cost_pico == 0
    assert summary.tokens.prompt > 256 * summary.rows.ok
    assert served.stats().requests == summary.requests


async def test_the_doctor_finds_its_way(
    served: Emulator, home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    found = await examine(local_job(served, home, tmp_path))
    assert found.exit_status == 0, found.findings
    assert {one.subject: one.health for one in found.findings} == {
        "endpoint": Health.WORKS,
        "model": Health.WORKS,
        "usage": Health.WORKS,
        "answers": Health.WORKS,
        "pictures as data: URL": Health.WORKS,
        "price": Health.WORKS,
        "context": Health.MIND,
    }


async def test_a_model_that_it_does_not_have_stops_the_run(served: Emulator, home: str, tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as run:
        run.write(rows(3))
        model = {"endpoint": served.base_url, "name": "nobody/knows", "price": {"prompt": "0", "completion": "0"}}
        summary = await run.run(model=model)
        assert summary.exit_status == 5
        assert run.column("status") == ["not_attempted"] * 3


async def test_rows_too_long_fail_at_one_and_pass_cut_at_the_other(served: Emulator, home: str, tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as run:
        run.write({"id": ["short", "long"], "text": ["Say a word.", "word " * 20_000]})
        model = {"endpoint": served.base_url, "name": model_of(home), "price": {"prompt": "0", "completion": "0"}}
        await run.run(model={**model, "max_tokens": 64})
        kinds = run.column("error_kind")
        assert kinds == {"ollama": [None, None], "lmstudio": [None, "context_overflow"]}[home]
        if home == "ollama":
            assert run.column("prompt_tokens")[1] == 8_192 - 64, "nothing but the count tells of it"
