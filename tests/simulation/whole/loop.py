"""An event loop in simulated time: deterministic, without threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


class StuckError(AssertionError):
    """Tasks wait, and nothing will ever wake them."""


class SimulatedLoop(asyncio.SelectorEventLoop):
    """Time stands still while anything can run, then jumps to the next timer.

    Work for threads is done at once, and its result comes some simulated milliseconds later, so that tasks
    meet in ever new orders. `on_turn` is called before each turn of the loop, with the turn's number.
    """

    def __init__(self, delay: Callable[[], float], on_turn: Callable[[int], object]) -> None:
        super().__init__()
        self._moment = 0.0
        self._turn = 0
        self._delay = delay
        self._on_turn = on_turn

    def time(self) -> float:
        return self._moment

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]  # its typing is that of threads
        future = self.create_future()
        try:
            result = func(*args)
        except BaseException as error:  # it belongs to the caller
            failed = error
            self.call_later(self._delay(), lambda: future.cancelled() or future.set_exception(failed))
        else:
            self.call_later(self._delay(), lambda: future.cancelled() or future.set_result(result))
        return future

    def _run_once(self) -> None:
        self._turn += 1
        self._on_turn(self._turn)
        ready, scheduled = self._ready, self._scheduled  # type: ignore[attr-defined]  # asyncio's own
        if not ready and not self._stopping:  # type: ignore[attr-defined] - the loop of asyncio, not typed
            if not scheduled:
                raise StuckError(f"nothing is left to wait for, at {self._moment:.3f} s")
            self._moment = max(self._moment, scheduled[0]._when)
        super()._run_once()  # type: ignore[misc] - a method of asyncio that its types leave out
