"""A manifest, a job, an emulator on the other side, and what a run left behind."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from parquill.clock import Clock, SystemClock
from parquill.emulator import Emulator, EmulatorSettings, LogTotals, read_log
from parquill.job import Job, load_job
from parquill.ledger import Books, Ledger, Spend
from parquill.planning import RunOptions
from parquill.results import PartInfo, read_part_info
from parquill.running import run_job
from parquill.running.session import Attach, unwatched
from parquill.storage import Storage
from parquill.summary import RunSummary
from parquill.verification import Verification, verify_job
from tests.e2e.forked import Command, Ended, Forked, started

KEY_NAME = "PARQUILL_TEST_KEY"
os.environ.setdefault(KEY_NAME, "sk-or-v1-a-key-for-tests-0123456789")

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "parquill")


def words(number: int) -> str:
    """The text of row `number`: no two alike."""
    return f"Describe thing number {number} in a few words"


def rows(count: int, *, first: int = 0) -> dict[str, list[str]]:
    """Columns of a manifest of text rows."""
    numbers = range(first, first + count)
    return {"id": [f"r{number}" for number in numbers], "text": [words(number) for number in numbers]}


@dataclasses.dataclass
class Rehearsal:
    """One job in a folder of its own, and the emulator that it asks."""

    folder: Path
    emulator: Emulator
    sections: dict[str, Any]

    @property
    def manifest(self) -> Path:
        return self.folder / "manifest.parquet"

    @property
    def output(self) -> Path:
        return self.folder / "out"

    def write(self, columns: Mapping[str, Sequence[Any]] | pa.Table, name: str = "manifest.parquet") -> None:
        """Write the manifest, or one file of it."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(dict(columns)), path)

    def source(self, **sections: Any) -> dict[str, Any]:
        """The job as a job file would have it; `sections` are merged over the rehearsal's own."""
        job: dict[str, Any] = {
            "name": "rehearsal",
            "manifest": {"path": str(self.manifest), "id_column": "id"},
            "prompt": {"user_column": "text"},
            "output": {"path": str(self.output)},
            "model": {"endpoint": self.emulator.base_url, "api_key_env": KEY_NAME, "max_tokens": 64},
            "limits": {"max_in_flight": 32},
        }
        for more in (self.sections, sections):
            for section, values in more.items():
                job[section] = {**job[section], **values} if isinstance(job.get(section), dict) else values
        return job

    def job(self, **sections: Any) -> Job:
        return load_job(self.source(**sections))

    def job_file(self, **sections: Any) -> Path:
        path = self.folder / "job.json"
        path.write_text(json.dumps(self.source(**sections)))
        return path

    async def run(
        self,
        options: RunOptions | None = None,
        *,
        attach: Attach = unwatched,
        clock: Clock | None = None,
        **sections: Any,
    ) -> RunSummary:
        """Run the job in this process."""
        return await run_job(self.job(**sections), options, attach=attach, clock=clock)

    async def command(self, *arguments: str, **sections: Any) -> Ended:
        """Run `parquill` as a process: `command("run", "--json")`; the job stands behind the first word."""
        return await self.fork(*arguments, **sections).ended()

    def fork(self, *arguments: str, **sections: Any) -> Forked:
        """Begin `parquill` as a process, and do not wait for it."""
        first, *others = arguments
        return started(Command((first, str(self.job_file(**sections)), *others)), folder=ROOT)

    async def start(
        self, *arguments: str, stderr: int = asyncio.subprocess.PIPE, **sections: Any
    ) -> asyncio.subprocess.Process:
        """Start `parquill` as a Python of its own, and do not wait for it; `stderr` may be a terminal's descriptor."""
        first, *others = arguments
        return await asyncio.create_subprocess_exec(
            *COMMAND,
            first,
            str(self.job_file(**sections)),
            *others,
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
        )

    async def verify(self, **sections: Any) -> Verification:
        return await asyncio.to_thread(verify_job, self.job(**sections))

    async def must_hold(self, **sections: Any) -> Verification:
        """Verify, and say what does not match."""
        verification = await self.verify(**sections)
        assert verification.holds, verification.findings
        return verification

    def table(self) -> pa.Table:
        """The output as any reader sees it."""
        return pq.read_table(self.output)

    def column(self, name: str) -> list[Any]:
        return self.table().column(name).to_pylist()

    def bill(self) -> LogTotals:
        return read_log(self.folder / "bill.jsonl")

    @property
    def asked(self) -> int:
        """Chat requests that came to the emulator."""
        return self.emulator.stats().requests

    def parts(self) -> dict[str, PartInfo]:
        storage = Storage.at(self.output)
        return {entry.name: read_part_info(storage, entry.name) for entry in storage.files()}

    async def books(self) -> Books:
        parts = {name: (info.part_id, info.cost_pico) for name, info in self.parts().items()}
        return await self._ask_ledger(lambda ledger: ledger.books(parts).result())

    async def spend(self, run: int | None = None) -> Spend:
        """What a run, or the last one, has booked."""
        return await self._ask_ledger(
            lambda ledger: ledger.totals(run or ledger.runs().result()[-1].id).result(),
        )

    async def runs(self) -> int:
        return len(await self._ask_ledger(lambda ledger: ledger.runs().result()))

    async def doubts(self) -> int:
        """Requests of all runs that were in flight when a process died."""
        return await self._ask_ledger(
            lambda ledger: sum(ledger.totals(run.id).result().doubts for run in ledger.runs().result())
        )

    async def _ask_ledger(self, question: Any) -> Any:
        def look() -> Any:
            ledger = Ledger.open(self.folder / "out.parquill" / "ledger.sqlite", job="rehearsal")
            try:
                return question(ledger)
            finally:
                ledger.close()

        return await asyncio.to_thread(look)


async def until(condition: Callable[[], bool]) -> None:
    """Look every few milliseconds whether something has happened in another process or task."""
    while not condition():
        await SystemClock().sleep(0.005)


async def ended(process: asyncio.subprocess.Process) -> Ended:
    out, err = await process.communicate()
    assert process.returncode is not None
    assert b"was never retrieved" not in (err or b""), err
    return Ended(process.returncode, out.decode(), (err or b"").decode())


@asynccontextmanager
async def rehearsal(
    folder: Path, *, sections: Mapping[str, Any] | None = None, **emulator: Any
) -> AsyncIterator[Rehearsal]:
    """A folder with an emulator beside it; `emulator` are its settings, `profile` one of its profiles."""
    folder.mkdir(parents=True, exist_ok=True)
    profile = emulator.pop("profile", "calm")
    settings = EmulatorSettings.of_profile(profile, **{"log_path": folder / "bill.jsonl", **emulator})
    async with Emulator(settings) as other:
        yield Rehearsal(folder, other, dict(sections or {}))
