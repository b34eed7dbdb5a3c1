"""Portkey's gateway between the engine and the emulator: headers that it wants, errors in its words."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from parquill.doctor import examine
from parquill.emulator import Emulator, EmulatorSettings, Misbehaviour
from parquill.errors import Stop
from tests.e2e.kit import KEY_NAME, rows
from tests.real import software
from tests.real.conftest import at, or_skip, whole_way
from tests.real.meanings import each_fault
from tests.real.software import MODEL, Server

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def emulator(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Emulator]:
    log = tmp_path_factory.mktemp("bill") / "bill.jsonl"
    async with Emulator(EmulatorSettings(log_path=log)) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    folder, port = tmp_path_factory.mktemp("portkey"), software.free_port()
    with contextlib.ExitStack() as stack:
        with or_skip():
            command = [*software.portkey(), f"--port={port}"]
            environ = {"PATH": os.environ["PATH"], "HOME": str(folder)}
            log = folder / "portkey.log"
            started = software.serving(command, port, ready="Gateway is running", log=log, environ=environ)
            server = stack.enter_context(started)
        yield server


def model(emulator: Emulator, **more: Any) -> dict[str, Any]:
    headers = {"x-portkey-provider": "openai", "x-portkey-custom-host": emulator.base_url}
    price = {"prompt": "0.0000001", "completion": "0.000001"}
    return {"name": MODEL, "api_key_env": KEY_NAME, "max_tokens": 32, "price": price, "extra_headers": headers, **more}


@pytest.mark.asyncio(loop_scope="module")
async def test_a_job_goes_through_it_from_doctor_to_verify(gateway: Server, emulator: Emulator, tmp_path: Path) -> None:
    work = at(gateway, tmp_path)
    work.write(rows(20))
    summary = await whole_way(work, model=model(emulator))
    assert (summary.requests, summary.rows.ok) == (20, 20)
    assert set(work.column("cost_source")) == {"endpoint"}


@pytest.mark.asyncio(loop_scope="module")
async def test_a_header_that_is_missing_stops_the_run_in_its_words(
    gateway: Server, emulator: Emulator, tmp_path: Path
) -> None:
    work = at(gateway, tmp_path)
    work.write(rows(30))
    without = model(emulator, extra_headers={})
    diagnosis = await examine(work.job(model=without))
    found = diagnosis.of("endpoint")
    assert found is not None
    assert not diagnosis.can_run
    assert "x-portkey-provider header is required" in found.text
    summary = await work.run(model=without)
    assert (summary.exit_status, summary.stopped_by) == (5, Stop.REFUSED)
    assert "x-portkey-provider header is required" in (summary.stop_message or "")
    assert set(work.column("status")) == {"not_attempted"}


@each_fault
@pytest.mark.asyncio(loop_scope="module")
async def test_errors_keep_their_meaning(
    gateway: Server, emulator: Emulator, tmp_path: Path, fate: Misbehaviour, kind: str | None, stop: Stop | None
) -> None:
    """A failing endpoint is waited for: a job whose every request fails so ends without a failed row."""
    work = at(gateway, tmp_path, retry={"max_attempts": 1, "give_up_seconds": 3})
    work.write(rows(1))
    emulator.set_misbehaviour({fate: 1.0})
    try:
        summary = await work.run(model=model(emulator))
    finally:
        emulator.set_misbehaviour({})
    assert (work.column("error_kind"), summary.stopped_by) == ([kind], stop), summary


@pytest.mark.asyncio(loop_scope="module")
async def test_a_storm_behind_it_loses_no_row_and_no_cent(gateway: Server, emulator: Emulator, tmp_path: Path) -> None:
    work = at(gateway, tmp_path)
    work.write(rows(60))
    emulator.set_misbehaviour({Misbehaviour.UNAVAILABLE: 0.1, Misbehaviour.UPSTREAM_LIMIT: 0.1})
    try:
        summary = await work.run(model=model(emulator))
    finally:
        emulator.set_misbehaviour({})
    assert (summary.exit_status, summary.rows.ok) == (0, 60)
    await work.must_hold(model=model(emulator))
