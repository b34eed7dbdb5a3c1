"""Event loops, and the one place that makes tasks.

Every task has an owner who hears of the exception that ends it: none is started and forgotten
(`tests/test_architecture.py` holds that no other module makes tasks).

    Tasks          a set of tasks; a fault in one is passed to the owner's function
    meanwhile      tasks beside a body; a fault in one cancels the body and is raised in its place
    together       a list of jobs; the first fault in their order is raised
    run_in         a coroutine in a runner, whose end waits for no thread where it is cancelled
    to_its_end     one task that outlives the cancellation of its caller
    apart          a piece of work on foreign data, in a thread where the data are long
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from parquill.gc_tuning import seldom_collected
from parquill.store_calls import left_when_interrupted
from parquill.threads import TimedThreads

T = TypeVar("T")

_log = logging.getLogger(__name__)


LONG = 100_000
"""Bytes or characters of foreign data; reading them takes a microsecond for each at the most."""


async def apart(size: int, work: Callable[..., T], *values: Any) -> T:
    """Return `work(*values)`; where its data are long, signals and other rows do not wait for it."""
    return work(*values) if size <= LONG else await asyncio.to_thread(work, *values)


def run_alone(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine as this process's only business: on uvloop where it is there, garbage collected seldom."""
    with seldom_collected(), asyncio.Runner(loop_factory=_loop_factory()) as runner, left_when_interrupted():
        runner.get_loop().set_default_executor(TimedThreads())
        return run_in(runner, work)


def run_in(runner: asyncio.Runner, work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end; one that is cancelled waits for no thread of its loop.

    Raises:
        What `work` raised; `KeyboardInterrupt` or `CancelledError` where it was cancelled.
    """
    try:
        return runner.run(work)
    except (KeyboardInterrupt, asyncio.CancelledError):
        # Closing the loop joins the threads of its executor, and one of them may be stuck in a read.
        runner.get_loop().set_default_executor(ThreadPoolExecutor(1))
        raise


class Tasks(Generic[T]):
    """The tasks of one owner, each kept until it ends."""

    def __init__(self, on_fault: Callable[[BaseException], object]) -> None:
        """`on_fault` is called, in the loop, with the exception that ended a task; not for a cancellation."""
        self._on_fault = on_fault
        self.running: set[asyncio.Task[T]] = set()

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run `work` beside the caller."""
        task = asyncio.create_task(work)
        self.running.add(task)
        task.add_done_callback(self._ended)
        return task

    def cancel(self) -> None:
        """Cancel what is running."""
        for task in self.running:
            task.cancel()

    async def all_ended(self) -> None:
        """Return when nothing runs any more, well or not."""
        while self.running:
            await asyncio.wait(self.running)

    def _ended(self, task: asyncio.Task[T]) -> None:
        self.running.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None:
            self._on_fault(fault)


@contextlib.asynccontextmanager
async def meanwhile(*turns: Coroutine[Any, Any, object]) -> AsyncIterator[None]:
    """Have `turns` run while the context lasts; at its end they are cancelled and waited for.

    A fault in one of them cancels the body, and is raised once that has ended; where the body ends
    with a fault of its own, that is raised and the other is logged.
    """
    body, faults, inside = asyncio.current_task(), list[BaseException](), True
    assert body is not None

    def fail(fault: BaseException) -> None:
        faults.append(fault)
        if inside and len(faults) == 1:
            body.cancel()

    tasks = Tasks[object](fail)
    for turn in turns:
        tasks.start(turn)
    try:
        try:
            yield
        finally:
            inside = False
            if faults:
                await _take_back_cancellation(body)
            tasks.cancel()
            await tasks.all_ended()
    except asyncio.CancelledError:
        if not faults:
            raise
    except BaseException:
        for fault in faults:
            _log.error("a task beside this one failed too", exc_info=fault)
        raise
    if faults:
        raise faults[0]


async def _take_back_cancellation(body: asyncio.Task[Any]) -> None:
    """Undo `body.cancel()`, whether it was delivered or the body ended before."""
    body.uncancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(0)


async def together(jobs: Sequence[Coroutine[Any, Any, T]], *, expected: type[Exception]) -> tuple[T, ...]:
    """Run `jobs` side by side and return their results in order.

    The first fault in their order is raised once the others are cancelled; one that is not of the
    `expected` kind goes before those that are.
    """
    if len(jobs) == 1:
        return (await jobs[0],)
    faults: list[BaseException] = []
    tasks = Tasks[T](faults.append)
    started = [tasks.start(job) for job in jobs]
    try:
        return tuple([await task for task in started])
    finally:
        tasks.cancel()
        await tasks.all_ended()
        for fault in faults:
            if not isinstance(fault, expected):
                raise fault


async def to_its_end(
    work: Coroutine[Any, Any, T], *, on_cancel: Callable[[int], object], is_overdue: Callable[[], bool] | None = None
) -> T | None:
    """Run `work` to its end, also when the caller is cancelled meanwhile.

    Args:
        work: What is run, in a task of its own.
        on_cancel: Called at each cancellation of the caller, with how many came before; it has `work` come to its end.
        is_overdue: Asked once a second whether `work` is to be cancelled.

    Returns:
        What `work` returned; None where it was overdue.

    Raises:
        What `work` raised; else `CancelledError` where the caller was cancelled.
    """
    tasks, cancelled, overdue = Tasks[T](lambda fault: None), 0, False  # its fault is raised below
    task = tasks.start(work)
    while not task.done():
        try:
            await asyncio.wait({task}, timeout=None if is_overdue is None else 1.0)
        except asyncio.CancelledError:
            on_cancel(cancelled)
            cancelled += 1
        if is_overdue is not None and is_overdue():
            overdue = True
            task.cancel()
    result = None if overdue and task.cancelled() else task.result()
    if cancelled:
        raise asyncio.CancelledError
    return result


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    with contextlib.suppress(ImportError):
        import uvloop  # noqa: PLC0415 - the same program runs without it

        return uvloop.new_event_loop
    return None
