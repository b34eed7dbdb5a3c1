"""One kept connection: aiohttp reads its replies, and here every byte is counted.

Guarantees: bytes that arrive while nothing was asked end the connection; it is used again only
after a reply whose last byte was the last byte received; and it says whether a request that
ended without a reply certainly was not received. How each is known stands in ADR 9.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from typing import Protocol

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpProcessingError, RawResponseMessage
from aiohttp.streams import StreamReader

from parquill.client.errors import ForeignReplyError, NotReceivedError
from parquill.client.http_session import LONGEST_HEADER, MOST_HEADERS
from parquill.client.tcp import SocketView, notice_when_gone
from parquill.clock import Clock

Headers = Mapping[str, str]
Reply = tuple[int, Headers, bytes]

MOST_BYTES = 32 * 2**20
"""Of any reply, its content encoding undone; aiohttp undoes it piece by piece, no faster than it is read here."""
_END_OF_HEAD = b"\r\n\r\n"
_WITHOUT_BODY = frozenset({204, 304})
_NOT_IN_TIME = 408


class Owner(Protocol):
    """Who keeps connections while they are idle."""

    def surplus(self, connection: KeptConnection, beginning: bytes) -> None:
        """Bytes came that were not asked for: these while it was idle, or, if empty, some behind a reply."""

    def ended(self, connection: KeptConnection) -> None:
        """An idle connection was closed by the other side."""


class _Reader(ResponseHandler):
    """aiohttp's reader of replies, which resumes only where it had paused: each body read would else cost a parse of
    nothing and a call of the transport."""

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Go on where reading was paused."""
        if self._reading_paused or self._buffer_paused:
            super().resume_reading(resume_parser)


