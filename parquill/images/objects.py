"""Reads objects in stores that cells name, with the same limits as URLs, on threads of their own.

The same time-outs, and for each store the same slots and the same breaker as for a host (`fetch/hosts.py`). The store's
library blocks, and cannot be interrupted: a read whose time is over, or whose run has stopped, is left alone on its
thread, which keeps nothing waiting (`parquill/store_calls.py`).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import TypeVar

from parquill.clock import Clock
from parquill.errors import ErrorKind, RowError, UsageError
from parquill.fetch import (
    CONNECT_SECONDS,
    IDLE_SECONDS,
    TOTAL_SECONDS,
    Hosts,
    PassingError,
    shown,
    too_large,
    within,
)
from parquill.images.byte_budget import ByteLease
from parquill.storage import StoredFile
from parquill.store_calls import StoreSilentError, start_call

T = TypeVar("T")

_SILENT = re.compile(
    r"NETWORK_CONNECTION|curl|UNAVAILABLE|DEADLINE_EXCEEDED|could not connect|get a new connection|timed? ?out|"
    r"did not answer",
    re.IGNORECASE,
)
"""What the libraries of S3, Google and Azure say where no server answered, among many words."""


class StoredObjects:
    """Reads objects; used in one event loop."""

    def __init__(self, clock: Clock, most_bytes: int) -> None:
        """`most_bytes`: what is larger is refused before it is read."""
        self._clock, self._most = clock, most_bytes
        self._hosts = Hosts(clock)

    async def read(self, store: str, opened: Callable[[], StoredFile], name: str, lease: ByteLease) -> bytes:
        """Return an object's bytes while `lease` holds their size.

        Args:
            store: the store as it is counted and named: scheme and bucket.
            opened: opens the object; it blocks.
            name: the object as the manifest names it.
            lease: of the memory for it.

        Raises:
            RowError: `image_unreachable`, or `image_refused` for one that is too large.
        """
        async with self._hosts.exchange(store) as host:
            try:
                file = await self._answer(store, opened, CONNECT_SECONDS + IDLE_SECONDS, "no answer came")
                if file.size > self._most:
                    host.succeeded()
                    raise RowError(ErrorKind.IMAGE_REFUSED, f"{shown(name)} is refused: {too_large(self._most)}")
                await lease.hold(file.size)
                data = await self._answer(store, file.read, TOTAL_SECONDS, "its bytes did not come")
            except (UsageError, PassingError, OSError) as error:
                why = str(error)
                if isinstance(error, (PassingError, StoreSilentError)) or _SILENT.search(why):
                    host.failed(self._clock.monotonic(), why)
                else:
                    host.succeeded()
                raise RowError(ErrorKind.IMAGE_UNREACHABLE, f"{shown(name)}: {why}") from None
            host.succeeded()
            return data

    async def _answer(self, store: str, call: Callable[[], T], seconds: float, what: str) -> T:
        async with within(self._clock, seconds, what):
            return await asyncio.wrap_future(start_call(store, call))
