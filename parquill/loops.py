"""Event loops: that of a process without other business, and what turns in one while something else goes on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

from parquill.garbage import seldom_collected

T = TypeVar("T")


def run_alone(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine as this process's only business: on uvloop where it is there, garbage collected seldom."""
    with seldom_collected(), asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(work)


@contextlib.asynccontextmanager
async def meanwhile(*turns: Coroutine[Any, Any, object]) -> AsyncIterator[None]:
    """Have `turns` run while the context lasts; at its end they are cancelled and waited for.

    What goes wrong in one of them does not reach the body: asyncio logs it.
    """
    running = [asyncio.create_task(turn) for turn in turns]
    try:
        yield
    finally:
        for turn in running:
            turn.cancel()
        await asyncio.wait(running)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    with contextlib.suppress(ImportError):
        import uvloop  # noqa: PLC0415 - the same program runs without it

        return uvloop.new_event_loop
    return None
