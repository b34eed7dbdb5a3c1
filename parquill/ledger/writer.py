"""The one thread that owns the connection: groups and calls in, commits out."""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Generic, TypeVar

from parquill.errors import ParquillError, StorageFaultError
from parquill.ledger.batch_commit import BatchCommit, again
from parquill.ledger.schema import connect, ledger_fault

T = TypeVar("T")

_CHANGES_PER_CHECKPOINT = 8_192
"""Changed rows after which the write-ahead log is moved into the database: so few that what waits
meanwhile is still durable in time."""


class Pending(Generic[T]):
    """A result that the writer thread owes: `await` it in an event loop, or take `result()`."""

    __slots__ = ("_future",)

    def __init__(self, future: Future[T]) -> None:
        self._future = future

    def __await__(self) -> Generator[Any, None, T]:
        return asyncio.wrap_future(self._future).__await__()

    def result(self) -> T:
        """Wait for it, blocking; not for an event loop's thread."""
        return self._future.result()


class _Call(Generic[T]):
    __slots__ = ("future", "work")

    def __init__(self, work: Callable[[sqlite3.Connection], T]) -> None:
        self.work = work
        self.future: Future[T] = Future()


class Writer:
    """Commits what it is handed, in order; groups that wait together go into one commit.

    A commit or sync that failed is never tried again: the system may have dropped the very
    pages that it could not write. Every waiter, and every later call, hears of it.
    """

    def __init__(self, path: Path, job: str) -> None:
        self._path = path
        self._job = job
        self._queue: queue.SimpleQueue[BatchCommit | _Call[Any] | None] = queue.SimpleQueue()
        self.fault: ParquillError | None = None
        self.commits = 0
        ready: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="parquill-ledger", daemon=True)
        self._thread.start()
        ready.result()

    def send(self, group: BatchCommit) -> None:
        """Hand over a group; its `durable` hears of the commit."""
        self._queue.put(group)

    def call(self, work: Callable[[sqlite3.Connection], T]) -> Pending[T]:
        """Run `work` in a transaction of its own, after all that was handed over before."""
        if self.fault is not None:
            raise again(self.fault)
        call = _Call(work)
        self._queue.put(call)
        return Pending(call.future)

    def close(self) -> None:
        """Commit what was handed over, and end the thread."""
        self._queue.put(None)
        self._thread.join()

    def _run(self, ready: Future[None]) -> None:
        try:
            db = connect(self._path, self._job)
        except BaseException as error:  # it belongs to the thread that waits for `ready`
            ready.set_exception(error)
            return
        ready.set_result(None)
        try:
            self._serve(db)
        finally:
            db.close()

    def _serve(self, db: sqlite3.Connection) -> None:
        groups: list[BatchCommit] = []
        checkpointed = db.total_changes
        while True:
            item = self._next(wait=not groups)
            if isinstance(item, BatchCommit):
                groups.append(item)
                continue
            if groups:
                self._commit_groups(db, groups)
                groups = []
            if isinstance(item, _Call):
                self._commit_call(db, item)
            elif item is _STOP:
                return
            if self.fault is None and db.total_changes - checkpointed > _CHANGES_PER_CHECKPOINT:
                checkpointed = db.total_changes
                self._checkpoint(db)

    def _next(self, *, wait: bool) -> BatchCommit | _Call[Any] | object:
        try:
            item = self._queue.get(block=wait)
        except queue.Empty:
            return _NOTHING
        return _STOP if item is None else item

    def _commit_groups(self, db: sqlite3.Connection, groups: list[BatchCommit]) -> None:
        if self.fault is None:
            try:
                db.execute("BEGIN IMMEDIATE")
                for group in groups:
                    group.apply(db)
                db.execute("COMMIT")
                self.commits += 1
            except Exception as error:  # whatever broke it, the waiters must hear
                self._break(error)
        for group in groups:
            group.durable.finish_from_thread(self.fault)

    def _commit_call(self, db: sqlite3.Connection, call: _Call[Any]) -> None:
        if not call.future.set_running_or_notify_cancel():
            return
        if self.fault is not None:
            call.future.set_exception(again(self.fault))
            return
        try:
            db.execute("BEGIN")  # not IMMEDIATE: who only reads (a verification beside a run) holds up no commit
            result = call.work(db)
            db.execute("COMMIT")
        except sqlite3.Error as error:
            call.future.set_exception(again(self._break(error)))
        except Exception as error:  # a wrong argument is the caller's fault, the ledger goes on
            db.execute("ROLLBACK")
            call.future.set_exception(error)
        else:
            self.commits += 1
            call.future.set_result(result)

    def _checkpoint(self, db: sqlite3.Connection) -> None:
        try:
            db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error as error:
            self._break(error)

    def _break(self, error: Exception) -> ParquillError:
        if isinstance(error, sqlite3.Error):
            self.fault = ledger_fault(error, self._path)
        else:
            self.fault = StorageFaultError(f"{self._path}: the ledger could not be written: {error!r}")
        self.fault.__cause__ = error
        return self.fault


_STOP, _NOTHING = object(), object()
