"""One POST over aiohttp's connections, without what its session does anew for each request.

aiohttp opens, keeps and closes the connections (names, TLS, keep-alive) and reads the replies
(its parser in C, chunks, compression). Of a request here only body and length differ from the
one before: the head is built once. `ClientSession.post` would build URL, headers, cookies,
payload, writer, response and a timer for each; that costs twice what is left (docs/adr/0009).
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Mapping

import aiohttp
import yarl
from aiohttp.http import HttpProcessingError
from aiohttp.streams import StreamReader

from parquill.client.deadlines import Deadlines
from parquill.clock import Clock
from parquill.errors import JobError

Headers = Mapping[str, str]

_CONNECT_SECONDS = 15.0
_MAX_REPLY_BYTES = 32 * 2**20


class Wire:
    """Posts to one URL with one set of headers; lives as long as its session, in its event loop."""

    __slots__ = ("_clock", "_connector", "_deadlines", "_head", "_request")

    def __init__(self, session: aiohttp.ClientSession, url: yarl.URL, clock: Clock) -> None:
        """The session gives connections and headers. Raises `JobError` for a key that would break its line."""
        assert session.connector is not None
        self._connector = session.connector
        self._clock = clock
        self._deadlines = Deadlines(clock)
        loop = asyncio.get_running_loop()
        self._request = _Asked("POST", url, headers=session.headers, session=session, loop=loop)
        self._head = _head_of(self._request)

    def close(self) -> None:
        """Forget the timer; requests under way are the session's to end."""
        self._deadlines.close()

    async def post(
        self, body: bytes, *, seconds: float, on_headers: Callable[[Headers], object]
    ) -> tuple[int, Headers, bytes]:
        """Send a body, read the reply whole; return its status, headers and body.

        `on_headers` is told the headers when the reply's body is still on its way. Raises
        `TimeoutError` after `seconds`, and what aiohttp raises: `aiohttp.ConnectionTimeoutError`
        and `aiohttp.ClientConnectorError` where no connection was made, so that nothing was sent.
        """
        until = self._clock.monotonic() + seconds
        try:
            connection = await self._connector.connect(self._request, [], to_connect(seconds))
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError("no connection in time") from error
        try:
            flight = _Flight(connection)
            flight.send(self._head, body)
            self._deadlines.add(flight, until)
            try:
                reply = await flight.reply(on_headers)
            finally:
                self._deadlines.take_out(flight)
        except HttpProcessingError as error:
            connection.close()
            raise aiohttp.ClientPayloadError(f"{error.code}, {error.message}") from error
        except BaseException:
            connection.close()
            raise
        if flight.is_sending:
            connection.close()  # the reply came before all of the request had gone
        else:
            connection.release()
        return reply


class _Asked(aiohttp.ClientRequest):
    """What every connection is asked for: its place in the pool is found by the same key each time."""

    @functools.cached_property
    def connection_key(self) -> aiohttp.client_reqrep.ConnectionKey:
        return super().connection_key


class _Flight:
    """A request that was sent, until its reply is here."""

    __slots__ = ("_content", "_protocol", "_transport")

    def __init__(self, connection: aiohttp.connector.Connection) -> None:
        """Raises `ClientConnectionResetError` where the other side has closed the connection already."""
        protocol, transport = connection.protocol, connection.transport
        if protocol is None or transport is None or transport.is_closing():
            raise aiohttp.ClientConnectionResetError("the connection was closed before the request was sent")
        self._protocol, self._transport = protocol, transport
        self._content: StreamReader | None = None

    def send(self, head: bytes, body: bytes) -> None:
        """Hand the request to the transport, which keeps what the socket does not take at once."""
        self._protocol.set_response_params(read_until_eof=True)
        self._transport.write(b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body))

    @property
    def is_sending(self) -> bool:
        """Whether a part of the request still waits for the socket."""
        return self._transport.get_write_buffer_size() > 0

    async def reply(self, on_headers: Callable[[Headers], object]) -> tuple[int, Headers, bytes]:
        """Read status, headers and the whole body; replies before the reply (1xx) are passed over."""
        message, content = await self._protocol.read()
        while 100 <= message.code < 200 and message.code != 101:
            message, content = await self._protocol.read()
        self._content = content
        if not content.is_eof():
            on_headers(message.headers)
        return message.code, message.headers, await read_whole(content)

    def cut(self) -> None:
        """Wake whoever reads with a time-out, as aiohttp's own time-outs do."""
        fault = TimeoutError()
        self._protocol.set_exception(fault)
        if self._content is not None:
            self._content.set_exception(fault)


async def read_whole(content: StreamReader) -> bytes:
    """Read a body whole, but not without bound: a hostile or broken server could send for ever."""
    chunks: list[bytes] = []
    size = 0
    while chunk := await content.readany():
        size += len(chunk)
        if size > _MAX_REPLY_BYTES:
            raise aiohttp.ClientPayloadError(f"the reply is longer than {_MAX_REPLY_BYTES >> 20} MiB")
        chunks.append(chunk)
    return b"".join(chunks)


@functools.lru_cache(maxsize=64)
def to_connect(seconds: float) -> aiohttp.ClientTimeout:
    """Connecting gives up before the whole attempt does: then it is known that nothing was sent."""
    return aiohttp.ClientTimeout(total=None, connect=min(_CONNECT_SECONDS, 0.9 * seconds))


def _head_of(request: aiohttp.ClientRequest) -> bytes:
    """The request's line and headers as they go over the wire, all but the length of the body."""
    lines = [f"{request.method} {request.url.raw_path_qs} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in request.headers.items() if name != "Content-Length"]
    if any(mark in line for line in lines for mark in "\r\n\0"):
        raise JobError("model.api_key_env: the key holds a line break or a null byte")
    return "".join(f"{line}\r\n" for line in lines).encode()
