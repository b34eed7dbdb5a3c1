"""Converts manifest cells into typed picture values: pure, quick, nothing opened.

A cell is None, a string (http(s) URL, data: URL, the base64 of a data: URL alone, s3:// gs:// az://
object, path), binary, the datasets struct {bytes, path}, or a list of these. None and "" are no
picture, also in a list.
`read_cell` turns it into values in order, or raises `RowError` for what can never be a picture:
`bad_row` (not one of these forms), `image_refused` (a safety rule), `image_invalid` (bytes of
something else). Documents come in the same forms; only what their bytes must be differs.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from parquill.errors import ErrorKind, RowError, row_errors
from parquill.fetch import UrlRules, judge_url, printable, shown, too_large
from parquill.images.kinds import is_pdf, looks_like, picture_kind

Wanted = Literal["picture", "document"]


@dataclass(frozen=True, slots=True)
class WebPicture:
    """An http(s) URL, checked by the job's URL rules."""

    url: str


@dataclass(frozen=True, slots=True)
class DataPicture:
    """A data: URL; decoded when it is needed."""

    url: str


@dataclass(frozen=True, slots=True)
class BytesPicture:
    """The file's own bytes, from a binary column."""

    data: bytes


@dataclass(frozen=True, slots=True)
class PathPicture:
    """A path as the manifest writes it; resolved under `images.root` when it is opened."""

    path: str


@dataclass(frozen=True, slots=True)
class StoredPicture:
    """An object in a bucket: s3://BUCKET/KEY, gs://BUCKET/KEY or az://ACCOUNT@CONTAINER/KEY, nothing else."""

    uri: str


PictureValue = WebPicture | DataPicture | BytesPicture | PathPicture | StoredPicture

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{1,63}+):")
"""Bounded: a text of 300 MB without a colon would be looked through twice."""
_STORED = re.compile(r"(s3://|gs://|az://[a-z0-9]{3,24}@)[A-Za-z0-9][A-Za-z0-9._-]{1,254}/[^?#\\\x00-\x1f]+")
_LEAST_BASE64 = 56
"""Letters of the smallest file that any of our decoders takes for a picture."""
_LONGEST_PATH = 4096
"""Characters of a path (Linux: PATH_MAX) or of a bucket and key; a longer text names no file, and is copied nowhere."""
_BASE64_HEAD = re.compile(rf"[A-Za-z0-9+/_\s-]{{{_LEAST_BASE64 - 2}}}")
_BASE64 = re.compile(r"[A-Za-z0-9+/_\s-]++={0,2}\s*+")
_LOOSE = re.compile(r"[\s%_-]")
"""What is not base64 as RFC 4648 has it, and is forgiven: what has none of it is decoded without a copy."""
_DATA_URL = re.compile(r"data:([\w.+/-]*)((?:;[\w.+=-]+)*?)(;base64)?,", re.IGNORECASE)


def read_cell(cell: Any, rules: UrlRules, wanted: Wanted = "picture") -> tuple[PictureValue, ...]:
    """Return a cell's picture values in order. Raises `RowError` as the module says."""
    with row_errors(ErrorKind.BAD_ROW, f"the cell cannot be read as a {wanted}"):
        return _values_of(cell, rules, wanted)


def _values_of(cell: Any, rules: UrlRules, wanted: Wanted) -> tuple[PictureValue, ...]:
    if isinstance(cell, str):  # the common case first
        value = _read_text(cell, rules)
        return () if value is None else (value,)
    if isinstance(cell, (list, tuple)):
        return tuple(value for item in cell if (value := _read_item(item, rules, wanted)) is not None)
    value = _read_item(cell, rules, wanted)
    return () if value is None else (value,)


def _read_item(item: Any, rules: UrlRules, wanted: Wanted) -> PictureValue | None:
    if item is None:
        return None
    if isinstance(item, str):
        return _read_text(item, rules)
    if isinstance(item, (bytes, bytearray, memoryview)):
        _judge_size(len(item), rules.file_bytes, "the bytes in the manifest are")
        return _read_bytes(bytes(item), wanted)
    if isinstance(item, dict) and item.keys() <= {"bytes", "path"}:
        return _read_item(item.get("bytes") if item.get("bytes") is not None else item.get("path"), rules, wanted)
    raise RowError(
        ErrorKind.BAD_ROW,
        f"a {type(item).__name__} cannot be a {wanted}: a URL, a path, bytes or a struct of bytes and path is wanted",
    )


def _judge_size(size: int, most: int, what: str) -> None:
    if size > most:
        raise RowError(ErrorKind.IMAGE_REFUSED, f"{what} refused: {too_large(most)}")


def _read_bytes(data: bytes, wanted: Wanted) -> BytesPicture:
    if wanted == "document":
        if not is_pdf(data):
            raise RowError(ErrorKind.DOCUMENT_INVALID, f"the bytes are not a PDF: the file is {looks_like(data)}")
    elif picture_kind(data) is None:
        raise RowError(ErrorKind.IMAGE_INVALID, f"the bytes are not a picture: the file is {looks_like(data)}")
    return BytesPicture(data)


def is_path(text: str) -> bool:
    """Return whether a cell's text names a file: it is neither a URL of any kind nor a picture itself."""
    text = text.strip()
    return bool(text) and _SCHEME.match(text) is None and not _base64_type(text)


