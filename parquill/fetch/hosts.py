"""State of each host during a run: its slots, its requested waits, its failures.

* At most `CONNECTIONS` exchanges with a host at a time, and `AT_ONCE` with all of them, first
  come first served. A place among all is taken last, so that no request holds one while it waits
  for a slow host's turn.
* `Retry-After` pauses the host for everyone; a wish longer than `LONGEST_PAUSE` is not waited
  for: the host counts as closed and its pictures fail at once.
* A breaker: after `FAILURES` failures in a row the host is closed for `CLOSED_FOR` seconds, so
  that ten thousand rows of a dead host do not each wait for its time-out. Then one exchange at
  a time tries it again; a success opens it.

Only the `REMEMBERED` last used hosts are kept, so memory does not grow with the manifest.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from parquill.clock import Clock
from parquill.errors import ErrorKind, RowError

CONNECTIONS = 8
AT_ONCE = 64
"""Each holds two read buffers of 64 kB besides the memory it leases."""
FAILURES = 10
CLOSED_FOR = 30.0
LONGEST_PAUSE = 60.0
LONGEST_CLOSURE = 600.0
REMEMBERED = 10_000


class Host:
    """One host's slots and state; used through `Hosts.exchange`."""

    __slots__ = ("closed_until", "failures", "name", "paused_until", "slots", "users", "why")

    def __init__(self, name: str) -> None:
        self.name = name
        self.slots = asyncio.Semaphore(CONNECTIONS)
        self.users = 0
        self.failures = 0
        self.paused_until = 0.0
        self.closed_until = 0.0
        self.why = ""

    def succeeded(self) -> None:
        """The host answered, whatever it answered."""
        self.failures, self.closed_until = 0, 0.0

    def failed(self, now: float, why: str) -> None:
        """The host did not answer, or said that it cannot."""
        self.failures += 1
        if self.failures >= FAILURES:
            self._close(now + CLOSED_FOR, f"it failed {self.failures} times in a row, last: {why}")

    def asked_to_wait(self, now: float, seconds: float) -> None:
        """The host sent `Retry-After`."""
        if seconds <= LONGEST_PAUSE:
            self.paused_until = max(self.paused_until, now + seconds)
        else:
            self._close(now + min(seconds, LONGEST_CLOSURE), f"it asked to be left alone for {seconds:.0f} s")

    def check_open(self, now: float) -> None:
        """Raise `RowError(image_unreachable)` while the host is closed.

        Once the time is over the next one may try; the others wait for what comes of it.
        """
        if now < self.closed_until:
            raise RowError(ErrorKind.IMAGE_UNREACHABLE, f"{self.name} is not asked for a while: {self.why}")
        if self.failures >= FAILURES:
            self.closed_until = now + CLOSED_FOR

    def _close(self, until: float, why: str) -> None:
        self.closed_until, self.why = max(self.closed_until, until), why


class Hosts:
    """All hosts of a run."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._all = asyncio.Semaphore(AT_ONCE)
        self._hosts: OrderedDict[str, Host] = OrderedDict()

    @asynccontextmanager
    async def exchange(self, name: str) -> AsyncIterator[Host]:
        """Hold one of the host's slots, once it is not paused.

        Raises `RowError(image_unreachable)` at once while the host is closed.
        """
        host = self._host(name)
        host.users += 1
        try:
            async with host.slots:
                while (wait := host.paused_until - self._clock.monotonic()) > 0:
                    await self._clock.sleep(wait)
                async with self._all:
                    host.check_open(self._clock.monotonic())
                    yield host
        finally:
            host.users -= 1

    def _host(self, name: str) -> Host:
        host = self._hosts.get(name)
        if host is None:
            host = self._hosts[name] = Host(name)
            if len(self._hosts) > REMEMBERED:
                self._forget()
        self._hosts.move_to_end(name)
        return host

    def _forget(self) -> None:
        oldest = next((name for name, host in self._hosts.items() if not host.users), None)
        if oldest is not None:
            del self._hosts[oldest]
