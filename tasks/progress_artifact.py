"""Shows a run on Prefect's server while it goes: a progress artifact, log lines, and signals.

The run never waits for Prefect. What is told goes from tasks of its own; a server that does not
answer is told again at the next turn, and the run goes on. A line of the log holds counts, rates
and money, and nothing of any row.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from prefect.artifacts import acreate_progress_artifact, aupdate_progress_artifact

from parquill.clock import Clock
from parquill.event_loop import meanwhile
from parquill.progress import RateWindow, line
from parquill.run_state import RunState

if TYPE_CHECKING:
    from parquill.observers import Attach, Stoppable, Watched

Logger = logging.Logger | logging.LoggerAdapter[logging.Logger]

LOG_SECONDS = 10.0
ARTIFACT_SECONDS = 3.0
_PATIENCE = 5.0
"""What one call to the server may take."""


def artifact_key(job: str, what: str) -> str:
    """Return the key of a job's artifact: small letters, digits and dashes are all that may be in one."""
    return f"{re.sub(r'[^a-z0-9]+', '-', job.lower()).strip('-')}-{what}"


def watched(job: str, logger: Logger, clock: Clock) -> Attach:
    """Return what `run_job` enters: signals stop the run, and the server sees how it goes."""

    @contextlib.asynccontextmanager
    async def attach(loop: Stoppable, watch: Watched) -> AsyncIterator[None]:
        from parquill.terminal import stopping_on_signals  # noqa: PLC0415 - it loads the engine

        shown = _Shown(job, watch, logger)
        with stopping_on_signals(loop):
            try:
                async with meanwhile(
                    _every(ARTIFACT_SECONDS, shown.tell, clock), _every(LOG_SECONDS, shown.log, clock)
                ):
                    yield
            finally:
                await shown.log()
                await shown.tell()

    return attach


class _Shown:
    """What has been sent about one run."""

    def __init__(self, job: str, watch: Watched, logger: Logger) -> None:
        self._key = artifact_key(job, "progress")
        self._watch = watch
        self._logger = logger
        self._rates = RateWindow()
        self._artifact: UUID | None = None
        self._answered = True

    async def log(self) -> None:
        state = self._watch.state()
        try:
            self._logger.info("%s", line(state, self._rates.look(state)))
        except SystemExit:  # what rich makes of a closed pipe: the worker that read our output has died
            _disconnect()

    async def tell(self) -> None:
        """Bring the progress artifact up to date, if the server lets us."""
        state = self._watch.state()
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._write(state)
        except Exception as fault:  # whatever the server has, the run that is paid for goes on
            if self._answered:
                self._logger.warning("the Prefect server does not take the progress (%r); the run goes on", fault)
            self._answered = False
        else:
            self._answered = True

    async def _write(self, state: RunState) -> None:
        share = 100.0 * state.done / state.progress.rows.total if state.progress.rows.total else 100.0
        text = line(state, self._rates.look(state))
        if self._artifact is None:
            self._artifact = await acreate_progress_artifact(share, key=self._key, description=text)
        else:
            await aupdate_progress_artifact(self._artifact, share, description=text)


async def _every(seconds: float, tell: Callable[[], Awaitable[None]], clock: Clock) -> None:
    while True:
        await tell()
        await clock.sleep(seconds)


def _disconnect() -> None:
    """Let what is printed vanish from now on, so that a run outlives its worker."""
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(nowhere.fileno(), stream.fileno())
