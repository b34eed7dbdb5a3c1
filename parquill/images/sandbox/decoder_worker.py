"""A worker's main loop: one request after the other, under limits that the kernel holds.

The worker ends when its parent closes the socket, or dies. A request that takes too long kills
the worker by SIGALRM, which the parent reports; a decoder that crashes kills it too.
"""

from __future__ import annotations

import hashlib
import json
import resource
import signal
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from parquill.errors import ErrorKind, RowError, row_errors
from parquill.images.kinds import is_pdf, looks_like
from parquill.images.sandbox.isolation import give_up_network
from parquill.images.sandbox.messages import LENGTHS, Piece, pack_head, pack_pieces

ADDRESS_SPACE = 1 << 30
"""Bytes: 40 megapixels of RGBA, a premultiplied copy, a file of 64 MB, the libraries, and some more."""
SECONDS_A_FILE = 30


def _picture(data: bytearray, **options: Any) -> list[Piece]:
    from parquill.images.sandbox.pictures import shrink  # noqa: PLC0415 - only what a worker is asked for is loaded

    return [shrink(data, **options)]


def _pages(data: bytearray, **options: Any) -> list[Piece]:
    from parquill.documents import draw  # noqa: PLC0415 - as above
    from parquill.images.sandbox.pictures import encode  # noqa: PLC0415 - as above

    return [encode(page, page.width, page.height, lossless=True) for page in draw(_pdf(data), **options)]


def _text(data: bytearray, **options: Any) -> list[Piece]:
    from parquill.documents import read_text  # noqa: PLC0415 - as above

    return [Piece(read_text(_pdf(data), **options).encode())]


def _pdf(data: bytearray) -> bytearray:
    if not is_pdf(data):
        raise RowError(ErrorKind.DOCUMENT_INVALID, f"not a PDF: the file is {looks_like(data)}")
    return data


OPERATIONS: dict[str, Callable[..., list[Piece]]] = {"picture": _picture, "pages": _pages, "text": _text}


def main() -> None:
    """Serve the socket that stands on file descriptor 0."""
    _limit()
    give_up_network()
    with socket.socket(fileno=0) as parent:
        while (request := _read(parent)) is not None:
            parent.sendall(_answer(*request))


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business


def _answer(head: dict[str, Any], data: bytearray) -> bytes:
    signal.alarm(SECONDS_A_FILE)
    try:
        if not data:
            return _fault(head["fault"], "the file is empty")
        with row_errors(head["fault"], _why, system_too=True):
            pieces = OPERATIONS[head["op"]](data, **head["options"])
        source = hashlib.sha256(data).digest()[:16]
        return pack_pieces([replace(piece, source=source) for piece in pieces])
    except RowError as error:
        return _fault(error.kind, error.message)
    finally:
        signal.alarm(0)


def _why(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "it needs more memory to open than one file may take"
    return f"the file is broken: {ascii(f'{error}')[1:-1][:200] or type(error).__name__}"


def _fault(kind: ErrorKind | str, message: str) -> bytes:
    return pack_head({"kind": str(kind), "message": message}, 0)


def _read(parent: socket.socket) -> tuple[dict[str, Any], bytearray] | None:
    lengths = _exactly(parent, LENGTHS.size)
    if lengths is None:
        return None
    head_size, data_size = LENGTHS.unpack(lengths)
    head, data = _exactly(parent, head_size), _exactly(parent, data_size)
    return None if head is None or data is None else (json.loads(head), data)


def _exactly(parent: socket.socket, size: int) -> bytearray | None:
    """Return the next `size` bytes, or None when the parent is gone."""
    data = bytearray(size)
    view = memoryview(data)
    while view:
        count = parent.recv_into(view)
        if not count:
            return None
        view = view[count:]
    return data
