"""Waits with a deadline, by the clock that was passed in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from parquill.clock import Clock
from parquill.fetch.translated_errors import PassingError


@asynccontextmanager
async def within(clock: Clock, seconds: float, what: str) -> AsyncIterator[None]:
    """`asyncio.timeout` by the clock that was handed in; raises `PassingError`."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(None) as scope:
            timer = clock.call_later(seconds, lambda: scope.reschedule(loop.time()))
            try:
                yield
            finally:
                timer.cancel()
    except TimeoutError as error:
        raise PassingError(f"{what} within {seconds:.0f} s") from error
