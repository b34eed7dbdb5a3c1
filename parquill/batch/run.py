"""`run_job`: from a job to a summary.

Everything that must be true before the first request is checked on the way in: schema and
manifest, key, lock and output, endpoint, price and budget, ids, room on the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime as dt
from collections.abc import AsyncIterator
from pathlib import Path

from parquill.batch.attach import Attach, unwatched
from parquill.batch.endpoint import look_up
from parquill.batch.options import RunOptions
from parquill.batch.order import Spread
from parquill.batch.place import Place
from parquill.batch.portions import Portions
from parquill.batch.prepare import prepare
from parquill.batch.session import Session
from parquill.client import Client
from parquill.clock import Clock, SystemClock
from parquill.job import OPENROUTER_URL, Access, Job, Secret, read_access, read_api_key, state_home
from parquill.ledger import Ledger
from parquill.open_files import raise_limit
from parquill.storage import Disk, Storage
from parquill.summary import RunSummary
from parquill.workspace import Workspace


async def run_job(
    job: Job,
    options: RunOptions | None = None,
    *,
    key: Secret | None = None,
    attach: Attach = unwatched,
    clock: Clock | None = None,
    disk: Disk | None = None,
    spread: Spread | None = None,
) -> RunSummary:
    """Run a job to its end or its stop, and return what became of it.

    `key` is the endpoint's, where the caller has it from elsewhere than the environment. `attach`
    is entered while rows are asked; `disk` stands for the output's disk in tests; `spread` has
    other processes do a part of the work. Raises `UsageError` before anything is sent,
    `StorageFaultError` when the disk failed.
    """
    clock, options = clock or SystemClock(), options or RunOptions()
    raise_limit()
    opened = await asyncio.to_thread(prepare, job, clock)
    portion = options.portion
    if portion is not None:
        opened = dataclasses.replace(opened, manifest=opened.manifest.only(portion.rows.keys()))
    key = key or read_api_key(job.model)
    workspace = Workspace.of(job.output.path, state_home(), shared=job.output.shared)
    with workspace.lock(clock):
        output = Storage.at(job.output.path, disk=disk, private=portion is not None)
        await asyncio.to_thread(output.make_ready)
        await asyncio.to_thread(output.remove_leftovers, clock.wall())
        ledger = await asyncio.to_thread(Ledger.open, workspace.ledger, job=job.name, clock=clock)
        try:
            where = portion.base_url if portion is not None else None
            async with endpoint_of(job, key, workspace.emulator_log, where) as (client, base_url):
                today = dt.datetime.fromtimestamp(clock.wall(), dt.UTC).date()
                facts = await look_up(client, base_url, job, today=today)
                if portion is not None:
                    facts = dataclasses.replace(facts, emulated=portion.emulated)
                place = Place(workspace, output, ledger, client, facts, Portions(job, workspace, ledger, clock, spread))
                return await Session(opened, place, options, clock).run(attach)
        finally:
            await asyncio.to_thread(ledger.close)


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
        client = Client(base_url, secret, access=access, variables=job.hidden)
        yield await stack.enter_async_context(client), shown
