"""Memory budget in bytes for the files that all rows hold at a time.

First come, first served, so that a large file is not overtaken for ever by small ones. A lease
never waits while it holds something, so leases cannot wait for one another in a circle.
"""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType


class ByteBudget:
    """`total` bytes to share. Used in one event loop."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._free = total
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def held(self) -> int:
        """Bytes held by all leases now."""
        return self.total - self._free

    def lease(self) -> ByteLease:
        """Return a lease that holds nothing yet; an async context manager that gives all back."""
        return ByteLease(self)

    async def take(self, size: int) -> None:
        """Wait for `size` bytes, at most `total`."""
        if size <= self._free and not self._waiting:
            self._free -= size
            return
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, granted))
        try:
            await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled():
                self.give(size)
            else:
                self._grant()
            raise

    def give(self, size: int) -> None:
        """Give `size` bytes back."""
        self._free += size
        self._grant()

    def _grant(self) -> None:
        while self._waiting:
            size, granted = self._waiting[0]
            if not granted.cancelled():
                if size > self._free:
                    return
                self._free -= size
                granted.set_result(None)
            self._waiting.popleft()


class ByteLease:
    """What one file holds of a `ByteBudget`."""

    __slots__ = ("_budget", "_held")

    def __init__(self, budget: ByteBudget) -> None:
        self._budget = budget
        self._held = 0

    async def hold(self, size: int) -> None:
        """Wait until `size` bytes may be held, in place of what was held before."""
        self.trim(0)
        size = min(size, self._budget.total)
        await self._budget.take(size)
        self._held = size

    def trim(self, size: int) -> None:
        """Give back all but `size` bytes."""
        if size < self._held:
            self._budget.give(self._held - size)
            self._held = size

    async def __aenter__(self) -> ByteLease:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.trim(0)
