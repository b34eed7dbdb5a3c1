"""Runs portions on a cluster: one Prefect task for each portion, on Dask or on Ray.

Without the address of a cluster (`DASK_SCHEDULER_ADDRESS`, `RAY_ADDRESS`) there is one on this
machine for as long as the run takes. The libraries are extras: `pip install parquill[dask]`, `[ray]`.

Tasks are submitted as the flow's own, not as `execute`'s: what is submitted takes its context
along, and an argument of `execute` is the job, with all that ${NAME} stood for. A temporary server of
Prefect's is known to this process only; the workers are told where it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import dataclasses
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from prefect import get_run_logger
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.task_runners import TaskRunner

from parquill.errors import JobError, UsageError
from parquill.job import RunSettings, cluster_address
from parquill.text import printable
from tasks.portion import portion

if TYPE_CHECKING:
    from parquill.portions import Handover, Mailbox

_TURN = 1.0
_STARTS = 3
"""Ray gives its processes 30 seconds to come up, which a busy machine may not."""


class ClusterPool:
    """The workers of a cluster, from the first portion on until it is closed."""

    def __init__(self, runner: TaskRunner[Any], flow: contextvars.Context, api_url: str) -> None:
        """`flow` is the context of the flow run that the tasks belong to; `api_url` is where its server is."""
        self._runner = runner
        self._flow = flow
        self._api_url = api_url
        self._open = contextlib.ExitStack()
        self._started = False
        self._left = threading.Event()
        self._logger = get_run_logger()

    async def work(self, mailboxes: Sequence[Mailbox], commission: Handover) -> None:
        """Have each portion asked by a task; cancelled, leave those that do not end."""
        working = asyncio.get_running_loop().run_in_executor(
            None, self._flow.copy().run, self._work, mailboxes, commission
        )
        try:
            await asyncio.shield(working)
        except asyncio.CancelledError:
            self._left.set()
            await asyncio.wait({working})
            raise

    async def close(self) -> None:
        """Let the cluster go."""
        await asyncio.to_thread(self._open.close)

    def _work(self, mailboxes: Sequence[Mailbox], commission: Handover) -> None:
        told = dataclasses.asdict(commission)
        with temporary_settings({PREFECT_API_URL: self._api_url}):
            self._start()
            waiting = [
                self._runner.submit(portion, {"place": mailbox.place, "commission": told}) for mailbox in mailboxes
            ]
            while waiting and not self._left.is_set():
                waiting = [future for future in waiting if not self._has_ended(future)]

    def _start(self) -> None:
        for left in range(_STARTS - 1, -1, -1):
            if self._started:
                return
            runner = self._runner.duplicate()
            try:
                self._runner = self._open.enter_context(runner)
                self._started = True
            except Exception as fault:  # each cluster has faults of its own
                if not left:
                    raise UsageError(f"run.engine: there is no cluster: {fault}") from fault
                self._logger.warning("the cluster did not come up and is started anew: %s", printable(str(fault)))

    def _has_ended(self, future: Any) -> bool:
        try:
            outcome = future.result(timeout=_TURN / 2, raise_on_failure=False)
        except TimeoutError:
            return False
        except Exception as death:  # whatever a cluster says of a worker that died
            outcome = death
        if isinstance(outcome, BaseException):
            self._logger.warning("a portion was not asked to its end: %s", printable(str(outcome), most=600))
        return True


def task_runner(settings: RunSettings) -> TaskRunner[Any]:
    """Return the task runner of `run.engine`; raises `JobError` where its library is not installed."""
    address = cluster_address(settings.engine)
    where = {"address": address} if address else _here(settings)
    made: TaskRunner[Any]
    try:
        if settings.engine == "dask":
            from prefect_dask import DaskTaskRunner  # noqa: PLC0415 - an extra

            made = DaskTaskRunner(**where)
        else:
            from prefect_ray import RayTaskRunner  # noqa: PLC0415 - an extra

            made = RayTaskRunner(**where)
    except ImportError as missing:
        raise JobError(
            f"run.engine: {settings.engine} needs prefect-{settings.engine}, which is not installed "
            f"({missing}): pip install 'parquill[prefect,{settings.engine}]'"
        ) from None
    return made


def _here(settings: RunSettings) -> dict[str, Any]:
    """A cluster of this machine's processes, for as long as the run takes."""
    if settings.engine == "dask":
        return {"cluster_kwargs": {"n_workers": settings.workers, "threads_per_worker": 1, "dashboard_address": None}}
    # Without "local" Ray joins whatever cluster it finds on this machine, another run's too.
    ours = {"address": "local", "include_dashboard": False, "log_to_driver": False}
    return {"init_kwargs": {"num_cpus": settings.workers, **ours}}
