"""Whatever happens in whatever order, kills included: what was spent is where the answers are."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from parquill.ledger import ArchiveEntry, CarriedRow, Ledger, SliceRecord
from tests.clock import ManualClock
from tests.lanes import examples

ROWS = 3
NAME = st.sampled_from(("a.000000.parquet", "a.000001.parquet"))
ROW = st.integers(0, ROWS - 1)
TEXT = st.sampled_from(("this", "that"))
COST = st.integers(1, 50)
DIE_AT = st.sampled_from((None, None, 0, 1, 2, 3))


@dataclass
class Row:
    """One row of a part that stands."""

    text: str
    cost: int
    ok: bool
    attempts: int = 1
    finished: bool = True


@dataclass
class Part:
    part_id: str
    rows: dict[int, Row] = field(default_factory=dict)

    @property
    def cost(self) -> int:
        return sum(row.cost for row in self.rows.values())


@dataclass
class Flight:
    attempt: int
    name: str
    row: int
    worst: int


def print_of(text: str) -> bytes:
    return text.encode().ljust(16, b".")


def payload_of(row: Row) -> bytes:
    return f"{row.text} {row.cost} {row.ok:d}".encode()


def row_of(payload: bytes) -> Row:
    text, cost, ok = payload.decode().split()
    return Row(text, int(cost), ok == "1")


def entry_of(row: Row) -> ArchiveEntry:
    return ArchiveEntry(print_of(row.text), "real", row.ok, row.cost, payload_of(row) if row.finished else None)


class Books(RuleBasedStateMachine):
    """Two slices of three rows, published again and again while texts change and processes die."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
        self.loop = asyncio.new_event_loop()
        self.lives = itertools.count(1)
        self.ids = itertools.count(1)
        self.path = self.folder / "0.sqlite"
        self.ledger = Ledger.open(self.path, job="job", clock=ManualClock())
        self.parts: dict[str, Part] = {}
        self.slices: dict[str, SliceRecord] = {}
        self.flights: list[Flight] = []
        self.publishing: dict[str, Part] = {}
        self.spent = 0

    def teardown(self) -> None:
        self.ledger.close()
        self.loop.close()
        shutil.rmtree(self.folder)

    @initialize()
    def begin(self) -> None:
        self.run = self.ledger.begin_run(realm="real", model="m", settings="s", cap_pico=None).result()

    def slice_id(self, name: str) -> int:
        if name not in self.slices:
            fresh = self.slices[name] = self.ledger.slice(name, "digest").result()
            assert self.ledger.open_rows(fresh.id).result() == {}
            assert self.ledger.open_attempts(fresh.id).result() == {}
        return self.slices[name].id

    def busy(self, name: str, row: int | None = None) -> bool:
        return any(flight.name == name and row in {None, flight.row} for flight in self.flights)

    def before(self, name: str, row: int) -> tuple[int, int]:
        """Attempts and cost so far of a row without an outcome."""
        ended = self.ledger.open_attempts(self.slice_id(name)).result().get(row, [])
        return max((attempt.number for attempt in ended), default=0), sum(attempt.cost_pico for attempt in ended)

    def answered(self, name: str, row: int) -> bool:
        return row in self.ledger.open_rows(self.slice_id(name)).result()

    @rule(name=NAME, row=ROW, text=TEXT, costs=st.lists(COST, max_size=2), last=COST, ok=st.booleans())
    def answer(self, name: str, row: int, text: str, costs: list[int], last: int, *, ok: bool) -> None:
        """A row is asked, perhaps again and again, and has an outcome."""
        if self.busy(name, row) or self.answered(name, row):
            return
        for cost in costs:
            self.fail(name, row, text, cost)
        self.loop.run_until_complete(self._answer(name, row, text, last, ok=ok))
        self.spent += last

    async def _answer(self, name: str, row: int, text: str, cost: int, *, ok: bool) -> None:
        result = Row(text, self.before(name, row)[1] + cost, ok)
        attempt = self._intend(name, row, text, 99)
        self.ledger.record(
            run=self.run,
            slice_id=self.slice_id(name),
            row=row,
            fingerprint=print_of(text),
            ok=ok,
            payload=payload_of(result),
            attempt=attempt,
            cost_pico=cost,
            prompt_tokens=0,
            completion_tokens=0,
        )

    @rule(name=NAME, row=ROW, text=TEXT, cost=COST)
    def fail(self, name: str, row: int, text: str, cost: int) -> None:
        """A request ends and its row has no outcome yet."""
        if not self.busy(name, row) and not self.answered(name, row):
            self.loop.run_until_complete(self._fail(name, row, text, cost))
            self.spent += cost

    async def _fail(self, name: str, row: int, text: str, cost: int) -> None:
        self.ledger.settle(
            self._intend(name, row, text, 99),
            cost_pico=cost,
            cost_source="endpoint",
            prompt_tokens=0,
            completion_tokens=0,
            cached_tokens=0,
            error_kind=None,
        )

    @rule(name=NAME, row=ROW, text=TEXT, worst=COST, withdraw=st.booleans())
    def send(self, name: str, row: int, text: str, worst: int, *, withdraw: bool) -> None:
        """A request is sent, and nothing heard; or it is not sent after all."""

        async def intend() -> None:
            attempt = self._intend(name, row, text, worst)
            if withdraw:
                self.ledger.withdraw(attempt)
            else:
                self.flights.append(Flight(attempt, name, row, worst))

        if not self.busy(name, row) and not self.answered(name, row):
            self.loop.run_until_complete(intend())

    def _intend(self, name: str, row: int, text: str, worst: int) -> int:
        attempt, _ = self.ledger.intend(
            run=self.run,
            slice_id=self.slice_id(name),
            row=row,
            number=self.before(name, row)[0] + 1,
            fingerprint=print_of(text),
            worst_pico=worst,
            worst_tokens=0,
            sent_at=0,
        )
        return attempt

    @rule(name=NAME, row=ROW, text=TEXT, failed=st.booleans())
    def adopt(self, name: str, row: int, text: str, *, failed: bool) -> None:
        """A row, perhaps one that was asked in vain before, looks for its answer in the archive."""
        if self.busy(name, row) or self.answered(name, row):
            return
        if failed:
            self.fail(name, row, text, 3)
        wanted = [(row, print_of(text))]
        found = self.ledger.adopt(run=self.run, slice_id=self.slice_id(name), wanted=wanted).result()
        assert all(row_of(payload).text == text and row_of(payload).ok for payload in found.values())

    @rule(name=NAME, row=ROW)
    def lift_twice(self, name: str, row: int) -> None:
        """A process that died after lifting lifts again."""
        self.lift(name, row)
        self.check()
        self.lift(name, row)

    def lift(self, name: str, row: int) -> None:
        """A row of a standing part is to be asked again, or goes on where it stopped."""
        old = self.parts.get(name)
        if old is None or row not in old.rows or self.busy(name, row):
            return
        had = old.rows[row]
        if had.finished or self.answered(name, row) or self.before(name, row)[0]:
            self.ledger.lift(old.part_id, [(row, entry_of(had))]).result()
        else:
            slice_id = self.slice_id(name)
            carried = CarriedRow(
                slice_id, row, self.run, print_of(had.text), had.attempts, had.cost, "endpoint", None, None, None
            )
            self.ledger.lift(old.part_id, [], [(row, carried)]).result()

    @rule(name=NAME, die_at=DIE_AT)
    def publish(self, name: str, die_at: int | None) -> None:
        if self.busy(name):
            return
        for number, _ in enumerate(self._publish(name)):
            self.check()
            if number == die_at:
                self.die()
                return

    def _publish(self, name: str) -> Iterator[None]:
        slice_id, old = self.slice_id(name), self.parts.get(name)
        part = Part(f"part {next(self.ids)}")
        for row in range(ROWS):
            attempts, cost = self.before(name, row)
            if attempts:
                part.rows[row] = Row("this", cost, ok=False, attempts=attempts, finished=False)
        for row, payload in self.ledger.open_rows(slice_id).result().items():
            part.rows[row] = row_of(payload)
        if old is not None:
            lifted = set(self.ledger.lifted_rows(old.part_id).result())
            kept = {row: had for row, had in old.rows.items() if row not in lifted}
            self.ledger.lift(
                old.part_id, [(row, entry_of(had)) for row, had in kept.items() if row in part.rows]
            ).result()
            part.rows |= {row: had for row, had in kept.items() if row not in part.rows}
        yield
        self.ledger.begin_publish(slice_id, part.part_id, old.part_id if old else None).result()
        self.publishing[name] = part
        yield
        self.parts[name] = part
        yield
        self.ledger.finish_publish(slice_id).result()
        del self.publishing[name], self.slices[name]
        assert self.ledger.lifted_rows(old.part_id if old else "").result() == []
        yield

    @rule(name=NAME)
    def retire(self, name: str) -> None:
        if name in self.slices and not self.busy(name):
            self.ledger.retire(self.slices.pop(name).id).result()

    @rule(name=NAME, die_at=DIE_AT)
    def leave(self, name: str, die_at: int | None) -> None:
        """The slice is gone from the manifest: its part's rows move to the archive, then the part goes."""
        part = self.parts.get(name)
        if name in self.slices or part is None:
            return
        self.ledger.lift(part.part_id, [(row, entry_of(had)) for row, had in part.rows.items()]).result()
        self.check()
        if die_at is not None:
            self.die()
        if die_at == 1:
            return
        del self.parts[name]
        self.check()
        self.ledger.drop_part(part.part_id).result()

    @rule()
    def die(self) -> None:
        """What a killed process leaves is what its files are; the next one opens them."""
        self.ledger.slices().result()  # all that was handed over is committed
        path = self.folder / f"{next(self.lives)}.sqlite"
        for suffix in ("", "-wal"):
            shutil.copy(f"{self.path}{suffix}", f"{path}{suffix}")
        self.ledger.close()
        self.path, self.ledger = path, Ledger.open(path, job="job", clock=ManualClock())
        recovery = self.ledger.recover({name: part.part_id for name, part in self.parts.items()}).result()
        assert recovery.worst_pico == sum(flight.worst for flight in self.flights)
        assert {(name, row) for name, rows in recovery.by_slice.items() for row in rows} == {
            (flight.name, flight.row) for flight in self.flights
        }
        stood = {name for name, part in self.publishing.items() if self.parts.get(name) is part}
        assert set(recovery.published) == stood
        self.spent += recovery.worst_pico
        self.flights, self.publishing = [], {}
        self.slices = {held.name: held for held in self.ledger.slices().result()}

    @invariant()
    def check(self) -> None:
        books = self.ledger.books({name: (part.part_id, part.cost) for name, part in self.parts.items()}).result()
        assert books.balanced, books
        assert books.runs_pico == self.spent
        assert books.in_flight == len(self.flights)


Books.TestCase.settings = settings(max_examples=examples(50), stateful_step_count=30)
TestTheBooksAlwaysBalance = Books.TestCase
