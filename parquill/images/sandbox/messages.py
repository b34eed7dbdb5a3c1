"""The messages between parent and worker: a JSON head and a payload of bytes.

    8 bytes   length of head, length of payload (big-endian uint32 each)
    head      JSON object
    payload   bytes

A request's head is {"op", "options"}, its payload the file. A reply's head is either
{"pieces": [{"size", ...}]}, whose payloads follow one another, or {"kind", "message"}.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

LENGTHS = struct.Struct(">II")


@dataclass(frozen=True, slots=True)
class Piece:
    """What a file became: a picture (data: URL, ASCII) or text (UTF-8)."""

    payload: bytes
    width: int = 0
    height: int = 0
    """Pixels of the picture before it was shrunk, upright; 0 for text."""
    digest: bytes = b""
    """16 bytes that name the shrunk picture's content."""
    source: bytes = b""
    """16 bytes that name the file it was made from."""


def pack_head(head: dict[str, Any], payload_size: int) -> bytes:
    """Return a message up to its payload."""
    text = json.dumps(head).encode()
    return LENGTHS.pack(len(text), payload_size) + text


def pack_pieces(pieces: Sequence[Piece]) -> bytes:
    """Return a whole reply."""
    head = [
        {
            "size": len(piece.payload),
            "width": piece.width,
            "height": piece.height,
            "digest": piece.digest.hex(),
            "source": piece.source.hex(),
        }
        for piece in pieces
    ]
    payload = b"".join(piece.payload for piece in pieces)
    return pack_head({"pieces": head}, len(payload)) + payload


def read_pieces(heads: list[dict[str, Any]], payload: bytes | bytearray) -> tuple[Piece, ...]:
    """Return a reply's pieces."""
    pieces, start = [], 0
    for head in heads:
        end = start + head["size"]
        names = (bytes.fromhex(head["digest"]), bytes.fromhex(head["source"]))
        pieces.append(Piece(bytes(payload[start:end]), head["width"], head["height"], *names))
        start = end
    return tuple(pieces)
