"""Runs blocking calls to object stores on threads; a call whose time is over is left alone.

A store's library cannot be interrupted: a call whose server is silent, or sends a byte a second, returns after minutes
or never. So no call runs on a thread that anything waits for: the caller stops waiting at its deadline, or when the run
stops, and the thread, a daemon, neither delays the end of the process nor blocks a pool that others use.

Guarantees: at most `MOST_OF_A_STORE` threads for a store and `MOST` for all, those that were left alone included; a
call beyond that fails at once.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import TypeVar

from parquill.threads import end_process, start_daemon

T = TypeVar("T")

MOST = 128
MOST_OF_A_STORE = 24

_lock = threading.Lock()
_running: Counter[str] = Counter()
_waiting: set[queue.SimpleQueue[bool]] = set()
_left = threading.Event()


class StoreSilentError(OSError):
    """A store did not answer in time."""


def start_call(store: str, call: Callable[[], T]) -> Future[T]:
    """Run `call` on a thread of its own; the future may be left alone at any time.

    Args:
        store: which store the call waits for: calls are counted by it.
        call: what blocks.

    Raises:
        StoreSilentError: too many calls to this store, or to all, have not returned yet.
    """
    with _lock:
        if _running[store] >= MOST_OF_A_STORE or _running.total() >= MOST:
            raise StoreSilentError(f"{_running[store]} calls to it have not returned yet")
        _running[store] += 1

    def counted() -> T:
        with _counted(store):
            return call()

    return start_daemon(counted, "parquill-store")


def wait_for_call(store: str, call: Callable[[], T], seconds: float) -> T:
    """Run `call` as `start_call` does and wait for it; raises `StoreSilentError` after `seconds`, or when left."""
    future = start_call(store, call)
    ended = queue.SimpleQueue[bool]()
    future.add_done_callback(lambda _: ended.put(True))
    with _lock:
        is_left = _left.is_set()
        _waiting.add(ended)
    try:
        if not is_left and ended.get(timeout=seconds):
            return future.result()
    except queue.Empty:
        raise StoreSilentError(f"the store did not answer within {seconds:.0f} s") from None
    finally:
        with _lock:
            _waiting.discard(ended)
    raise StoreSilentError("the process was interrupted while the store was waited for")


@contextlib.contextmanager
def left_when_interrupted() -> Iterator[None]:
    """End every `wait_for_call` of the process, now and later, when the body is interrupted: the process then ends."""
    _left.clear()
    try:
        yield
    except KeyboardInterrupt:
        with _lock:
            _left.set()
            for ended in _waiting:
                ended.put(False)
        raise


def calls_left() -> int:
    """Return how many calls have not returned."""
    with _lock:
        return _running.total()


def exit_beside_calls(status: int) -> None:
    """End the process at once where a call has not returned; else do nothing.

    pyarrow waits at the process's end for what is under way in S3.
    """
    if calls_left():
        end_process(status)


@contextlib.contextmanager
def _counted(store: str) -> Iterator[None]:
    try:
        yield
    finally:
        with _lock:
            _running[store] -= 1
            if not _running[store]:
                del _running[store]
