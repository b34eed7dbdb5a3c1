"""`parquill doctor` against the emulator, with one ability after another taken away."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from parquill.doctor import Diagnosis, Health, examine, render_diagnosis
from parquill.doctor.listing import read_listing
from parquill.emulator import GEMMA_PARAMETERS, TOOL_PARAMETERS, Emulator, EmulatorSettings, Misbehaviour, read_log
from parquill.errors import ManifestError
from parquill.job import Job, load_job
from tests.e2e.kit import COMMAND, KEY_NAME, ROOT

SCHEMA = {
    "type": "object",
    "properties": {"tag": {"type": "string"}},
    "required": ["tag"],
    "additionalProperties": False,
}


@pytest.fixture
async def emulator(tmp_path: Path) -> AsyncIterator[Emulator]:
    async with Emulator(EmulatorSettings(log_path=tmp_path / "bill.jsonl")) as running:
        yield running


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "manifest.parquet"
    table = {
        "text": ["a", "b", "c"],
        "web": [None, "https://pictures.example/1.jpg", None],
        "file": [None, "x.jpg", ""],
    }
    pq.write_table(pa.table(table), path)
    return path


def job_at(base_url: str, manifest: Path, /, **sections: Any) -> Job:
    source: dict[str, Any] = {
        "name": "checked",
        "manifest": {"path": str(manifest)},
        "prompt": {"user_column": "text"},
        "output": {"path": str(manifest.parent / "out"), "schema": SCHEMA},
        "model": {"endpoint": base_url, "api_key_env": KEY_NAME},
    }
    for section, values in sections.items():
        source[section] = {**source.get(section, {}), **values}
    return load_job(source)


def health(diagnosis: Diagnosis) -> dict[str, Health]:
    """Subject -> health; the last word on a subject counts."""
    return {one.subject: one.health for one in diagnosis.findings}


async def test_a_good_endpoint_is_found_good_with_one_request(
    emulator: Emulator, manifest: Path, tmp_path: Path
) -> None:
    diagnosis = await examine(job_at(emulator.base_url, manifest))
    assert health(diagnosis) == dict.fromkeys(
        ["endpoint", "model", "usage", "answers", "price", "context"], Health.WORKS
    )
    assert diagnosis.requests == emulator.stats().requests == 1
    assert diagnosis.cost_pico == read_log(tmp_path / "bill.jsonl").billed_pico > 0
    assert diagnosis.exit_status == 0
    price = diagnosis.of("price")
    assert price is not None
    assert price.text == "$0.02 per million prompt tokens, $0.04 per million of the answer, from the endpoint"


async def test_nothing_is_written(emulator: Emulator, manifest: Path, tmp_path: Path) -> None:
    before = {path.name for path in tmp_path.iterdir()}
    await examine(job_at(emulator.base_url, manifest))
    assert {path.name for path in tmp_path.iterdir()} == before


async def test_both_forms_of_picture_are_tried_where_the_job_sends_both(emulator: Emulator, manifest: Path) -> None:
    diagnosis = await examine(job_at(emulator.base_url, manifest, manifest={"image_columns": ["web", "file"]}))
    found = health(diagnosis)
    assert found["pictures as http URL"] is found["pictures as data: URL"] is Health.WORKS
    assert diagnosis.requests == 3


async def test_refused_picture_urls_fail_and_name_the_way_out(emulator: Emulator, manifest: Path) -> None:
    emulator.change(fetches_urls=False)
    job = job_at(emulator.base_url, manifest, manifest={"image_columns": ["web"]})
    refused = (await examine(job)).of("pictures as http URL")
    assert refused is not None
    assert refused.health is Health.FAILS
    assert "images.send: inline" in refused.text
    inline = job_at(emulator.base_url, manifest, manifest={"image_columns": ["web"]}, images={"send": "inline"})
    diagnosis = await examine(inline)
    assert health(diagnosis)["pictures as data: URL"] is Health.WORKS
    assert diagnosis.of("pictures as http URL") is None
    assert diagnosis.can_run


async def test_the_best_remaining_output_mode_is_named(emulator: Emulator, manifest: Path) -> None:
    plain = [name for name in GEMMA_PARAMETERS if name not in ("structured_outputs", "response_format")]
    for parameters, output_mode in (
        (TOOL_PARAMETERS, "tools"),
        (("response_format",), "json_object"),
        ((), "prompt"),
    ):
        emulator.set_parameters(*plain, *parameters)
        diagnosis = await examine(job_at(emulator.base_url, manifest))
        answers = diagnosis.of("answers")
        assert answers is not None
        assert answers.text.startswith(output_mode)
        assert diagnosis.can_run


async def test_an_output_mode_that_the_job_names_and_the_endpoint_refuses_fails(
    emulator: Emulator, manifest: Path
) -> None:
    diagnosis = await examine(job_at(emulator.base_url, manifest, output={"mode": "tools"}))
    assert health(diagnosis)["answers"] is Health.FAILS
    assert diagnosis.exit_status == 5
    assert "tool use" in next(one.text for one in diagnosis.findings if one.subject == "answers")


async def test_plain_text_jobs_need_no_schema(emulator: Emulator, manifest: Path) -> None:
    diagnosis = await examine(job_at(emulator.base_url, manifest, output={"schema": None}))
    answers = diagnosis.of("answers")
    assert answers is not None
    assert answers.text == "plain text"


async def test_a_dead_key_is_said_once_and_nothing_more_is_sent(emulator: Emulator, manifest: Path) -> None:
    emulator.revoke_key()
    job = job_at(emulator.base_url, manifest, manifest={"image_columns": ["web"]})
    diagnosis = await examine(job)
    key = diagnosis.of("key")
    assert key is not None
    assert key.health is Health.FAILS
    assert KEY_NAME in key.text
    assert (diagnosis.requests, diagnosis.cost_pico, diagnosis.exit_status) == (1, 0, 5)


async def test_an_empty_account_refuses_the_job(emulator: Emulator, manifest: Path) -> None:
    emulator.set_credit(Decimal(0))
    diagnosis = await examine(job_at(emulator.base_url, manifest))
    assert diagnosis.exit_status == 5
    assert "credit" in diagnosis.findings[0].text.lower()


async def test_an_unknown_model_names_those_that_are_there(emulator: Emulator, manifest: Path) -> None:
    diagnosis = await examine(job_at(emulator.base_url, manifest, model={"name": "google/gemma-9"}))
    model = diagnosis.of("model")
    assert model is not None
    assert model.health is Health.FAILS
    assert "google/gemma-3-12b-it" in model.text


async def test_a_server_that_is_not_there_is_said_so(manifest: Path) -> None:
    diagnosis = await examine(job_at("http://127.0.0.1:9/v1", manifest))
    assert "is the server running?" in diagnosis.findings[0].text
    assert diagnosis.requests == 0  # none arrived: none is counted
    assert diagnosis.exit_status == 5


async def test_a_request_may_take_what_a_run_gives_it_and_no_longer(emulator: Emulator, manifest: Path) -> None:
    emulator.plan(Misbehaviour.STALL)
    diagnosis = await examine(job_at(emulator.base_url, manifest, retry={"deadline_seconds": 0.2}))
    assert "no whole reply within 0.2 s" in diagnosis.findings[0].text
    assert diagnosis.exit_status == 5


async def test_a_pause_is_no_refusal(emulator: Emulator, manifest: Path) -> None:
    emulator.plan(Misbehaviour.UPSTREAM_LIMIT)
    diagnosis = await examine(job_at(emulator.base_url, manifest))
    assert health(diagnosis)["endpoint"] is Health.MIND
    assert diagnosis.exit_status == 0


async def test_an_answer_longer_than_the_endpoint_gives_fails(emulator: Emulator, manifest: Path) -> None:
    emulator.change(max_completion_tokens=100)
    diagnosis = await examine(job_at(emulator.base_url, manifest))
    assert health(diagnosis)["context"] is Health.FAILS


async def test_a_misspelt_model_beside_a_budget_in_money_is_blamed_and_not_its_price(
    emulator: Emulator, manifest: Path
) -> None:
    job = job_at(emulator.base_url, manifest, model={"name": "google/gemma-9"}, budget={"usd": "1"})
    diagnosis = await examine(job)
    assert health(diagnosis)["model"] is Health.FAILS
    (price,) = [finding.text for finding in diagnosis.findings if finding.subject == "price"]
    assert "does not list 'google/gemma-9'" in price


async def test_a_missing_manifest_is_a_bad_job(emulator: Emulator, tmp_path: Path) -> None:
    with pytest.raises(ManifestError):
        await examine(job_at(emulator.base_url, tmp_path / "none.parquet"))


async def test_the_command_prints_a_table_and_exits_with_the_verdict(emulator: Emulator, manifest: Path) -> None:
    job = manifest.parent / "job.json"
    job.write_text(job_at(emulator.base_url, manifest).model_dump_json(by_alias=True, exclude_unset=True))
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "doctor", str(job), cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    assert "the job can run" in out.decode()
    assert "1 request sent" in out.decode()


async def test_hostile_words_of_an_endpoint_do_not_reach_the_terminal(emulator: Emulator, manifest: Path) -> None:
    diagnosis = await examine(job_at(emulator.base_url, manifest, model={"name": "x\x1b[2J[red]y"}))
    shown = io.StringIO()
    render_diagnosis(diagnosis, Console(file=shown, width=100))
    assert "\x1b" not in shown.getvalue()
    assert "[red]" in shown.getvalue()


@pytest.mark.parametrize(
    ("entry", "context"),
    [
        ({"context_length": 131_072}, 131_072),
        ({"max_model_len": 8192}, 8192),
        ({"max_input_tokens": 9000, "max_output_tokens": 100}, 9000),
        ({"meta": {"n_ctx_train": 32_768, "n_ctx": 4096}}, 4096),
        ({"meta": None, "context_length": "many"}, None),
    ],
)
def test_the_context_is_read_in_every_servers_words(entry: dict[str, Any], context: int | None) -> None:
    listing = read_listing({"data": [{"id": "other"}, {"id": "m", **entry}, "junk"]}, "m")
    assert listing.models == ("other", "m")
    assert listing.context_length == context


@pytest.mark.parametrize("body", [None, [], "x", {"data": None}, {"data": {"id": 1}}, {"error": "no"}])
def test_no_list_of_models_is_no_fault(body: object) -> None:
    assert read_listing(body, "m").models == ()


async def test_the_way_to_the_endpoint_is_said_first(
    emulator: Emulator, manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_NAME, emulator.api_key)
    job = job_at(emulator.base_url, manifest, model={"extra_headers": {"X-Team": "shop"}, "extra_query": {"v": "1"}})
    found = (await examine(job)).findings[0]
    assert (found.subject, found.health) == ("way", Health.WORKS)
    assert found.text == "with the headers X-Team; with v in the query"


async def test_a_proxy_that_does_not_lead_there_is_named_and_shows_no_password(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROXY_PASSWORD", "pass-word-of-the-proxy")
    proxy = {"proxy": "http://me:${PROXY_PASSWORD}@127.0.0.1:9"}
    job = job_at("http://llm.example/v1", manifest, model={"api_key_env": "NO_SUCH_KEY"}, network=proxy)
    found = (await examine(job)).findings
    said = " ".join(one.text for one in found)
    assert "through the proxy 127.0.0.1:9 (network.proxy)" in said
    assert "network.proxy: none" in said
    assert "pass-word-of-the-proxy" not in said


async def test_for_an_address_that_ends_too_early_the_one_that_answers_is_named(
    emulator: Emulator, manifest: Path
) -> None:
    """The emulator answers below `/v1`; `http://host:port` is what people write."""
    origin = emulator.base_url.removesuffix("/api/v1")
    diagnosis = await examine(job_at(origin, manifest))
    found = diagnosis.of("endpoint")
    assert found is not None
    assert found.health is Health.FAILS
    assert f"{origin} has no list of models, {origin}/v1 has: name that one" in found.text
    assert not diagnosis.can_run
    again = await examine(job_at(f"{origin}/v1", manifest))
    assert again.can_run
