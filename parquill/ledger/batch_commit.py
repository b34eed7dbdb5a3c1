"""Commits what many rows hand over within some milliseconds as one batch."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Generator
from itertools import chain
from typing import Any

from parquill.errors import ParquillError
from parquill.ledger.schema import SETTLED

_ROWS_PER_STATEMENT = 32
"""Statements for many rows at once cost less to step than one for each."""


def _statements(head: str, columns: int, tail: str = "") -> tuple[str, str]:
    """The same statement for one row of `columns` values and for many."""
    row = f"({', '.join('?' * columns)})"
    return f"{head} VALUES {row}{tail}", f"{head} VALUES {', '.join([row] * _ROWS_PER_STATEMENT)}{tail}"


_INTEND = _statements(
    "INSERT INTO attempts (key, number, run_id, fingerprint, worst_pico, worst_tokens, sent_at)", columns=7
)
_HEADERS = "UPDATE attempts SET generation_id = ? WHERE key = ? AND number = ?"
_SETTLE = f"""
UPDATE attempts SET state = {SETTLED}, cost_pico = ?, cost_source = ?, prompt_tokens = ?, completion_tokens = ?,
    cached_tokens = ?, error_kind = ?, upstream_pico = ? WHERE key = ? AND number = ?
"""  # noqa: S608 - a constant
_REDATE = "UPDATE attempts SET sent_at = ? WHERE key = ? AND number = ?"
_WITHDRAW = "DELETE FROM attempts WHERE key = ? AND number = ?"
# A row costs what its last attempt did and what those before it did: the ledger sums, not its caller.
_RECORD = _statements(
    "INSERT INTO rows (key, run_id, fingerprint, ok, cost_pico, payload) SELECT column1, column2, column3, column4, "
    "column5 + (SELECT coalesce(sum(cost_pico), 0) FROM attempts WHERE key = column1), column6 FROM (",
    columns=6,
    tail=")",
)
_FORGET = _statements("DELETE FROM attempts WHERE key IN (", columns=1, tail=")")
BOOK = """
INSERT INTO spend VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (run_id, quarter) DO UPDATE SET
    requests = requests + excluded.requests, pico = pico + excluded.pico, tokens = tokens + excluded.tokens,
    prompt_tokens = prompt_tokens + excluded.prompt_tokens,
    completion_tokens = completion_tokens + excluded.completion_tokens,
    doubts = doubts + excluded.doubts, doubt_pico = doubt_pico + excluded.doubt_pico
"""
_ASKED = """
INSERT INTO asked VALUES (?, ?, ?)
ON CONFLICT (endpoint, quarter) DO UPDATE SET requests = requests + excluded.requests
"""


class Durable:
    """Awaitable: returns when what was handed over survives a power cut.

    One stands for a whole group. Each `await` has a future of its own, so that a cancelled
    task does not cancel its neighbours' waiting. Raises what broke the commit.
    """

    __slots__ = ("_done", "_fault", "_loop", "_waiters")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiters: list[asyncio.Future[None]] = []
        self._done = False
        self._fault: ParquillError | None = None

    def __await__(self) -> Generator[Any, None, None]:
        if not self._done:
            waiter = self._loop.create_future()
            self._waiters.append(waiter)
            yield from waiter
        if self._fault is not None:
            raise again(self._fault)

    @property
    def done(self) -> bool:
        """Whether an `await` would return at once."""
        return self._done

    def finish_from_thread(self, fault: ParquillError | None) -> None:
        """Wake all who wait; called by the writer."""
        try:
            self._loop.call_soon_threadsafe(self._finish, fault)
        except RuntimeError:  # the loop is closed: no caller waits any more
            return

    def _finish(self, fault: ParquillError | None) -> None:
        self._done, self._fault = True, fault
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()


def again(fault: ParquillError) -> ParquillError:
    """The same fault for one more listener: a shared exception would gather everyone's traceback."""
    copy = type(fault)(*fault.args)
    copy.__cause__ = fault.__cause__
    return copy


class BatchCommit:
    """Operations of one commit, as the parameter tuples of their statements."""

    __slots__ = (
        "asked", "durable", "headers", "intents", "outcomes", "redated", "settled", "size", "spend", "thread",
        "withdrawn",
    )  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.durable = Durable(loop)
        self.thread = threading.get_ident()
        self.size = 0
        self.intents: list[tuple[Any, ...]] = []
        self.redated: list[tuple[int, int, int]] = []
        self.headers: list[tuple[Any, ...]] = []
        self.settled: list[tuple[Any, ...]] = []
        self.withdrawn: list[tuple[int, int]] = []
        self.outcomes: list[tuple[Any, ...]] = []
        self.spend: dict[tuple[int, int], list[int]] = {}
        self.asked: dict[tuple[str, int], int] = {}

    def book(self, where: tuple[int, int], pico: int, tokens: int, prompt: int, completion: int) -> None:
        """Add one request to the spend of `where`: its run, and the quarter hour in which it was sent."""
        sums = self.spend.get(where)
        if sums is None:
            self.spend[where] = [1, pico, tokens, prompt, completion]
            return
        sums[0] += 1
        sums[1] += pico
        sums[2] += tokens
        sums[3] += prompt
        sums[4] += completion

    def apply(self, db: sqlite3.Connection) -> None:
        """Execute within the caller's transaction.

        By kind, in the order in which an attempt lives: one intended and settled in the same
        group is inserted before it is updated.
        """
        if self.intents:
            _execute(db, _INTEND, self.intents)
        if self.redated:
            db.executemany(_REDATE, self.redated)
        if self.headers:
            db.executemany(_HEADERS, self.headers)
        if self.settled:
            db.executemany(_SETTLE, self.settled)
        if self.withdrawn:
            db.executemany(_WITHDRAW, self.withdrawn)
        if self.outcomes:
            _execute(db, _RECORD, self.outcomes)
            _execute(db, _FORGET, [outcome[:1] for outcome in self.outcomes])
        if self.spend:
            db.executemany(BOOK, [(*where, *sums, 0, 0) for where, sums in self.spend.items()])
        if self.asked:
            db.executemany(_ASKED, [(*where, requests) for where, requests in self.asked.items()])


def _execute(db: sqlite3.Connection, statements: tuple[str, str], rows: list[tuple[Any, ...]]) -> None:
    """Execute for all rows: as many as fit with the statement for many, the rest one by one."""
    one, many = statements
    whole = len(rows) - len(rows) % _ROWS_PER_STATEMENT
    for at in range(0, whole, _ROWS_PER_STATEMENT):
        db.execute(many, tuple(chain.from_iterable(rows[at : at + _ROWS_PER_STATEMENT])))
    db.executemany(one, rows[whole:])
