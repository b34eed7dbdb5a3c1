"""Sends one POST over connections that aiohttp makes, without the cost of its session.

aiohttp opens and closes the connections (names, TLS, proxies) and reads the replies (its parser
in C, chunks, compression); which are used again is decided in `pool`. Of a request here only
id, length and body differ from the one before: the head is built once. `ClientSession.post` would build URL,
headers, cookies, payload, writer, response and a timer for each; that costs twice what is left (ADR 9).
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable

import aiohttp

from parquill.client.connection import MOST_BYTES, Headers, Reply
from parquill.client.deadlines import Deadlines
from parquill.client.errors import NotReceivedError
from parquill.client.http_session import target_of, to_connect
from parquill.client.pool import Pool
from parquill.client.request_ids import HEADER, RequestIds
from parquill.clock import Clock
from parquill.errors import JobError

log = logging.getLogger(__name__)


class Wire:
    """Posts to one URL with one set of headers; lives as long as its session, in its event loop."""

    __slots__ = ("_clock", "_connector", "_deadlines", "_head", "_ids", "_most", "_pool", "_request")

    def __init__(
        self,
        session: aiohttp.ClientSession,
        request: aiohttp.ClientRequest,
        clock: Clock,
        ids: RequestIds,
        most: int = MOST_BYTES,
    ) -> None:
        """The session makes connections, for requests like this; `most`: bytes of a reply.

        Raises `JobError` for a key that breaks its line.
        """
        assert session.connector is not None
        self._connector = session.connector
        self._clock = clock
        self._deadlines = Deadlines(clock)
        self._pool = Pool(self._connect, clock)
        self._ids = ids
        self._most = most
        self._request = request
        self._head = _head_of(request)

    def close(self) -> None:
        """Forget timers and idle connections; requests under way are the session's to end."""
        self._deadlines.close()
        self._pool.close()

    async def post(self, body: bytes, *, seconds: float, on_headers: Callable[[Headers], object]) -> Reply:
        """Send a body, read the reply whole; return its status, headers and body.

        A request of which the other side certainly received nothing, because it had closed the
        kept connection before, is sent once more on a new one. `on_headers` gets the headers when
        the reply's body is still on its way. Raises `TimeoutError` after `seconds`, and what aiohttp
        raises: `aiohttp.ConnectionTimeoutError` and `aiohttp.ClientConnectorError` where no
        connection was made, `NotReceivedError` where the request certainly was not received.
        """
        until = self._clock.monotonic() + seconds
        fresh = False
        while True:
            connection = None if fresh else self._pool.take_idle()
            if connection is None:
                connection = await self._pool.make(until - self._clock.monotonic(), fresh=fresh)
            request_id = self._ids.new()
            self._deadlines.add(connection, until)
            try:
                reply = await connection.ask(b"%b%b\r\n" % (self._head, request_id), body, on_headers, self._most)
                self._ids.check(request_id, reply[1], reply[2])
                connection.answer_id = self._ids.check_new(connection.answer_id, reply[2])
            except NotReceivedError as error:
                connection.close()
                if fresh or connection.used <= 1:
                    raise
                fresh = True
                log.debug("a kept connection was closed before the request came, which is sent again: %s", error)
            except BaseException as error:
                connection.close()
                if isinstance(error, aiohttp.ClientOSError) and error.errno == errno.ETIMEDOUT:
                    self._forget_address()
                raise
            else:
                self._pool.release(connection)
                return reply
            finally:
                self._deadlines.take_out(connection)

    def _forget_address(self) -> None:
        """The machine on the other side is gone: idle connections lead to it, and so may the cached name."""
        self._pool.close_idle()
        self._forget_name()

    def _forget_name(self) -> None:
        if isinstance(self._connector, aiohttp.TCPConnector):
            self._connector.clear_dns_cache()

    async def _connect(self, seconds: float) -> aiohttp.connector.Connection:
        try:
            return await self._connector.connect(self._request, [], to_connect(seconds))
        except TimeoutError as error:
            self._forget_name()
            raise aiohttp.ConnectionTimeoutError("no connection in time") from error
        except aiohttp.ClientConnectorError:
            self._forget_name()  # perhaps the name leads elsewhere by now
            raise


def _head_of(request: aiohttp.ClientRequest) -> bytes:
    """The request's line and headers as they go over the wire, up to the value of its id; the body's length follows."""
    lines = [f"{request.method} {target_of(request)} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in request.headers.items() if name != "Content-Length"]
    if any(mark in line for line in lines for mark in "\r\n\0"):
        raise JobError("model.api_key_env: the key holds a line break or a null byte")
    return ("".join(f"{line}\r\n" for line in lines) + f"{HEADER}: ").encode()
