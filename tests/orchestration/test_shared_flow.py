"""Runs that a flow shares among several processes: which they are, and what is sent to them."""

from __future__ import annotations

import contextvars
import sys
from pathlib import Path
from typing import Any, Self

import cloudpickle
import pytest
from prefect import Task, flow
from prefect.blocks.system import Secret as SecretBlock
from prefect.client.orchestration import get_client
from prefect.context import serialize_context
from prefect.task_runners import ThreadPoolTaskRunner

from flows.batch import batch
from parquill import load_job
from parquill.emulator import Emulator, EmulatorSettings
from parquill.errors import JobError
from parquill.job import RunSettings
from tasks.cluster import ClusterPool, task_runner
from tasks.execute import execute_with
from tests.orchestration.flow_runs import artifacts_of, end_of, logs_of
from tests.orchestration.small_jobs import small_job, verified

CANARY = "sk-or-v1-canary-0b7d5e11ac"
HOOK = "https://hooks.example.org/T00/canary-hook-93ab"

pytestmark = pytest.mark.usefixtures("api")


SENT: list[bytes] = []


class Recording(ThreadPoolTaskRunner):
    """Threads in place of a cluster; what would be sent to one is kept in `SENT`."""

    def submit(self, task: Task[Any, Any], parameters: dict[str, Any], *rest: Any, **more: Any) -> Any:
        SENT.append(cloudpickle.dumps((task, parameters, serialize_context())))
        return super().submit(task, parameters, *rest, **more)


class Late(Recording):
    """A cluster that comes up at the second try; so many were started."""

    starts = 0

    def __enter__(self) -> Self:
        type(self).starts += 1
        if self.starts == 1:
            raise TimeoutError("the current node timed out during startup")
        return super().__enter__()


@flow(validate_parameters=False)
async def shared(job: dict[str, Any], late: bool = False) -> Any:
    """A run whose portions are tasks in threads."""
    async with get_client() as client:
        worker_pool = ClusterPool(
            (Late if late else Recording)(max_workers=2), contextvars.copy_context(), str(client.api_url)
        )
    try:
        return await execute_with(load_job(job), None, worker_pool)
    finally:
        await worker_pool.close()


async def test_what_goes_to_a_cluster_is_a_path_and_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY_KEY", CANARY)
    monkeypatch.setenv("HOOK", HOOK)
    async with Emulator(EmulatorSettings(api_keys=(CANARY,))) as emulator:
        model = {"endpoint": emulator.base_url, "api_key_env": "CANARY_KEY"}
        run = {"workers": 2, "engine": "dask"}
        job = small_job(tmp_path, rows=40, model=model, run=run, nightly={"notify": {"webhook": "${HOOK}"}})
        summary = await shared(job)

    assert (summary.rows.ok, emulator.stats().requests) == (40, 40)
    assert verified(job).holds
    assert len(SENT) == 2, "each portion is one task"
    for sent in SENT:
        assert str(tmp_path).encode() in sent
        assert CANARY.encode() not in sent
        assert HOOK.encode() not in sent


async def test_a_cluster_that_does_not_come_up_is_started_anew(tmp_path: Path) -> None:
    summary = await shared(small_job(tmp_path, rows=10, run={"workers": 2, "engine": "ray"}), late=True)
    assert (summary.rows.ok, Late.starts) == (10, 2)


@pytest.mark.parametrize("kept", ["environment", "block"])
async def test_a_flow_shares_a_run_among_processes_of_its_machine(
    kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kept == "environment":
        monkeypatch.setenv("CANARY_KEY", CANARY)
    else:
        await SecretBlock(value=CANARY).save("canary-key", overwrite=True)
    async with Emulator(EmulatorSettings(api_keys=(CANARY,))) as emulator:
        model = {"endpoint": emulator.base_url, "api_key_env": "CANARY_KEY"}
        job = small_job(tmp_path, rows=40, model=model, run={"workers": 2})
        state = await end_of(batch, job)

    assert state.is_completed(), state.message
    assert "40 of 40 rows answered" in (state.message or "")
    assert verified(job).holds
    log = await logs_of(state, until=lambda text: "40 of 40 rows (100 %)" in text)
    assert "of 2 processes" in log
    shown = await artifacts_of(state)
    assert str(shown["small-job-cost"].data).startswith("data:image/svg+xml;base64,")
    written = [path for path in tmp_path.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]
    assert written == []


async def test_an_engine_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prefect_ray", None)
    with pytest.raises(JobError, match=r"parquill\[prefect,ray\]"):
        task_runner(RunSettings(workers=2, engine="ray"))
