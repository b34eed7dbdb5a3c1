"""Runs shared among the workers of real Dask and Ray clusters, against the emulator's own log.

The flows are commands of their own, reported to a real Prefect server; the endpoint is an emulator in the
test's process, so that both sides can be counted. The first test's cluster is started by the commands
of docs/deploy.md; the others' are started and ended by the flow.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from parquill import load_job
from parquill.emulator import Emulator, EmulatorSettings, Spread, iter_log, read_log
from parquill.running import run_job
from tests.orchestration.server import ROOT, Site, free_port, site, until
from tests.orchestration.small_jobs import booked, output_of, paid_twice_is_owned_up_to, small_job, verified
from tests.portions.windows import most_in_a_minute

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900), pytest.mark.parametrize("engine", ["dask", "ray"])]

CANARY = "sk-or-v1-canary-77c1e0b3d4"
ROWS, IN_FLIGHT = 150, 4
ENVIRONMENT = {
    "SOME_KEY": CANARY,
    "RAY_AUTH_MODE": "disabled",  # it would leave a token in the user's home
    "RAY_USAGE_STATS_ENABLED": "0",
}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("site")) as made:
        yield made


@contextlib.asynccontextmanager
async def shared(
    folder: Path, here: Site, engine: str, latency: float = 0.05, **sections: Any
) -> AsyncIterator[tuple[dict[str, Any], Emulator]]:
    """A job for two workers of a cluster, an endpoint that keeps its bill, and a server."""
    if "server" not in here.running:
        here.start("server", f"prefect server start --host 127.0.0.1 --port {here.port}")
        await until(here.is_up, what="the server")
    settings = EmulatorSettings(latency=Spread(latency), log_path=folder / "bill.jsonl", api_keys=(CANARY,))
    async with Emulator(settings) as emulator:
        model = {"endpoint": emulator.base_url, "api_key_env": "SOME_KEY"}
        run = {"workers": 2, "engine": engine}
        asked = {"limits": {"max_in_flight": IN_FLIGHT}, "output": {"rows_per_part": 40}, "run": run, **sections}
        yield small_job(folder, rows=ROWS, model=model, **asked), emulator


def start(here: Site, folder: Path, job: dict[str, Any], **more: str) -> subprocess.Popen[bytes]:
    """Start the flow as a command."""
    (folder / "job.yaml").write_text(yaml.safe_dump(job), encoding="utf-8")
    return here.start(folder.name, f"python -m flows.batch {folder / 'job.yaml'}", **ENVIRONMENT, **more)


def documented(engine: str) -> tuple[dict[str, str], dict[str, str]]:
    """The commands of docs/deploy.md that start a cluster, on a port of ours, and the variable that names it."""
    text = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    block = next(block for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL) if "dask scheduler" in block)
    lines = block.replace("8786", str(free_port())).replace("6379", str(free_port())).splitlines()
    commands = {" ".join(line.split()[:2]): line for line in lines if line.startswith(f"{engine} ")}
    flow = next(line for line in lines if f"run.engine={engine}" in line)
    variable, _, address = flow.split()[0].partition("=")
    assert flow.split()[1:4] == ["python", "-m", "flows.batch"]
    return commands, {variable: address}


async def cluster(here: Site, engine: str) -> dict[str, str]:
    """Start a cluster of two workers as documented; return its address as a variable."""
    commands, address = documented(engine)
    for name, command in commands.items():
        here.start(name, command, **ENVIRONMENT)
        ready = {"dask scheduler": "Scheduler at:", "ray start": "Ray runtime started."}.get(name, "")
        await until(lambda name=name, ready=ready: ready in here.log(name), seconds=300, what=name)  # type: ignore[misc]  # binds the loop's values
    return address


async def begun(flow: subprocess.Popen[bytes], here: Site, folder: Path, emulator: Emulator) -> None:
    """Wait for the first rows."""
    await until(lambda: emulator.stats().requests >= 20 or flow.poll() is not None, seconds=300, what="the first rows")
    assert flow.poll() is None, here.log(folder.name)


async def end_of(flow: subprocess.Popen[bytes], here: Site, folder: Path, *, status: int = 0) -> None:
    """Wait for a flow's end."""
    await until(lambda: flow.poll() is not None, seconds=600, what="the flow's end")
    assert flow.returncode == status, here.log(folder.name)


