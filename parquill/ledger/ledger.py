"""`Ledger`: the package's facade. Calls outside the hot path run on the writer's thread."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from parquill.clock import Clock, SystemClock
from parquill.ledger import accounting, archive, evidence, failures, portion_booking, slices
from parquill.ledger.records import (
    ArchiveEntry,
    AskedOf,
    AttemptRecord,
    Books,
    CarriedRow,
    DatedSpend,
    EvidenceCount,
    FailureRecord,
    LedgerStatistics,
    OpenSlice,
    Recovery,
    RunRecord,
    SliceRecord,
    Spend,
    TakenPart,
)
from parquill.ledger.request_writes import RequestWrites
from parquill.ledger.writer import Pending, Writer

T = TypeVar("T")
P = ParamSpec("P")


class Ledger(RequestWrites):
    """What a crash must not lose, in one SQLite file.

    Methods that return a `Durable` (and `headers`) belong to the event loop's thread: they note an operation and
    return at once; `await` the `Durable` to go on only when it survives a power cut. Those that return a `Pending`
    run on the writer's thread in one transaction, after all that was handed over before: `await` it, or take
    `.result()` outside a loop. After a write or sync has failed, all raise `StorageFullError` or `StorageFaultError`.
    """

    def __init__(self, path: Path, writer: Writer, clock: Clock) -> None:
        super().__init__(writer, clock)
        self.path = path

    @classmethod
    def open(cls, path: Path, *, job: str, clock: Clock | None = None) -> Ledger:
        """Open a job's ledger, or create it; its folder must be there. Blocks.

        Raises `OutputError` for another job's or one of a newer format, `StorageFaultError` for a damaged one.
        """
        return cls(path, Writer(path, job), clock or SystemClock())

    def close(self) -> None:
        """Commit what was handed over and release the file. Blocks."""
        self.flush()
        self._writer.close()

    def statistics(self) -> LedgerStatistics:
        """Operations so far, and the commits that they shared."""
        return LedgerStatistics(self._operations, self._writer.commits)

    def recover(self, standing: Mapping[str, str]) -> Pending[Recovery]:
        """At the start, before anything is sent: put right what a dead process left. A second call finds nothing.

        `standing` maps names of standing parts to their ids. Requests of unknown fate are booked at worst case now.
        """
        return self._call(slices.recover, standing)

    def begin_run(self, *, realm: str, model: str, settings: str, cap_pico: int | None) -> Pending[int]:
        """Begin a run and return its id; one that has not ended ends now."""
        return self._call(
            accounting.begin_run, self._now(), realm=realm, model=model, settings=settings, cap_pico=cap_pico
        )

    def resume_run(self, run: int, *, model: str, settings: str, cap_pico: int | None) -> Pending[None]:
        """Go on with a run that stopped or died, perhaps with another cap."""
        return self._call(accounting.resume_run, run, model=model, settings=settings, cap_pico=cap_pico)

    def end_run(self, run: int, stop: str | None) -> Pending[None]:
        """Note why the run stopped with rows left; None: it came to its end."""
        return self._call(accounting.end_run, run, stop, self._now())

    def current_run(self) -> Pending[RunRecord | None]:
        """The run that has not come to its end, if any."""
        return self._call(accounting.current_run)

    def runs(self) -> Pending[list[RunRecord]]:
        """All runs, oldest first."""
        return self._call(accounting.runs)

    def totals(self, run: int) -> Pending[Spend]:
        """What a run has booked."""
        return self._call(accounting.totals, run)

    def spent_since(self, start_us: int) -> Pending[list[DatedSpend]]:
        """What all runs booked for requests sent from then on, by quarter hours."""
        return self._call(accounting.spent_since, start_us)

    def asked_since(self, start_us: int) -> Pending[list[AskedOf]]:
        """How many requests sent from then on went to each endpoint, by quarter hours, as far as that was noted."""
        return self._call(accounting.asked_since, start_us)

    def open_books(self, spent: Sequence[DatedSpend]) -> Pending[None]:
        """A new ledger for parts that stand already: book their cost as spent before."""
        return self._call(accounting.open_books, spent, self._now())

    def square(self, difference_pico: int) -> Pending[None]:
        """Book what is held (above 0) and was not noted as spent, or was spent (below 0) and is held no more."""
        return self._call(accounting.square, difference_pico, self._now())

    def books(self, parts: Mapping[str, tuple[str, int]]) -> Pending[Books]:
        """Sum both sides; `parts` maps names of standing parts to (part id, cost in pico-USD)."""
        return self._call(accounting.books, parts)

    def slice(self, name: str, digest: str) -> Pending[SliceRecord]:
        """Open the slice of a part's name; outcomes stay while the digest does, else go to the archive."""
        return self._call(slices.open_slice, name, digest, self._now())

    def slices(self) -> Pending[list[SliceRecord]]:
        """All open slices, by name."""
        return self._call(slices.all_slices)

    def contents(self) -> Pending[list[OpenSlice]]:
        """What the ledger holds, by open slice; an empty list after a run that ended."""
        return self._call(slices.contents)

    def open_rows(self, slice_id: int) -> Pending[dict[int, bytes]]:
        """Encoded outcomes of a slice, by row."""
        return self._call(slices.outcomes, slice_id)

    def outcome(self, slice_id: int, row: int) -> Pending[bytes | None]:
        """The encoded outcome of one row."""
        return self._call(slices.outcome, slice_id, row)

    def answered(self, slice_id: int) -> Pending[dict[int, bytes | None]]:
        """A slice's rows with an outcome, with the fingerprint where that is an answer."""
        return self._call(slices.answered, slice_id)

    def open_attempts(self, slice_id: int) -> Pending[dict[int, list[AttemptRecord]]]:
        """Ended and doubtful attempts of the slice's rows without an outcome, by row."""
        return self._call(slices.open_attempts, slice_id)

    def retire(self, slice_id: int) -> Pending[int]:
        """Close a slice that the manifest no longer has: outcomes and costs move to the archive."""
        return self._call(archive.retire, slice_id, self._now())

    def begin_publish(self, slice_id: int, part_id: str, replaces: str | None) -> Pending[None]:
        """Before a slice's part is written: note its id, and the id of the part in whose place it comes."""
        return self._call(slices.begin_publish, slice_id, part_id, replaces)

    def finish_publish(self, slice_id: int, failed: Iterable[FailureRecord] = (), realm: str = "") -> Pending[None]:
        """After the part stands under its name: the slice leaves the ledger, what `failed` in a realm is counted."""
        return self._call(slices.finish_publish, slice_id, failed, realm)

    def failures(self, marks: Iterable[bytes], realm: str, runs: int = 1) -> Pending[dict[bytes, FailureRecord]]:
        """Which requests failed alike in at least so many runs, by fingerprint; `marks` are those looked for."""
        return self._call(failures.found, marks, realm, runs)

    def some_failed(self, realm: str, runs: int) -> Pending[bool]:
        """Whether any request of a realm failed alike in at least `runs` runs."""
        return self._call(failures.some, realm, runs)

    def lift(
        self, part_id: str, archived: Iterable[tuple[int, ArchiveEntry]], carried: Iterable[tuple[int, CarriedRow]] = ()
    ) -> Pending[int]:
        """Before a standing part is replaced or removed: take rows of it into archive or ledger.

        Pairs begin with the row's number in that part, where it does not count from here on, and are ignored for one
        that was lifted before. Returns the pico-USD moved.
        """
        return self._call(archive.lift, part_id, archived, carried, self._now())

    def lifted_rows(self, part_id: str) -> Pending[Sequence[int]]:
        """Rows of a standing part that were lifted: they live in archive or ledger now."""
        return self._call(archive.lifted_rows, part_id)

    def drop_part(self, part_id: str) -> Pending[None]:
        """After the file of a part, all of whose rows were lifted, is gone: forget the part."""
        return self._call(archive.forget_part, part_id)

    def archive_holds(self, realm: str) -> Pending[bool]:
        """Whether an answer of this realm could be found in the archive at all."""
        return self._call(archive.holds, realm)

    def adopt(self, *, run: int, slice_id: int, wanted: Iterable[tuple[int, bytes]]) -> Pending[dict[int, bytes]]:
        """Make archived answers of the run's realm the outcomes of `wanted` (row, fingerprint); returns them by row."""
        return self._call(archive.adopt, run, slice_id, wanted, self._now())

    def archived(self, fingerprints: Iterable[bytes], realm: str) -> Pending[dict[bytes, bytes]]:
        """Look which of these fingerprints have an answer in the archive: its encoded result; nothing moves."""
        return self._call(archive.answers, fingerprints, realm)

    def rename_archived(self, names: Iterable[tuple[bytes, bytes]], realm: str) -> Pending[None]:
        """Put archived answers under other fingerprints, where no row finds them; costs stay as they are."""
        return self._call(archive.rename, names, realm, self._now())

    def take_part(self, portion: str, *, run: int, realm: str, part: TakenPart) -> Pending[None]:
        """Take what another process of the run asked of a slice into these books; a second time changes nothing."""
        return self._call(portion_booking.take_part, portion, self._now(), run=run, realm=realm, part=part)

    def close_portion(self, portion: str, *, run: int, rest: Sequence[DatedSpend]) -> Pending[None]:
        """After a portion's last part: book what it spent besides (`rest`); a second time changes nothing."""
        return self._call(portion_booking.close_portion, portion, self._now(), run=run, rest=rest)

    def note_evidence(self, count: EvidenceCount) -> Pending[None]:
        """Note how many lines a process left in the tables about single requests, in place of what it noted before."""
        return self._call(evidence.note, count)

    def evidence(self) -> Pending[list[EvidenceCount]]:
        """What every process noted so, oldest first."""
        return self._call(evidence.counts)

    def forget_portion(self, portion: str) -> Pending[None]:
        """After a closed portion's files are gone."""
        return self._call(portion_booking.forget_portion, portion)

    def _call(
        self, work: Callable[Concatenate[sqlite3.Connection, P], T], *arguments: P.args, **named: P.kwargs
    ) -> Pending[T]:
        group = self._group
        if group is not None and group.thread == threading.get_ident():
            self._send(group)  # the caller expects to see what it handed over itself
        return self._writer.call(lambda db: work(db, *arguments, **named))

    def _now(self) -> int:
        return int(self._clock.wall() * 1_000_000)
