"""What a run gets from outside: the endpoint's client, the ledger's file, randomness.

The machine's own (`MACHINE`), but where whole runs are simulated.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from parquill.client import Client, Transport
from parquill.clock import Clock
from parquill.job import OPENROUTER_URL, Access, Job, Secret, read_access
from parquill.ledger import Ledger


@contextlib.asynccontextmanager
async def endpoint_of(
    job: Job, key: Secret | None, log: Path | None, where: str | None = None
) -> AsyncIterator[tuple[Client, str]]:
    """Open a client to the job's endpoint; the embedded emulator lives as long as it does and bills into `log`.

    `where` is the base URL of one that another process of the run serves; it takes any key. The address that
    comes with the client is the one to be shown.
    """
    async with contextlib.AsyncExitStack() as stack:
        base_url, secret, shown = job.model.endpoint, key, job.endpoint_as_shown
        if where is not None:
            base_url, secret, shown = where, key or Secret("rehearsal"), where
        elif base_url == "openrouter":
            base_url = shown = OPENROUTER_URL
        elif base_url == "emulator":
            from parquill.emulator import Emulator, EmulatorSettings  # noqa: PLC0415 - loaded only to rehearse

            emulator = await stack.enter_async_context(Emulator(EmulatorSettings(log_path=log)))
            base_url, secret, shown = emulator.base_url, Secret(emulator.api_key), emulator.base_url
        access = read_access(job) if where is None else Access()
        client = Client(base_url, secret, access=access, variables=job.hidden, max_tokens=job.model.max_tokens)
        yield await stack.enter_async_context(client), shown


class Connect(Protocol):
    """Opens a client to a job's endpoint, as `endpoint_of` does."""

    def __call__(
        self, job: Job, key: Secret | None, log: Path | None, where: str | None = None, /
    ) -> AbstractAsyncContextManager[tuple[Transport, str]]:
        """Connect to a job's endpoint: a client, and the address as it may be shown; None as `log` keeps no bill."""


class OpenLedger(Protocol):
    """Opens a job's ledger, as `Ledger.open` does."""

    def __call__(self, path: Path, *, job: str, clock: Clock) -> Ledger:
        """Open the ledger at `path`, or make one."""


@dataclass(frozen=True, slots=True)
class RunDependencies:
    """What a run stands on."""

    connect: Connect
    open_ledger: OpenLedger
    new_random: Callable[[], random.Random]
    """Spreads waits; it keeps no secret."""


MACHINE = RunDependencies(endpoint_of, Ledger.open, random.Random)
