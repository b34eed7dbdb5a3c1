"""A call that waits for a run, and is interrupted: Ctrl-C in a script, the Stop button of a notebook.

The run has a thread and an event loop of its own, also where the caller's thread has a running loop
(a notebook's cell). The caller waits and hears SIGINT meanwhile. The first one stops the run as Ctrl-C
stops the command: nothing new is sent, what is in flight gets `GRACE_SECONDS`, the books are closed. The
second one cuts off what is in flight. Then `KeyboardInterrupt` is raised.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import signal
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, TypeVar

from parquill.errors import Stop
from parquill.event_loop import run_in
from parquill.observers import Stoppable, Watched

T = TypeVar("T")


class Interrupt:
    """What stops one piece of work; `attach` shows it the run once there is one."""

    def __init__(self) -> None:
        self.asked = 0
        """How often the caller was interrupted."""
        self._events: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._run: Stoppable | None = None
        self._attached = False

    @contextlib.asynccontextmanager
    async def attach(self, run: Stoppable, _: Watched) -> AsyncIterator[None]:
        """Stop the run while it asks rows; before, the work is cancelled, and after it closes its books."""
        self._run, self._attached = run, True
        if self.asked:
            self._stop(run)
        try:
            yield
        finally:
            self._run = None

    def ask(self) -> None:
        """Stop the work; from any thread."""
        self.asked += 1
        if self._events is not None:
            with contextlib.suppress(RuntimeError):  # its loop is closed: it has ended
                self._events.call_soon_threadsafe(self._act)

    async def guard(self, work: Coroutine[Any, Any, T]) -> T:
        """Await `work` as what is stopped."""
        self._events, self._task = asyncio.get_running_loop(), asyncio.current_task()
        if self.asked:
            self._act()
        return await work

    def _act(self) -> None:
        if self._run is not None:
            self._stop(self._run)
        elif self._task is not None and not self._attached:
            self._task.cancel()

    def _stop(self, run: Stoppable) -> None:
        again = {"grace": 0.0} if self.asked > 1 else {}
        run.stop(Stop.SIGINT, "interrupted; the same call goes on", **again)


def wait_for(work: Callable[[Interrupt], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end in a thread of its own, and return its result.

    Raises:
        KeyboardInterrupt: the caller was interrupted, and the work has ended.
    """
    interrupt = Interrupt()
    ended: concurrent.futures.Future[T] = concurrent.futures.Future()

    def run() -> None:
        try:
            with asyncio.Runner() as runner:
                result = run_in(runner, interrupt.guard(work(interrupt)))
        except BaseException as fault:  # it is the caller's
            ended.set_exception(fault)
        else:
            ended.set_result(result)

    with _heard(interrupt.ask):
        thread = threading.Thread(target=run, name="parquill", daemon=True)
        thread.start()
        _until_ended(ended, interrupt)
    thread.join()
    fault = ended.exception()
    if interrupt.asked and (fault is None or isinstance(fault, asyncio.CancelledError)):
        raise KeyboardInterrupt("the work was stopped and its books are closed; the same call goes on") from None
    return ended.result()


def _until_ended(ended: concurrent.futures.Future[T], interrupt: Interrupt) -> None:
    """Wait; an interrupt that comes as an exception, not as a signal, is heard as well."""
    while not ended.done():
        try:
            concurrent.futures.wait([ended])
        except KeyboardInterrupt:
            interrupt.ask()


@contextlib.contextmanager
def _heard(ask: Callable[[], None]) -> Iterator[None]:
    """Call `ask` at each SIGINT; signals come to the main thread alone, and one that is ignored stays so."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before in (signal.SIG_IGN, None):
        yield
        return
    signal.signal(signal.SIGINT, lambda *_: ask())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
