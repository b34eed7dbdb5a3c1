"""Real servers, started once; where one cannot be had, its tests are skipped and say why."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from parquill.doctor import Health, examine
from parquill.emulator import Emulator
from parquill.estimation import estimate_job
from parquill.summary import RunSummary
from tests.e2e.kit import Rehearsal
from tests.real import software
from tests.real.software import Server, UnavailableError


@contextlib.contextmanager
def or_skip() -> Iterator[None]:
    try:
        yield
    except UnavailableError as error:
        pytest.skip(f"cannot be set up here: {error}")


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """llama.cpp with Gemma 3 270M, text only."""
    with contextlib.ExitStack() as stack:
        with or_skip():
            server = stack.enter_context(software.llama_server(tmp_path_factory.mktemp("llama")))
        yield server


@pytest.fixture(scope="module")
def seeing_llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The same with a random vision tower of Gemma 3's shape."""
    with contextlib.ExitStack() as stack:
        with or_skip():
            folder = tmp_path_factory.mktemp("seeing")
            server = stack.enter_context(software.llama_server(folder, slots=2, vision=True))
        yield server


@pytest.fixture(scope="session")
def tokenizer_json() -> Path:
    with or_skip():
        return software.tokenizer() / "tokenizer.json"


async def whole_way(work: Rehearsal, **sections: Any) -> RunSummary:
    """Try the endpoint, estimate, run and verify a job; every row is answered and nothing costs more than foretold."""
    job = work.job(**sections)
    diagnosis = await examine(job)
    assert diagnosis.can_run, diagnosis.findings
    assert {one.health for one in diagnosis.findings if one.subject in ("endpoint", "model", "usage")} == {Health.WORKS}
    before = await estimate_job(job)
    assert before.rows.todo == before.unanswered > 0
    summary = await work.run(**sections)
    assert (summary.exit_status, summary.rows.ok) == (0, before.rows.todo), work.column("error_message")
    assert before.cost is not None
    assert 0 < summary.cost_pico <= before.cost.worst_pico
    await work.must_hold(**sections)
    return summary


def at(server: Server, folder: Path, **sections: object) -> Rehearsal:
    """A job in a folder of its own, asked of a real server; it has no key and a price of the job's own."""
    model = {
        "endpoint": server.base_url,
        "max_tokens": 64,
        "temperature": 0.0,
        "price": {"prompt": "0.0000001", "completion": "0.000001"},
    }
    folder.mkdir(parents=True, exist_ok=True)
    return Rehearsal(folder, Emulator(), {"model": model, "limits": {"max_in_flight": 4}, **sections})
