"""Runs long work in threads that end soon after it is cancelled.

A thread cannot be cancelled from outside. So what may take long (reading a manifest, planning, listing a
folder) is started by `in_thread` and calls `stop_point` between two pieces of it: chunks, files, parts. When the
caller is cancelled, the work ends at its next `stop_point`, and the caller waits for that, so that nothing is
still read or written after its owner has gone. What is stuck in one call for longer (a network drive, an
object store that does not answer) is left behind after `LEAVE_AFTER` seconds: these threads are daemons, so they
keep neither the event loop nor the process from ending.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import functools
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

LEAVE_AFTER = 1.0
"""Seconds that a cancelled caller waits for the end of its work."""

Wait = Callable[[Coroutine[Any, Any, T]], T]
"""Runs a coroutine in an event loop and waits for its result, in a thread beside that loop."""


class StoppedError(BaseException):
    """The work is not wanted any more. No `Exception`: it is no fault of the row or file that was at hand."""


class _Flag:
    """Whether one piece of work is to stop, and what it waits for meanwhile."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._awaited: concurrent.futures.Future[Any] | None = None
        self.is_set = False

    def set(self) -> None:
        with self._lock:
            self.is_set, awaited = True, self._awaited
        if awaited is not None:
            awaited.cancel()

    def result(self, awaited: concurrent.futures.Future[T]) -> T:
        """Wait for a result; raises `StoppedError` once the flag is set."""
        with self._lock:
            self._awaited = awaited
            stopped = self.is_set
        if stopped:
            awaited.cancel()
        try:
            return awaited.result()
        except concurrent.futures.CancelledError:
            if self.is_set:
                raise StoppedError from None
            raise
        finally:
            self._awaited = None


_flag: contextvars.ContextVar[_Flag | None] = contextvars.ContextVar("parquill_stop", default=None)


def stop_point() -> None:
    """Raise `StoppedError` where this runs for a caller that was cancelled; else do nothing, at no cost."""
    flag = _flag.get()
    if flag is not None and flag.is_set:
        raise StoppedError


async def in_thread(work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call `work` in a thread of its own and return its result.

    Raises:
        What `work` raised; `CancelledError` where the caller was cancelled, once `work` has ended or was left behind.
    """
    flag, context = _Flag(), contextvars.copy_context()
    context.run(_flag.set, flag)
    call = functools.partial(context.run, work, *args, **kwargs)
    running: asyncio.Future[T] = asyncio.get_running_loop().run_in_executor(_THREADS, call)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        flag.set()
        try:
            await asyncio.wait({running}, timeout=LEAVE_AFTER)
        finally:
            running.cancel()  # one that was left behind does not report to a loop that may be closed by then
        raise


def wait_in(loop: asyncio.AbstractEventLoop) -> Wait[Any]:
    """Return a `Wait` for a thread beside `loop`; it ends as `stop_point` does where the thread's work is to stop."""

    def wait(work: Coroutine[Any, Any, T]) -> T:
        awaited, flag = asyncio.run_coroutine_threadsafe(work, loop), _flag.get()
        return awaited.result() if flag is None else flag.result(awaited)

    return wait


def start_daemon(call: Callable[[], T], name: str) -> concurrent.futures.Future[T]:
    """Run `call` on a daemon thread called `name`; the future may be left alone, a cancellation does not reach it."""
    result: concurrent.futures.Future[T] = concurrent.futures.Future()
    result.set_running_or_notify_cancel()

    def run() -> None:
        try:
            value = call()
        except BaseException as fault:  # it is the caller's
            result.set_exception(fault)
        else:
            result.set_result(value)

    threading.Thread(target=run, name=name, daemon=True).start()
    return result


def end_process(status: int) -> NoReturn:
    """End the process now, whatever its threads wait for; what has to be closed is closed before.

    Python's own clean-up is left out: it would join or await what is stuck.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # closed, or no one reads it any more
            stream.flush()
    os._exit(status)


class TimedThreads(concurrent.futures.ThreadPoolExecutor):
    """The threads of an event loop; `longest_call` tells for how long their calls have been running."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> concurrent.futures.Future[T]:
        """Run a call on one of the threads, as `Executor.submit` does."""

        def timed() -> T:
            call = object()
            _begun[call] = time.monotonic()
            try:
                return fn(*args, **kwargs)
            finally:
                del _begun[call]

        return super().submit(timed)


_begun: dict[object, float] = {}


def longest_call() -> float:
    """Return for how many seconds the oldest call on `TimedThreads` has been running; 0 without one."""
    return max((time.monotonic() - began for began in list(_begun.values())), default=0.0)


class _DaemonThreads(concurrent.futures.Executor):
    """A thread for each call, which no one waits for at the end of the process."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> concurrent.futures.Future[T]:
        return start_daemon(functools.partial(fn, *args, **kwargs), "parquill-work")


_THREADS = _DaemonThreads()
