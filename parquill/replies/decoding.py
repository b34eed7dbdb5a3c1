"""Decodes a reply's bytes into its JSON value: strictly where that works, else leniently.

A good answer that was billed must not be lost over one token elsewhere in the reply. What the
strict parser refuses is read a second time by one that forgives what is known to happen, and
says what it forgave:

| repair | what was wrong |
|---|---|
| `reply:bom` | a byte order mark before the JSON |
| `reply:encoding` | bytes that are not UTF-8: read in the encoding that was declared, else U+FFFD in their place |
| `reply:surrogate` | half of a surrogate pair (an emoji that was cut in two): U+FFFD in its place |
| `reply:number` | `NaN`, `Infinity` or a number beyond every double: read as absent |
| `reply:control` | raw control characters inside a string |
| `reply:trailing` | text after the JSON object |
| `reply:stream` | an event stream that was not asked for: put together |
| `reply:wrapped` | the completion was inside another object (`result`, `response`, `data`) or a list |

Guarantee: `decode` raises nothing but `ValueError`, whatever the bytes are.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from parquill.replies.streams import is_stream, join_events

_BLANK = " \t\r\n\0"
_WRAPPERS = ("result", "response", "data", "output", "body", "completion")
_CHARSET = re.compile(r"charset\s*=\s*\"?([\w.:-]+)", re.I)
_SURROGATE = re.compile("[\ud800-\udfff]")
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


@dataclass(frozen=True, slots=True)
class Decoded:
    """A reply's JSON value, and what had to be forgiven to read it."""

    body: Any
    repairs: tuple[str, ...] = ()


def decode(raw: bytes, headers: Mapping[str, str]) -> Decoded:
    """Return a reply's JSON value.

    Args:
        raw: The whole body, without its content encoding.
        headers: The reply's: a declared charset and event streams are told there.

    Raises:
        ValueError: It is no JSON, not even to the lenient reading.
    """
    try:
        return _unwrapped(orjson.loads(raw), ())
    except orjson.JSONDecodeError:
        pass
    try:
        return _decode_leniently(raw, header(headers, "content-type"))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def straighten(raw: bytes, headers: Mapping[str, str]) -> tuple[bytes, tuple[str, ...]]:
    """Return an event stream or a UTF-16 text as the UTF-8 JSON that it spells, with what was forgiven.

    For the client, which looks for secrets in a body before anything else reads it: a key that stands in pieces, or
    in bytes of another kind, would be whole only afterwards. Every other body, and one that cannot be read, is
    returned as it is.
    """
    if raw[:1] == b"{":
        return raw, ()
    repairs: list[str] = []
    content_type = header(headers, "content-type")
    if not raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        beginning = raw[:80].decode("utf-8", "replace").removeprefix("\ufeff").lstrip(_BLANK)
        if not is_stream(beginning, content_type):
            return raw, ()
    text = _text_of(raw, content_type, repairs).strip(_BLANK)
    if is_stream(text, content_type):
        try:
            body = join_events(text, lambda event: _read(event, repairs))
            return orjson.dumps(body), (*dict.fromkeys(repairs), "reply:stream")
        except (ValueError, RecursionError):  # it breaks off, or holds what cannot be written
            repairs.clear()
    return (text.encode("utf-8", "replace"), tuple(repairs)) if repairs else (raw, ())


def header(headers: Mapping[str, str], wanted: str) -> str:
    """Return a header's value, whatever the case of its name; empty where there is none."""
    return next((value for name, value in headers.items() if name.lower() == wanted), "")


def _decode_leniently(raw: bytes, content_type: str) -> Decoded:
    repairs: list[str] = []
    text = _text_of(raw, content_type, repairs).strip(_BLANK)
    if is_stream(text, content_type):
        body: Any = join_events(text, lambda event: _read(event, repairs))
        repairs.append("reply:stream")
    else:
        body = _read(text, repairs)
    return _unwrapped(body, tuple(dict.fromkeys(repairs)))


def _text_of(raw: bytes, content_type: str, repairs: list[str]) -> str:
    encoding = "utf-8"
    for mark, name in _BOMS:
        if raw.startswith(mark):
            raw, encoding = raw[len(mark) :], name
            repairs.append("reply:bom")
            break
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        repairs.append("reply:encoding")
    declared = _CHARSET.search(content_type)
    try:
        return raw.decode(declared[1] if declared else encoding, "replace")
    except LookupError:
        return raw.decode(encoding, "replace")


def _read(text: str, repairs: list[str]) -> Any:
    """Read one JSON value; what follows an object is left out. Raises `ValueError`."""
    try:
        value, end = _decoder(repairs, strict=True).raw_decode(text)
    except ValueError:
        value, end = _decoder(repairs, strict=False).raw_decode(text)
        repairs.append("reply:control")
    if text[end:].strip(_BLANK):
        if not isinstance(value, dict):
            raise ValueError("text stands after the JSON value")
        repairs.append("reply:trailing")
    if "\\u" in text and _join_surrogates(value):
        repairs.append("reply:surrogate")
    return value


def _decoder(repairs: list[str], *, strict: bool) -> json.JSONDecoder:
    def absent(_: str) -> None:
        repairs.append("reply:number")

    def finite(literal: str) -> float | None:
        if math.isfinite(number := float(literal)):
            return number
        repairs.append("reply:number")
        return None

    def whole(literal: str) -> int | float | None:
        return int(literal) if len(literal) < 40 else finite(literal)

    return json.JSONDecoder(strict=strict, parse_constant=absent, parse_float=finite, parse_int=whole)


def _join_surrogates(value: Any) -> bool:
    """Replace each lone surrogate inside `value` by U+FFFD, in place; tell whether there was any."""
    found, waiting = False, [value]
    while waiting:
        one = waiting.pop()
        places = one.items() if isinstance(one, dict) else enumerate(one) if isinstance(one, list) else ()
        for key, item in list(places):
            if isinstance(item, str) and _SURROGATE.search(item):
                one[key] = _SURROGATE.sub("\ufffd", item)
                found = True
            elif isinstance(item, (dict, list)):
                waiting.append(item)
    return found


def _unwrapped(body: Any, repairs: tuple[str, ...]) -> Decoded:
    """Take a completion out of the object or list that a gateway put around it."""
    if isinstance(body, list) and len(body) == 1 and isinstance(body[0], dict) and "choices" in body[0]:
        return Decoded(body[0], (*repairs, "reply:wrapped"))
    if isinstance(body, dict) and "choices" not in body and not body.get("error"):
        for name in _WRAPPERS:
            inner = body.get(name)
            if isinstance(inner, dict) and isinstance(inner.get("choices"), list):
                return Decoded(inner, (*repairs, "reply:wrapped"))
    return Decoded(body, repairs)
