"""Detects what a file is by its first bytes: never by a name, a header or a media type.

Used by the parent (to refuse at once) and by the sandbox (to choose the one decoder that may
look at the bytes). Sources: each format's specification of its signature.
"""

from __future__ import annotations

HEAD = 512
"""How many first bytes `picture_kind` and `looks_like` need."""

_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
)
_OTHERS = (
    (b"%PDF-", "a PDF (name its column in manifest.document_columns)"),
    (b"PK\x03\x04", "a ZIP archive or an Office file"),
    (b"\x1f\x8b", "gzip data"),
    (b"BM", "a BMP"),
    (b"8BPS", "a Photoshop file"),
    (b"II+\x00", "a BigTIFF"),
    (b"MM\x00+", "a BigTIFF"),
    (b"\x00\x00\x01\x00", "an icon"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL picture"),
    (b"%!PS", "PostScript"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
)


def picture_kind(data: bytes | bytearray | memoryview) -> str | None:
    """Return JPEG, PNG, GIF, WEBP, AVIF or TIFF (Pillow's names), or None for anything else."""
    head = bytes(data[:32])
    for signature, kind in _SIGNATURES:
        if head.startswith(signature):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    return "AVIF" if head[4:12] in (b"ftypavif", b"ftypavis") else None


def is_pdf(data: bytes | bytearray | memoryview) -> bool:
    """Return whether a PDF's header stands in the first 1,024 bytes, where readers look for it."""
    return b"%PDF-" in bytes(data[:1024])


def looks_like(data: bytes | bytearray | memoryview) -> str:
    """Return what a file that is not what was wanted seems to be, in words for an error message."""
    head = bytes(data[:HEAD])
    if kind := picture_kind(head):
        return f"a {kind} picture"
    if not head:
        return "empty"
    for signature, words in _OTHERS:
        if head.startswith(signature):
            return words
    if head[4:8] == b"ftyp":
        return "a HEIC picture" if head[8:11] in (b"hei", b"mif", b"hev", b"msf") else "a video"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<script")):
        return "an HTML page"
    if b"<svg" in text:
        return "an SVG drawing"
    if text.startswith((b"<", b"{", b"[")):
        return "XML or JSON text"
    return "of no kind that is known here"
