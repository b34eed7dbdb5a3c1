"""LLMock, which breaks answers on request and judges how a client took it: a second opinion on our retries."""

from __future__ import annotations

import contextlib
import json
import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.kit import rows
from tests.real import software
from tests.real.conftest import at, or_skip, whole_way
from tests.real.software import Server

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

MODEL = {"name": "gpt-4o"}
SCHEMA = {
    "type": "object",
    "properties": {"kind": {"enum": ["cat", "house"]}, "sure": {"type": "boolean"}},
    "required": ["kind", "sure"],
    "additionalProperties": False,
}
COMPLETIONS = "/v1/chat/completions"


@contextlib.contextmanager
def _started(folder: Path, *options: str) -> Iterator[Server]:
    port = software.free_port()
    with contextlib.ExitStack() as stack:
        with or_skip():
            command = [software.locked_environment("llmock") / "llmock", "serve", "--port", str(port), *options]
            environ = {"PATH": os.environ["PATH"], "HOME": str(folder)}
            log = folder / "llmock.log"
            started = software.serving(command, port, ready="Uvicorn running", log=log, environ=environ)
            server = stack.enter_context(started)
        yield server


@pytest.fixture(scope="module")
def llmock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with _started(tmp_path_factory.mktemp("llmock")) as server:
        yield server


def _tell(server: Server, path: str, body: dict[str, Any]) -> None:
    content = json.dumps(body).encode()
    asked = urllib.request.Request(server.origin + path, content, {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=30) as reply:
        reply.read()


def _break(server: Server, *behaviours: dict[str, Any]) -> None:
    """Forget what was asked, and break the next completions: each behaviour as often as its `times` says."""
    _tell(server, "/_llmock/reset", {})
    _tell(server, "/_llmock/scenario", {"behaviors": [{**one, "match": {"path": COMPLETIONS}} for one in behaviours]})


def _findings(server: Server) -> list[str]:
    """What it holds against the client's completions."""
    told = json.loads(server.get("/_llmock/verdict"))
    return [one["code"] for one in told["findings"] if one["path"].endswith(COMPLETIONS)]


@pytest.mark.parametrize("output", [{}, {"schema": SCHEMA}], ids=["text", "schema"])
async def test_a_job_goes_through_it_from_doctor_to_verify(
    llmock: Server, tmp_path: Path, output: dict[str, Any]
) -> None:
    _tell(llmock, "/_llmock/reset", {})
    work = at(llmock, tmp_path, output=output)
    work.write(rows(20))
    summary = await whole_way(work, model=MODEL)
    assert summary.requests == 20
    assert _findings(llmock) == []


@pytest.mark.parametrize(
    "behaviour",
    [
        {"type": "fail", "status": 429, "retry_after": 2},
        {"type": "fail", "status": 503, "retry_after": 2},
        {"type": "fail", "status": 500},
        {"type": "fail", "status": 408},
    ],
    ids=["429", "503", "500", "408"],
)
async def test_it_finds_no_fault_with_how_a_failure_is_asked_again(
    llmock: Server, tmp_path: Path, behaviour: dict[str, Any]
) -> None:
    """Neither a Retry-After ignored, nor a storm, nor a row given up."""
    _break(llmock, {**behaviour, "times": 5})
    work = at(llmock, tmp_path)
    work.write(rows(20))
    summary = await work.run(model=MODEL)
    assert (summary.exit_status, summary.rows.ok, summary.requests) == (0, 20, 25)
    assert _findings(llmock) == []
    await work.must_hold(model=MODEL)


async def test_a_row_that_is_refused_for_good_is_not_asked_on_and_on(llmock: Server, tmp_path: Path) -> None:
    """It is asked once more where others are answered (docs/adr/0011), whatever LLMock thinks of that."""
    _break(llmock, {"type": "fail", "status": 404, "times": 1})
    work = at(llmock, tmp_path, limits={"max_in_flight": 1})
    work.write(rows(12))
    summary = await work.run(model=MODEL)
    assert (summary.exit_status, summary.rows.ok, summary.requests) == (0, 12, 13)
    await work.must_hold(model=MODEL)


async def test_its_quota_of_requests_is_learnt_from_its_headers_and_kept(tmp_path: Path) -> None:
    """120 a minute refill at two a second; the first 120 may leave at once."""
    with _started(tmp_path, "--rpm", "120") as server:
        work = at(server, tmp_path / "job", limits={"max_in_flight": "auto"})
        work.write(rows(130))
        summary = await work.run(model=MODEL)
        assert (summary.exit_status, summary.rows.ok) == (0, 130)
        assert _findings(server) == []
        refused = summary.requests - 130
        print(f"{summary.seconds:.0f} s, {refused} of {summary.requests} requests refused")
        assert refused <= 12
        await work.must_hold(model=MODEL)