class KeptConnection(asyncio.Protocol):
    """Stands between a transport and aiohttp's reader for as long as the connection lasts."""

    __slots__ = (
        "_asked", "_clock", "_early", "_exact", "_head_end", "_lease", "_length", "_not_received", "_owner", "_payload",
        "_reader", "_received", "_sent_at", "_tail", "_transport", "_view", "answer_id", "idle_since", "used",
    )  # fmt: skip

    def __init__(self, lease: aiohttp.connector.Connection, owner: Owner, clock: Clock) -> None:
        """Take over a connection that aiohttp has just made. Raises `NotReceivedError` where it is of no use."""
        first, transport = lease.protocol, lease.transport
        if first is None or transport is None or transport.is_closing() or first.should_close:
            lease.close()
            raise NotReceivedError("the server closed the connection, or sent something, before the request was sent")
        self._lease, self._owner, self._clock = lease, owner, clock
        self._reader = _Reader(asyncio.get_running_loop())
        self._reader.connection_made(transport)
        self._reader.set_response_params(
            read_until_eof=True,
            max_line_size=LONGEST_HEADER,
            max_field_size=LONGEST_HEADER,
            max_headers=MOST_HEADERS,
        )
        self._transport: asyncio.Transport = transport
        sock: socket.socket = transport.get_extra_info("socket")
        self._view = SocketView(sock)
        notice_when_gone(sock)
        self._payload: StreamReader | None = None
        self._asked = False
        self._exact = False
        self._early: int | None = None
        self._head_end = self._length = self._received = 0
        self._not_received = False
        self._tail = b""
        self.answer_id = b""
        self._sent_at = self.idle_since = 0.0
        self.used = 0
        transport.set_protocol(self)

    @property
    def is_usable(self) -> bool:
        """Whether a request may be sent: open, nothing arrived since the last reply, nothing waits to be read."""
        return not self._transport.is_closing() and self._view.is_silent

    def waiting(self) -> bytes:
        """Return the beginning of what waits to be read."""
        return b"" if self._transport.is_closing() else self._view.peek(32)

    @property
    def is_encrypted(self) -> bool:
        """Whether waiting bytes are TLS records, of which the content is not seen."""
        return self._transport.get_extra_info("sslcontext") is not None

    def close(self) -> None:
        """End it, with what it still had to send."""
        self._lease.close()

    async def ask(self, head: bytes, body: bytes, on_headers: Callable[[Headers], object], most: int) -> Reply:
        """Send a request, read the reply whole, of at most `most` bytes; return its status, headers and body.

        Raises `NotReceivedError` where certainly nothing of the request was received,
        `ForeignReplyError` where the reply may be another request's, and what aiohttp raises.
        """
        self._begin(head, body)
        try:
            message, content = await self._reader.read()
            while 100 <= message.code < 200 and message.code != 101:
                self._head_end = -1  # replies before the reply: which bytes belong to what is not followed
                message, content = await self._reader.read()
            if content.is_eof():  # as most are: it came whole
                whole = content.read_nowait()
                _bound(len(whole), most)
            else:
                self._payload = content
                on_headers(message.headers)
                whole = await read_whole(content, most)
        except HttpProcessingError as error:
            raise aiohttp.ClientPayloadError(f"{error.code}, {error.message}") from error
        except aiohttp.ClientError as error:
            if self._not_received:
                raise NotReceivedError(f"the connection was closed before the request came: {error}") from error
            raise
        self._payload = None
        self._judge(message)
        self._asked = False
        return message.code, message.headers, whole

    def _begin(self, head: bytes, body: bytes) -> None:
        self._exact, self._early, self._not_received = False, None, False
        self._received, self._tail = 0, b""
        self._asked = True
        self.used += 1
        request = b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body)
        self._length = len(request)
        self._sent_at = self._clock.monotonic()
        self._transport.write(request)

    def _judge(self, message: RawResponseMessage) -> None:
        """Look at a whole reply: is it the one that was asked for, and are its bytes all that came?"""
        reused, status = self.used > 1, message.code
        if reused and self._early:
            if status < 400:
                raise ForeignReplyError("the reply was sent before the request had been received: it answers another")
            if status == _NOT_IN_TIME and self._early >= self._length:
                raise NotReceivedError("the server had given up waiting (408) before the request came")
        extra = 0
        if self._head_end < 0:
            self._exact = False
        elif message.chunked:
            self._exact = self._tail.endswith(_END_OF_HEAD)
        else:
            length = "0" if status in _WITHOUT_BODY else message.headers.get("Content-Length", "")
            self._exact = length.isdecimal()
            extra = self._received - self._head_end - int(length) if self._exact else 0
        if extra > 0 or len(self._reader) > 0:
            self._exact = False
            self._owner.surplus(self, b"")
            if reused:
                raise ForeignReplyError("two replies came to one request: which is the right one is not known")

    @property
    def is_reusable(self) -> bool:
        """Whether after this reply another request may be sent: all bytes are accounted for, all was sent."""
        return self._exact and not self._reader.should_close and self._transport.get_write_buffer_size() == 0

    def cut(self) -> None:
        """Wake the reading side with a time-out, as aiohttp's own time-outs do."""
        fault = TimeoutError()
        self._reader.set_exception(fault)
        if self._payload is not None:
            self._payload.set_exception(fault)

    # What the transport calls.

    def data_received(self, data: bytes) -> None:
        """Count bytes and pass them on; where none were asked for, they end the connection."""
        if not self._asked:
            self._owner.surplus(self, data[:32])
            return
        if not self._received:
            self._head_end = data.find(_END_OF_HEAD) + 4
            if self._head_end < 4:
                self._head_end = -1  # the head comes in pieces
            if self.used > 1 and self._clock.monotonic() - self._sent_at < self._view.round_trip:
                self._early = self._unconfirmed()
        self._received += len(data)
        self._tail = data[-4:] if len(data) >= 4 else (self._tail + data)[-4:]
        self._reader.data_received(data)

    def eof_received(self) -> None:
        """The other side has closed; what it had received until then, its closing segment confirmed."""
        if self._asked and not self._received:
            unconfirmed = self._unconfirmed()
            self._not_received = unconfirmed is not None and unconfirmed >= self._length
        self._reader.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the reading side, or the owner of an idle connection."""
        self._reader.connection_lost(exc)
        if not self._asked:
            self._owner.ended(self)

    def _unconfirmed(self) -> int | None:
        """Return how many bytes of the request the other side has not confirmed; None where that is not known."""
        unconfirmed = self._view.unconfirmed()
        return None if unconfirmed is None else unconfirmed + self._transport.get_write_buffer_size()


async def read_whole(content: StreamReader, most: int = MOST_BYTES) -> bytes:
    """Read a body whole, but not without bound: a hostile or broken server could send for ever."""
    chunks: list[bytes] = []
    size = 0
    while chunk := await content.readany():
        size += len(chunk)
        _bound(size, most)
        chunks.append(chunk)
    return b"".join(chunks)


def _bound(size: int, most: int) -> None:
    if size > most:
        raise aiohttp.ClientPayloadError(
            f"the reply is longer than {most / 2**20:g} MiB, far more than an answer may have"
        )
