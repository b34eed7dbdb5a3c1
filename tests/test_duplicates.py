"""Rows that take the outcome of a duplicate: only of one that is truly equal, from the part that stands now, and
without its cost."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from parquill.asking.row_costs import RowCosts
from parquill.booking import Booking
from parquill.deduplication.answered_rows import AnsweredRows, reused
from parquill.deduplication.finder import DuplicateFinder
from parquill.feeding.feed import Feed
from parquill.job import Job
from parquill.ledger import Ledger
from parquill.manifest import Slice
from parquill.planning.fingerprint_index import FingerprintIndex
from parquill.planning.other_outputs import OtherOutputs
from parquill.planning.part_reader import PartReader
from parquill.planning.planner import OpenSlice, RunPlan
from parquill.planning.rows import PreparedRow
from parquill.publishing.slice_results import SliceResults
from parquill.results import CostSource, ItemResult, PartInfo, Status, result_table, write_part
from parquill.storage import Storage
from tests.clock import ManualClock
from tests.test_results import FAILED, MANIFEST, OK, SCHEMA, to_arrow

NAME = "a.000000.parquet"
ROWS = MANIFEST.num_rows


def mark(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def named(text: str, **changes: Any) -> ItemResult:
    return dataclasses.replace(OK, fingerprint=mark(text), answer_text=text, **changes)


def written(storage: Storage, part_id: str, *texts: str, name: str = NAME) -> PartInfo:
    table = result_table(SCHEMA, MANIFEST, [named(text) for text in texts], to_arrow)
    return write_part(storage, name, table, {"part_id": part_id, "slice_digest": "d", "settings": "s"})


def planned(open_slices: tuple[OpenSlice, ...], complete: Mapping[int, PartInfo] | None = None) -> RunPlan:
    nothing, manifest = cast(Any, None), cast(Any, SimpleNamespace(rows=20))
    return RunPlan(nothing, manifest, nothing, "", complete or {}, open_slices, (), 0, {}, FingerprintIndex(20))


def opened(number: int = 0, old: PartInfo | None = None, kept_at: list[int] | None = None) -> OpenSlice:
    one = Slice(cast(Any, None), number, 0, ROWS, 0)
    return OpenSlice(one, number, "d", old, None if kept_at is None else np.array(kept_at))


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    storage = Storage.at(tmp_path / "out")
    storage.make_ready()
    return storage


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger.open(tmp_path / "ledger.sqlite", job="job")
    yield ledger
    ledger.close()


# From the part that stands now.


async def test_a_row_of_a_part_is_read_where_it_stands(storage: Storage, ledger: Ledger) -> None:
    plan = planned(
        (opened(1, written(storage, "old", "c", "b", "a"), [2, -1, 0]),), {0: written(storage, "p", *"xyz", name="b")}
    )
    standing = AnsweredRows(plan, storage, ledger, {})
    found = [await standing.result((number, row)) for number in (0, 1) for row in range(ROWS)]
    assert [one and one.answer_text for one in found] == ["x", "y", "z", "a", None, "c"]


async def test_a_part_that_is_replaced_while_it_is_read_is_read_again(storage: Storage, ledger: Ledger) -> None:
    standing = AnsweredRows(
        planned((opened(0, written(storage, "old", "a", "b", "c"), [1, 2, -1]),)), storage, ledger, {}
    )
    asked = asyncio.create_task(standing.result((0, 0)))
    await asyncio.sleep(0)  # the old part is being read on a thread
    standing.published[0] = written(storage, "new", "new b", "new c", "new d")
    found = await asked
    assert found is not None
    assert found.answer_text == "new b"


async def test_a_part_that_is_about_to_be_replaced_is_waited_for(storage: Storage, ledger: Ledger) -> None:
    one = opened(0, written(storage, "old", "a", "b", "c"), [0, 1, 2])
    work = SliceResults(one, 1)
    standing = AnsweredRows(planned((one,)), storage, ledger, {0: work})
    assert await standing.result((0, 1)) is not None, "it is in memory from here on"
    work.publishing = True
    asked = asyncio.create_task(standing.result((0, 1)))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not asked.done()
    standing.published[0] = written(storage, "new", "a", "new b", "c")
    work.published.set()
    found = await asked
    assert found is not None
    assert found.answer_text == "new b"


async def test_a_part_in_memory_stands_for_itself_alone(storage: Storage) -> None:
    reader = PartReader()
    old = written(storage, "old", "a", "b", "c")
    assert (await reader.row(storage, old, 0)) == named("a")
    new = written(storage, "new", "d", "e", "f")
    assert (await reader.row(storage, new, 0)) == named("d")


async def test_a_row_beyond_the_end_of_a_part_is_none(storage: Storage) -> None:
    assert await PartReader().row(storage, written(storage, "p", *"abc"), ROWS) is None


async def test_only_a_few_parts_stay_in_memory_the_latest_ones(storage: Storage) -> None:
    reader, parts = PartReader(), [written(storage, f"p{at}", *"abc", name=f"a.00000{at}.parquet") for at in range(5)]
    for one in (*parts[:4], parts[0], parts[4]):
        await reader.row(storage, one, 0)
    for one in parts:
        storage.remove(one.name)
    for at in (0, 2, 3, 4):
        assert await reader.row(storage, parts[at], 1) == named("b")
    with pytest.raises(Exception, match=r"a\.000001"):
        await reader.row(storage, parts[1], 1)


async def test_an_outcome_that_an_earlier_process_left_in_the_ledger_is_found(storage: Storage, ledger: Ledger) -> None:
    run = await ledger.begin_run(realm="", model="m", settings="s", cap_pico=None)
    held = await ledger.slice(NAME, "d")
    await ledger.record(
        run=run, slice_id=held.id, row=2, fingerprint=mark("x"), ok=True, payload=named("x").encode(), attempt=None,
        cost_pico=0, prompt_tokens=0, completion_tokens=0,
    )  # fmt: skip
    one = dataclasses.replace(opened(), held=held.id)
    standing = AnsweredRows(planned((one, opened(1))), storage, ledger, {})
    assert await standing.result((0, 2)) == named("x")
    assert await standing.result((0, 1)) is None
    assert await standing.result((1, 0)) is None


# Only of a row that is truly equal.


async def test_another_outputs_answer_under_half_of_the_fingerprint_is_not_taken(storage: Storage) -> None:
    info = written(storage, "p", *"abc")
    index = FingerprintIndex(3)
    for row, text in enumerate("abc"):
        index.claim(mark(text), 0, row)
    other_outputs = OtherOutputs(index, [(storage, info)])
    assert await other_outputs.find(mark("b")) == named("b")
    alike = mark("b")[:8] + bytes(8)
    assert other_outputs.holds(alike), "by 64 bits of it"
    assert await other_outputs.find(alike) is None
    assert await other_outputs.find(mark("other")) is None


class _Rows:
    """What `DuplicateFinder` asks of the feed."""

    def __init__(self, works: Mapping[int, SliceResults], spent: RowCosts | None = None) -> None:
        self.works = works
        self._spent = spent or RowCosts()

    def account_of(self, work: SliceResults, row: int) -> RowCosts:
        return self._spent


class _Run:
    """An open slice whose rows share outcomes, and the outcomes that came."""

    def __init__(self, storage: Storage, ledger: Ledger, spent: RowCosts | None = None) -> None:
        self.work = SliceResults(opened(), 1)
        plan = planned((self.work.plan,))
        works = {0: self.work}
        standing = AnsweredRows(plan, storage, ledger, works)
        feed = cast(Feed, _Rows(works, spent))
        self.sharing = DuplicateFinder(
            plan, standing, feed, None, clock=ManualClock(jumps=()), finish=SliceResults.finish
        )

    async def asks(self, row: int, text: bytes) -> bool:
        prepared = PreparedRow(row, text, "", (), (), None)
        return not await self.sharing.by_fingerprint(self.work, prepared)

    async def asks_with(self, row: int, content: bytes | None) -> bool:
        prepared = PreparedRow(row, mark(str(row)), "", (), (), None)
        return not await self.sharing.by_content(self.work, prepared, content, None)


@pytest.fixture
def run(storage: Storage, ledger: Ledger) -> _Run:
    return _Run(storage, ledger)


async def test_an_equal_row_takes_the_outcome_now_or_when_it_comes(run: _Run) -> None:
    assert await run.asks(0, mark("a"))
    assert not await run.asks(1, mark("a")), "it waits for the first"
    assert run.work.results[1] is None
    run.work.finish(0, named("a"))
    assert not await run.asks(2, mark("a"))
    for row in (1, 2):
        result = run.work.results[row]
        assert result is not None
        assert (result.answer_text, result.cost_source, result.cost_pico) == ("a", CostSource.REUSED, 0)
        assert result.finished_at == 1_790_000_000 * 1_000_000, "microseconds"
    assert run.work.left == 0


async def test_a_row_whose_fingerprint_is_equal_by_half_is_asked(run: _Run) -> None:
    run.work.results[0] = named("a")
    assert await run.asks(0, mark("a"))
    assert await run.asks(1, mark("a")[:8] + bytes(8))
    assert run.work.results[1] is None


async def test_a_row_that_claimed_its_own_fingerprint_is_asked_again_after_a_stop(run: _Run) -> None:
    assert await run.asks(0, mark("a"))
    assert await run.asks(0, mark("a"))


async def test_rows_with_pictures_of_equal_content_share_under_their_own_fingerprints(run: _Run) -> None:
    content = mark("picture")
    assert await run.asks_with(0, None)
    assert await run.asks_with(0, content)
    assert await run.asks_with(0, content)
    assert not await run.asks_with(1, content)
    run.work.finish(0, named("a"))
    result = run.work.results[1]
    assert result is not None
    assert (result.fingerprint, result.answer_text) == (mark("1"), "a")


# Without its cost.


def spent(cost_pico: int | None, source: CostSource) -> RowCosts:
    account = RowCosts()
    account.add(Booking(cost_pico, source, 30, 4, 2, upstream_pico=1))
    return account


def test_an_equal_rows_outcome_costs_nothing() -> None:
    one = reused(OK, RowCosts(), fingerprint=mark("b"), now_us=7)
    assert one == dataclasses.replace(
        OK, fingerprint=mark("b"), attempts=0, prompt_tokens=0, completion_tokens=0, cached_tokens=0, cost_pico=0,
        cost_source=CostSource.REUSED, upstream_pico=None, estimated_pico=0, latency_ms=None, finished_at=7,
    )  # fmt: skip


@pytest.mark.parametrize("source", [one for one in CostSource if one is not CostSource.REUSED])
def test_what_was_spent_on_a_row_before_an_equal_one_answered_stays_its_own(source: CostSource) -> None:
    one = reused(OK, spent(500, source), fingerprint=mark("b"), now_us=7)
    assert (one.attempts, one.cost_pico, one.upstream_pico, one.cost_source) == (1, 500, 1, source)
    assert (one.prompt_tokens, one.completion_tokens, one.cached_tokens) == (30, 4, 2)


def test_what_no_price_is_known_for_stays_unknown() -> None:
    one = reused(OK, spent(None, CostSource.UNKNOWN), fingerprint=mark("b"), now_us=7)
    assert (one.cost_pico, one.cost_source) == (None, CostSource.UNKNOWN)


def test_a_failure_is_shared_as_well_and_a_stop_claims_no_source() -> None:
    failed = reused(FAILED, RowCosts(), fingerprint=mark("b"), now_us=7)
    assert (failed.status, failed.error_kind, failed.cost_source) == (Status.FAILED, "timeout", CostSource.REUSED)
    stopped = dataclasses.replace(FAILED, status=Status.NOT_ATTEMPTED, error_kind=None)
    assert reused(stopped, RowCosts(), fingerprint=mark("b"), now_us=7).cost_source is None
    assert reused(stopped, spent(5, CostSource.PRICE), fingerprint=mark("b"), now_us=7).cost_source is CostSource.PRICE


@pytest.mark.parametrize("emulated", [True, False])
async def test_answers_of_the_emulator_and_of_real_endpoints_are_never_taken_for_each_other(
    tmp_path: Path, emulated: bool
) -> None:
    other = Storage.at(tmp_path / "other")
    other.make_ready()
    results = [named("real", provider="DeepInfra"), named("simulated", provider="emulator"), named("x", provider=None)]
    about = {"part_id": "p", "slice_digest": "d", "settings": "s"}
    write_part(other, NAME, result_table(SCHEMA, MANIFEST, results, to_arrow), about)
    sections = {"manifest": {"path": "m.parquet"}, "prompt": {"user": "x"}, "model": {"name": "m"}}
    output = {"path": str(tmp_path / "out"), "reuse_from": [str(tmp_path / "other")]}
    elsewhere = OtherOutputs.open(Job.model_validate({"name": "job", **sections, "output": output}), emulated=emulated)
    assert elsewhere is not None
    found = [text for text in ("real", "simulated", "x") if await elsewhere.find(mark(text)) is not None]
    assert found == (["simulated"] if emulated else ["real", "x"])