def bodies(folder: Path) -> Counter[str]:
    return Counter(entry.body for entry in iter_log(folder / "bill.jsonl"))


def workers(folder: Path) -> list[int]:
    """The processes that have a portion in hand, by the locks that they hold."""
    locks = (folder / "out.parquill" / "portions").glob("*/out.parquill/lock")
    return [json.loads(text)["pid"] for lock in locks if (text := lock.read_text(encoding="utf-8"))]


async def alone(job: dict[str, Any], monkeypatch: pytest.MonkeyPatch, **changed: Any) -> None:
    """Run a job in this very process."""
    monkeypatch.setenv("SOME_KEY", CANARY)
    await run_job(load_job({**job, "run": {"workers": 1}, **changed}))


async def test_two_workers_keep_one_rate_and_make_the_table_of_one_process(
    here: Site, engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rate = 120
    async with shared(tmp_path, here, engine, limits={"requests_per_minute": rate}) as (job, emulator):
        flow = start(here, tmp_path, job, **await cluster(here, engine))
        await begun(flow, here, tmp_path, emulator)
        orders = [path for path in (tmp_path / "out.parquill" / "portions").rglob("*") if path.is_file()]
        assert orders
        assert [path for path in orders if CANARY.encode() in path.read_bytes()] == []
        await end_of(flow, here, tmp_path)
        sent = [entry.time for entry in iter_log(tmp_path / "bill.jsonl")]
        ours, theirs = job, {**job, "output": {**job["output"], "path": str(tmp_path / "alone")}, "limits": {}}
        await alone(theirs, monkeypatch)

    assert emulator.stats().requests == 2 * ROWS
    assert most_in_a_minute(sent) <= rate
    assert sent[-1] - sent[0] < 1.3 * 60 * ROWS / rate, "and they use it"
    for column in ("id", "title", "answer_text", "cost_usd", "prompt_tokens", "attempts"):
        assert output_of(ours).column(column).equals(output_of(theirs).column(column))
    assert verified(ours).holds, verified(ours).findings
    for name in documented(engine)[0]:
        here.kill(name, signal.SIGTERM)
    written = [path for root in (tmp_path, here.folder) for path in root.rglob("*") if path.is_file()]
    assert [path for path in written if CANARY.encode() in path.read_bytes()] == []


async def test_a_worker_that_is_killed_leaves_its_portion_to_another_within_the_budget(
    here: Site, engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cap = 160_000_000  # for some hundred rows
    budget = {"usd": f"{cap / 10**12:f}"}
    async with shared(tmp_path, here, engine, latency=0.2, budget=budget) as (job, emulator):
        flow = start(here, tmp_path, job)
        await begun(flow, here, tmp_path, emulator)
        os.kill(workers(tmp_path)[0], signal.SIGKILL)
        await end_of(flow, here, tmp_path, status=4)
        billed = read_log(tmp_path / "bill.jsonl").billed_pico
        books = booked(job)
        stopped = verified(job)
        await alone(job, monkeypatch, budget={"usd": "1"})

    assert stopped.holds, stopped.findings
    assert billed <= books.pico <= cap
    assert books.pico >= 0.9 * cap, "what is left is less than the worst case of a row or two"
    assert books.doubts, "of what was in flight the worst case is booked"
    assert set(output_of(job).column("status").to_pylist()) == {"ok"}
    paid_twice_is_owned_up_to(job, sum(bodies(tmp_path).values()) - ROWS, IN_FLIGHT)
    assert verified(job).holds, verified(job).findings


async def test_a_flow_that_is_told_to_end_stops_its_workers_cleanly(
    here: Site, engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shared(tmp_path, here, engine, latency=0.2) as (job, emulator):
        flow = start(here, tmp_path, job)
        await begun(flow, here, tmp_path, emulator)
        flow.terminate()
        await end_of(flow, here, tmp_path, status=143)
        statuses = Counter(output_of(job).column("status").to_pylist())
        asked = emulator.stats().requests
        await alone(job, monkeypatch)

    assert asked < ROWS
    assert statuses == {"ok": asked, "not_attempted": ROWS - asked}, "what was in flight had its time"
    assert set(bodies(tmp_path).values()) == {1}
    assert verified(job).holds, verified(job).findings