def _read_text(text: str, rules: UrlRules) -> PictureValue | None:
    text = text.strip()
    if text.startswith(("https://", "http://")):  # the common case first
        judge_url(text, rules)
        return WebPicture(text)
    if not text:
        return None
    scheme = _SCHEME.match(text)
    if scheme is None:
        media_type = _base64_type(text)
        return _read_data_url(f"data:{media_type};base64,{text}", rules) if media_type else _read_path(text)
    name = scheme[1].lower()
    if name in ("http", "https"):
        judge_url(text, rules)
        return WebPicture(text)
    if name == "data":
        return _read_data_url(text, rules)
    if name in ("s3", "gs", "az"):
        return _read_stored(text)
    raise RowError(
        ErrorKind.IMAGE_REFUSED,
        f"{shown(text)} is refused: the scheme {name!r} is none of http, https, data, s3, gs, az"
        " (a file name with a colon is written ./name)",
    )


def _base64_type(text: str) -> str:
    """Return the media type of a picture or PDF that a text is the base64 of; empty where it is a path, or none.

    It is told by the signature of what it decodes to, and by its alphabet, which has no dot: a file's name would
    have to begin as the base64 of a signature does, go on for `_LEAST_BASE64` letters and have no ending.
    """
    if len(text) < _LEAST_BASE64 or _BASE64_HEAD.match(text) is None:
        return ""
    packed = re.sub(r"\s+", "", text[: _LEAST_BASE64 - 2]).replace("-", "+").replace("_", "/")
    head = base64.b64decode(packed[: len(packed) // 4 * 4])
    kind = picture_kind(head)
    media_type = f"image/{kind.lower()}" if kind else "application/pdf" if head.startswith(b"%PDF-") else ""
    no_path = len(text) > _LONGEST_PATH
    return media_type if media_type and (no_path or _BASE64.fullmatch(text)) else ""


def _read_path(text: str) -> PathPicture:
    if len(text) > _LONGEST_PATH:
        said = f"{shown(text[:_LONGEST_PATH])}: a path has at most {_LONGEST_PATH} characters"
        raise RowError(ErrorKind.IMAGE_UNREACHABLE, said)
    if "\x00" in text:
        raise RowError(ErrorKind.IMAGE_REFUSED, f"the path {shown(text)} is refused: it holds a NUL character")
    return PathPicture(text)


def _read_stored(text: str) -> StoredPicture:
    """A query may redirect the filesystem layer to any server, so there is none (Arrow: `endpoint_override`)."""
    if len(text) > _LONGEST_PATH or not _STORED.fullmatch(text) or "/../" in text or text.endswith("/.."):
        raise RowError(
            ErrorKind.IMAGE_REFUSED, f"{shown(text[:_LONGEST_PATH])} is refused: only bucket and key may stand in it"
        )
    return StoredPicture(text)


def _read_data_url(text: str, rules: UrlRules) -> DataPicture:
    _judge_size(len(text) * 3 // 4, rules.file_bytes, "the data: URL is")
    if _DATA_URL.match(text) is None:
        raise RowError(ErrorKind.BAD_ROW, "a data: URL is not well formed; it looks like data:image/png;base64,…")
    return DataPicture(text)


def named(value: PictureValue) -> str:
    """Return what a message calls a value: no signed query, no content."""
    match value:
        case WebPicture(text) | StoredPicture(text):
            return shown(text)
        case PathPicture(path):
            return printable(path)
        case DataPicture():
            return "the data: URL"
        case BytesPicture():
            return "the bytes in the manifest"


def decode_data_url(url: str) -> bytes:
    """Return a data: URL's bytes (RFC 2397); blanks and missing padding are forgiven.

    Raises `RowError(image_invalid)` for what is not base64, or no text of bytes at all.
    """
    head = _DATA_URL.match(url)
    assert head is not None  # read_cell saw to it
    what = "a data: URL does not hold valid base64" if head[3] else "a data: URL holds what stands for no bytes"
    with row_errors(ErrorKind.IMAGE_INVALID, lambda _: what):
        if head[3] and (len(url) - head.end()) % 4 == 0 and not _LOOSE.search(url, head.end()):
            return binascii.a2b_base64(memoryview(url.encode("ascii"))[head.end() :], strict_mode=True)
        body = url[head.end() :]
        if not head[3]:
            return urllib.parse.unquote_to_bytes(body)
        packed = re.sub(r"\s+", "", urllib.parse.unquote(body) if "%" in body else body).rstrip("=")
        altchars = b"-_" if "-" in packed or "_" in packed else None
        return base64.b64decode(packed + "=" * (-len(packed) % 4), altchars, validate=True)


def identity(value: PictureValue, stat: Callable[[str], tuple[int, int]]) -> bytes:
    """Return 16 bytes that stand for a value in a fingerprint, without opening it.

    A URL or object: its text. Bytes and data: URLs: their digest. A path: its text, and size
    (bytes) and mtime (ns) as `stat` gives them; a path that cannot be looked at counts as
    absent, so that planning goes on and the row fails for itself.
    """
    if isinstance(value, WebPicture):  # the common case first
        return _digest(WebPicture, value.url.encode("utf-8", "surrogatepass"))
    match value:
        case DataPicture(text) | StoredPicture(text):
            return _digest(type(value), text.encode("utf-8", "surrogatepass"))
        case BytesPicture(data):
            return _digest(BytesPicture, data)
        case PathPicture(path):
            try:
                size, mtime_ns = stat(path)
            except OSError:
                size, mtime_ns = -1, -1
            return _digest(PathPicture, f"{size} {mtime_ns} ".encode() + path.encode("utf-8", "surrogatepass"))


_BEGUN = {form: hashlib.blake2b(digest_size=16, person=form.__name__.encode()) for form in get_args(PictureValue)}
"""Of each form a digest of nothing: to copy one takes half as long as to set it up."""


def _digest(form: type[PictureValue], content: bytes) -> bytes:
    state = _BEGUN[form].copy()
    state.update(content)
    return state.digest()
