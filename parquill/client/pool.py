"""Connection pool: which connections are kept for the next request.

A reply that was not asked for is seen only on a connection on which nothing is asked. So
connections rest: until the endpoint has proved silent after some replies, each rests for
`SILENCE` seconds before it is used again, and from then on one at a time does. Once bytes came
that were not asked for, no connection is used twice any more (ADR 9).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import aiohttp

from parquill.client.connection import KeptConnection
from parquill.clock import Clock, Timer
from parquill.open_files import ran_out

log = logging.getLogger(__name__)

SILENCE = 0.25
"""Seconds without a byte after a reply, after which nothing more is expected on a connection."""
PROOFS = 8
"""Silent connections after which the endpoint is trusted to send one reply for each request."""
_RESTING_AT_FIRST = 64
"""Connections that rest at most while it is not trusted yet: a fast endpoint would have thousands made."""
_RESTING_LATER = 1
_KEPT_SECONDS = 60.0
_AN_IDLE_TIMEOUT = 1.0
"""Seconds of idleness after which a 408 is what some servers send before they close, and no reply too many."""
_FULL_WAIT = 0.1

Connect = Callable[[float], Awaitable[aiohttp.connector.Connection]]
"""Makes a connection within so many seconds."""


class Pool:
    """Gives out connections, one request at a time each, and keeps them in between."""

    __slots__ = ("_clock", "_connect", "_idle", "_proofs", "_sweep", "_trusted_never")

    def __init__(self, connect: Connect, clock: Clock) -> None:
        """`connect` makes a new connection and raises what aiohttp raises."""
        self._connect = connect
        self._clock = clock
        self._idle: dict[KeptConnection, None] = {}
        """In the order in which they became idle."""
        self._proofs = 0
        self._trusted_never = False
        self._sweep: Timer | None = None

    def take_idle(self) -> KeptConnection | None:
        """Return a kept connection for one request, or None where none may be used."""
        while (connection := self._next()) is not None:
            if connection.is_usable:
                return connection
            self._discard(connection)
        return None

    def release(self, connection: KeptConnection) -> None:
        """Keep a connection whose reply has been read, or close it where it is not to be used again."""
        if self._trusted_never or not connection.is_reusable:
            connection.close()
            return
        connection.idle_since = self._clock.monotonic()
        self._idle[connection] = None
        if self._sweep is None:
            self._sweep = self._clock.call_later(_KEPT_SECONDS, self._close_old)

    def close(self) -> None:
        """Close what is idle; what is in use is closed by those who use it."""
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        self.close_idle()

    def close_idle(self) -> None:
        """Close what is idle: it leads where nothing answers any more."""
        while self._idle:
            self._idle.popitem()[0].close()

    # What connections tell.

    def surplus(self, connection: KeptConnection, beginning: bytes) -> None:
        """More came than was asked for: this connection ends, and unless it was a late 408, no other is kept either."""
        self._idle.pop(connection, None)
        connection.close()
        late_408 = beginning[9:12] == b"408" and self._clock.monotonic() - connection.idle_since >= _AN_IDLE_TIMEOUT
        if self._trusted_never or late_408:
            return
        self._trusted_never = True
        self.close_idle()
        log.warning("the endpoint sends more than was asked for: from now on each request has a connection of its own")

    def ended(self, connection: KeptConnection) -> None:
        """Forget an idle connection that the other side closed."""
        self._idle.pop(connection, None)
        connection.close()

    def _next(self) -> KeptConnection | None:
        """Return an idle connection that may be used, or None: a new one is made."""
        if not self._idle:
            return None
        oldest = next(iter(self._idle))
        if self._clock.monotonic() - oldest.idle_since >= SILENCE:
            del self._idle[oldest]
            self._proofs += 1
            return oldest
        if len(self._idle) > (_RESTING_LATER if self._proofs >= PROOFS else _RESTING_AT_FIRST):
            return self._idle.popitem()[0]
        return None

    def _discard(self, connection: KeptConnection) -> None:
        """Close a connection on which something waits to be read: its end, or more than was asked for."""
        waiting = b"" if connection.is_encrypted else connection.waiting()
        if waiting:
            self.surplus(connection, waiting)
        else:
            connection.close()

    async def make(self, seconds: float, *, fresh: bool) -> KeptConnection:
        """Make a connection; where no more files may be open, wait for one, or (unless `fresh`) take a resting one.

        Raises what aiohttp raises where none can be made within `seconds`.
        """
        until = self._clock.monotonic() + seconds
        while True:
            try:
                return KeptConnection(await self._connect(until - self._clock.monotonic()), self, self._clock)
            except aiohttp.ClientConnectorError as error:
                if not ran_out(error) or self._clock.monotonic() + _FULL_WAIT >= until:
                    raise
            # No more files may be open. Resting connections give way; what is in flight ends some time.
            if self._idle:
                resting = self._idle.popitem()[0]
                if resting.is_usable and not fresh:
                    return resting
                self._discard(resting)
            await self._clock.sleep(_FULL_WAIT)

    def _close_old(self) -> None:
        self._sweep = None
        now = self._clock.monotonic()
        while self._idle and now - (oldest := next(iter(self._idle))).idle_since >= _KEPT_SECONDS:
            del self._idle[oldest]
            oldest.close()
        if self._idle:
            first = next(iter(self._idle))
            self._sweep = self._clock.call_later(first.idle_since + _KEPT_SECONDS - now, self._close_old)
