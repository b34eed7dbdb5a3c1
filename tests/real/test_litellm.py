"""LiteLLM's proxy between the engine and the emulator: limits and errors in a gateway's own words."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from parquill.doctor import Health, examine
from parquill.emulator import Emulator, EmulatorSettings, Misbehaviour
from parquill.errors import Stop
from parquill.limits.rate_limit_headers import AGREED
from parquill.limits.state import FIRST_SLOTS
from tests.e2e.kit import KEY_NAME, rows
from tests.real import software
from tests.real.conftest import at, or_skip
from tests.real.meanings import each_fault
from tests.real.software import MODEL, Server

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

KEY = os.environ[KEY_NAME]
REQUESTS, TOKENS = 60, 1500
AT_ONCE = TOKENS * 6 // 1000
"""LiteLLM takes six requests at once for each 1000 tokens a minute, where it is told no other number."""
ROWS = 100


def _config(upstream: str) -> dict[str, Any]:
    def deployment(name: str, **limits: int) -> dict[str, Any]:
        params = {"model": f"openai/{MODEL}", "api_base": upstream, "api_key": KEY, **limits}
        return {"model_name": name, "litellm_params": params}

    return {
        "model_list": [
            deployment(MODEL),
            deployment("few-requests", rpm=REQUESTS),
            deployment("few-tokens", tpm=TOKENS),
        ],
        "general_settings": {"master_key": KEY},
        "router_settings": {"routing_strategy": "usage-based-routing-v2", "disable_cooldowns": True},
        "litellm_settings": {"num_retries": 0, "telemetry": False},
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(EmulatorSettings()) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    folder, port = tmp_path_factory.mktemp("litellm"), software.free_port()
    config = folder / "config.yaml"
    config.write_text(json.dumps(_config(emulator.base_url)))
    with contextlib.ExitStack() as stack:
        with or_skip():
            command = [software.environment("litellm", software.LITELLM) / "litellm", "--config", config]
            command += ["--host", "127.0.0.1", "--port", str(port)]
            environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
            server = stack.enter_context(
                software.serving(command, port, ready="Uvicorn running", log=folder / "litellm.log", environ=environ)
            )
        yield server


ROUTED = {"name": MODEL, "api_key_env": KEY_NAME, "price": None, "max_tokens": 32}


async def ask(gateway: Server, folder: Path, count: int, name: str = MODEL, **sections: Any) -> Any:
    work = at(gateway, folder, limits={"max_in_flight": "auto"})
    work.write(rows(count))
    return work, await work.run(model={**ROUTED, "name": name}, **sections)


async def _outcome(gateway: Server, folder: Path) -> tuple[str | None, str | None]:
    """Error kind of a job's one row, and why the run stopped."""
    work, summary = await ask(gateway, folder, 1, retry={"max_attempts": 1, "give_up_seconds": 3})
    return work.column("error_kind")[0], summary.stopped_by


def _minutes(seconds: float) -> int:
    """How many of a gateway's minutes a run of so many seconds may touch."""
    return int(seconds // 60) + 2


@pytest.mark.asyncio(loop_scope="module")
async def test_answers_costs_and_usage_come_through(gateway: Server, tmp_path: Path) -> None:
    work, summary = await ask(gateway, tmp_path, 20)
    assert summary.exit_status == 0
    assert set(work.column("cost_source")) == {"endpoint"}
    assert all(cost > 0 for cost in work.column("cost_usd"))
    await work.must_hold(model=ROUTED)


@pytest.mark.asyncio(loop_scope="module")
async def test_an_unnamed_limit_of_requests_is_found_and_kept(gateway: Server, tmp_path: Path) -> None:
    """Its 429 says neither how long to wait nor what the limit is; the headers of its good answers tell the limit.

    It takes one less than it says in each of its minutes (it refuses at `limit - 1`), so each minute may refuse
    one, and its second try.
    """
    work, summary = await ask(gateway, tmp_path, ROWS, "few-requests")
    assert (summary.exit_status, summary.rows.ok) == (0, ROWS)
    refused = sum(work.column("attempts")) - ROWS
    print(f"{summary.seconds:.0f} s, {refused} of {summary.requests} requests refused")
    assert refused <= 2 * _minutes(summary.seconds)
    assert summary.seconds >= 30, f"{ROWS} requests at {REQUESTS} a minute cannot all pass at once"


@pytest.mark.asyncio(loop_scope="module")
async def test_a_limit_of_tokens_is_found_and_kept(gateway: Server, tmp_path: Path) -> None:
    """It counts tokens when they are answered, in a fixed minute, and takes few requests at once.

    Refused may be what leaves before three answers have told the limit, less what it takes at once; and in
    each of its minutes one request that the minute before should have counted.
    """
    work, summary = await ask(gateway, tmp_path, 50, "few-tokens")
    assert (summary.exit_status, summary.rows.ok) == (0, 50)
    refused = sum(work.column("attempts")) - 50
    print(f"{summary.seconds:.0f} s, {refused} of {summary.requests} requests refused")
    assert refused <= max(0, FIRST_SLOTS + AGREED - AT_ONCE) + _minutes(summary.seconds)
    assert summary.seconds >= 30, "nor can 50 rows of these tokens"


@each_fault
@pytest.mark.asyncio(loop_scope="module")
async def test_errors_keep_their_meaning(
    gateway: Server, emulator: Emulator, tmp_path: Path, fate: Misbehaviour, kind: str | None, stop: Stop | None
) -> None:
    """A failing endpoint is waited for: a job whose every request fails so ends without a failed row."""
    emulator.set_misbehaviour({fate: 1.0})
    try:
        assert await _outcome(gateway, tmp_path) == (kind, stop)
    finally:
        emulator.set_misbehaviour({})


@pytest.mark.asyncio(loop_scope="module")
async def test_a_model_that_it_does_not_route_stops_the_run(gateway: Server, tmp_path: Path) -> None:
    work, summary = await ask(gateway, tmp_path, 3, "nobody/knows")
    assert summary.stopped_by is Stop.REFUSED
    assert work.column("status") == ["not_attempted"] * 3


@pytest.mark.asyncio(loop_scope="module")
async def test_a_key_that_it_does_not_know_stops_the_run(
    gateway: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANOTHER_KEY", "sk-nobody-knows-this-one")
    work = at(gateway, tmp_path)
    work.write(rows(3))
    summary = await work.run(model={**ROUTED, "api_key_env": "ANOTHER_KEY"})
    assert (summary.exit_status, summary.stopped_by) == (5, Stop.REFUSED)


@pytest.mark.asyncio(loop_scope="module")
async def test_the_doctor_sees_through_it(gateway: Server, emulator: Emulator, tmp_path: Path) -> None:
    work = at(gateway, tmp_path)
    work.write({**rows(2), "picture": [f"{emulator.pictures_url}good.jpg", None]})
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    model = {"name": MODEL, "api_key_env": KEY_NAME, "price": None}
    manifest = {"path": str(work.manifest), "id_column": "id", "image_columns": ["picture"]}
    images = {"allow_private": True, "allow_ports": [int(emulator.base_url.split(":")[2].split("/")[0])]}
    job = work.job(model=model, output={"schema": schema}, manifest=manifest, images=images)
    diagnosis = await examine(job)
    found = {one.subject: one for one in diagnosis.findings}
    assert diagnosis.exit_status == 0, found
    assert found["answers"].text.startswith("json_schema")
    assert found["pictures as http URL"].health is Health.WORKS
