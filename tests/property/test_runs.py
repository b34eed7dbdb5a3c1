"""Whatever happens to a job between its nights, its output is whole and nothing was paid twice on purpose."""

from __future__ import annotations

import asyncio
import random
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parquill.emulator import Misbehaviour, Spread
from parquill.planning import RunOptions
from tests.e2e.dying import die_at_step, die_in_time
from tests.e2e.kit import Rehearsal, rehearsal

Row = tuple[int, str]

TEXTS = st.integers(0, 30).map(lambda number: f"text {number}")
EDITS = st.one_of(
    st.tuples(st.just("add"), st.integers(0, 20), TEXTS),
    st.tuples(st.just("change"), st.integers(0, 20), TEXTS),
    st.tuples(st.just("remove"), st.integers(0, 20), st.integers(1, 4)),
    st.tuples(st.just("reorder"), st.integers(0, 99), st.none()),
    st.tuples(st.just("repeat"), st.integers(0, 20), st.none()),
    st.tuples(st.just("slice"), st.integers(1, 6), st.none()),
)
RUNS = st.one_of(
    st.tuples(st.just("run"), st.none(), st.none()),
    st.tuples(st.just("stop"), st.integers(1, 12), st.none()),
    st.tuples(st.just("fail"), st.integers(1, 6), st.none()),
    st.tuples(st.just("die in time"), st.floats(0.02, 0.3), st.none()),
    st.tuples(st.just("die at step"), st.integers(2, 30), st.booleans()),
)
NIGHTS = st.lists(st.one_of(EDITS, RUNS), min_size=3, max_size=9)


class Nights:
    """A manifest that is edited, and a job that runs, stops and dies over it."""

    def __init__(self, run: Rehearsal, first: list[str]) -> None:
        self.run = run
        self.rows: list[Row] = list(enumerate(first))
        self.next_id = len(first)
        self.rows_per_part = 3

    @property
    def job(self) -> dict[str, Any]:
        return {"output": {"rows_per_part": self.rows_per_part}}

    def edit(self, what: str, at: int, value: Any) -> None:
        place = at % (len(self.rows) + 1)
        if what == "add":
            self.add(place, value)
        elif what == "repeat" and self.rows:
            self.add(place, self.rows[at % len(self.rows)][1])
        elif what == "change" and self.rows:
            place = at % len(self.rows)
            self.rows[place] = (self.rows[place][0], value)
        elif what == "remove":
            del self.rows[place : min(place + value, place + len(self.rows) - 1)]
        elif what == "reorder":
            random.Random(at).shuffle(self.rows)
        elif what == "slice":
            self.rows_per_part = at

    def add(self, place: int, text: str) -> None:
        self.rows.insert(place, (self.next_id, text))
        self.next_id += 1

    async def act(self, what: str, at: Any, value: Any) -> None:
        ids, texts = zip(*self.rows, strict=True)
        self.run.write({"id": list(ids), "text": list(texts)})
        if what == "run":
            await self.run.run(RunOptions(allow_shrink=True), **self.job)
        elif what == "stop":
            await self.run.run(RunOptions(allow_shrink=True, limit=at), **self.job)
        elif what == "fail":
            self.run.emulator.set_misbehaviour({Misbehaviour.SERVER_ERROR: at / 10})
            await self.run.run(RunOptions(allow_shrink=True), retry={"max_attempts": 1}, **self.job)
            self.run.emulator.set_misbehaviour({})
        elif what == "die in time":
            await die_in_time(self.run.job_file(**self.job), at)
        elif what == "die at step":
            await die_at_step(self.run.job_file(**self.job), at, after=value)
        else:
            self.edit(what, at, value)


async def live_through(folder: Path, first: list[str], nights: list[tuple[str, Any, Any]]) -> None:
    sections = {"limits": {"max_in_flight": 4}, "retry": {"max_runs": 1_000}}
    async with rehearsal(folder, latency=Spread(0.004, 0.5), sections=sections) as run:
        job = Nights(run, first)
        for night in nights:
            await job.act(*night)
        await job.act("run", None, None)
        await job.act("run", None, None)
        assert list(zip(run.column("id"), run.column("text"), strict=True)) == job.rows
        assert set(run.column("status")) == {"ok"}
        await run.must_hold(**job.job)
        assert (await run.books()).balanced
        doubts = await run.doubts()
        assert sum(paid - 1 for paid in run.bill().by_body.values()) <= doubts


@pytest.mark.timeout(600)
def test_any_sequence_of_runs_deaths_and_edits_ends_whole_and_paid_once(kills: int) -> None:
    @settings(max_examples=max(8, 2 * kills), suppress_health_check=list(HealthCheck), derandomize=kills <= 5)
    @given(st.lists(TEXTS, min_size=2, max_size=10), NIGHTS)
    def through(first: list[str], nights: list[tuple[str, Any, Any]]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(live_through(Path(folder), first, nights))

    through()
