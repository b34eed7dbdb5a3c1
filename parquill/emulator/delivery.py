"""How replies travel: whole, as a stream, in drips, broken off, or not at all."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from aiohttp import web

from parquill.clock import Clock
from parquill.emulator.error_replies import ErrorReply

GENERATION = "X-Generation-Id"

_JSON = "application/json"
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 seconds: closing sends RST


def whole(body: bytes, generation_id: str, headers: Mapping[str, str]) -> web.StreamResponse:
    """Return a 200 with a JSON body."""
    return web.Response(body=body, headers={GENERATION: generation_id, "Content-Type": _JSON, **headers})


def plain(status: int, body: Any, generation_id: str, headers: Mapping[str, str] | None = None) -> web.StreamResponse:
    """Return a JSON value with any status."""
    return web.Response(
        status=status,
        body=orjson.dumps(body),
        headers={GENERATION: generation_id, "Content-Type": _JSON, **(headers or {})},
    )


def refused(refusal: ErrorReply, generation_id: str) -> web.StreamResponse:
    """Return a refusal; one whose body is bytes is a web page."""
    if isinstance(refusal.body, bytes):
        headers = {GENERATION: generation_id, "Content-Type": "text/html"}
        return web.Response(status=refusal.status, body=refusal.body, headers=headers)
    return plain(refusal.status, refusal.body, generation_id, refusal.headers)


async def in_parts(
    http: web.BaseRequest,
    parts: Sequence[bytes],
    generation_id: str,
    *,
    events: bool = False,
    clock: Clock | None = None,
    seconds: float = 0.0,
    break_off: bool = False,
) -> web.StreamResponse:
    """Send parts one after another, spread over `seconds`; `break_off` resets halfway."""
    headers = {GENERATION: generation_id, "Content-Type": "text/event-stream" if events else _JSON}
    response = web.StreamResponse(headers=headers)
    if not events:
        response.content_length = sum(map(len, parts))
    with contextlib.suppress(ConnectionError):
        await response.prepare(http)
        for index, part in enumerate(parts):
            if break_off and index >= len(parts) // 2:
                return reset(http)
            await response.write(part)
            if clock is not None and seconds:
                await clock.sleep(seconds / len(parts))
        await response.write_eof()
    return response


def reset(http: web.BaseRequest) -> web.StreamResponse:
    """End the connection with a RST; what is returned can no longer be sent."""
    transport = http.transport
    if transport is not None:
        raw = transport.get_extra_info("socket")
        if raw is not None:
            with socket.socket(fileno=socket.dup(raw.fileno())) as duplicate:
                duplicate.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        transport.abort()
    return web.Response()
