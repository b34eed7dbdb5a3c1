"""Reads error objects of every dialect into one form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from parquill.chat import first_choice


@dataclass(frozen=True, slots=True)
class Fault:
    """One error as its sender meant it; `message` may be empty."""

    message: str
    code: int | None = None
    """The HTTP status that the body names."""
    names: tuple[str, ...] = ()
    """What the sender calls the error: type, error_type, a code in words."""
    metadata: Mapping[str, Any] | None = None
    retryable: bool | None = None
    retry_after: float | None = None

    @property
    def limit_source(self) -> str:
        """Which of OpenRouter's limits was hit, where it says so."""
        return str((self.metadata or {}).get("limit_source") or "")


def find_fault(body: object) -> Fault | None:
    """Read the error in a reply's body, or None where the body holds none."""
    if isinstance(body, list):  # Google AI Studio sends its errors in an array
        body = body[0] if body else None
    if not isinstance(body, dict):
        return None
    if body.get("error"):
        return _read_error(body["error"])
    if body.get("success") is False and body.get("errors"):  # Cloudflare's form
        errors = body["errors"]
        return _read_error(errors[0] if isinstance(errors, list) else errors)
    if "choices" in body and body.get("object") != "error":
        choice = first_choice(body) or {}
        return _read_error(choice["error"]) if choice.get("error") else None
    if "detail" in body:
        return Fault(short(body["detail"]))
    return _read_error(body) if "message" in body else None


def mapping(value: object) -> dict[str, Any]:
    """Return an object as it is, and anything else as an empty one."""
    return value if isinstance(value, dict) else {}


def short(value: object) -> str:
    """Return a value as one line of at most 400 characters."""
    if not isinstance(value, str):
        try:
            value = orjson.dumps(value).decode()
        except orjson.JSONEncodeError:  # orjson reads deeper nesting than it writes
            value = "an error nested too deeply to be shown"
    return re.sub(r"\s+", " ", value[:4000]).strip()[:400]


def _read_error(error: object) -> Fault:
    if not isinstance(error, dict):
        return Fault(short(error))
    metadata, availability = mapping(error.get("metadata")), mapping(error.get("availability"))
    named = (metadata.get("error_type"), error.get("error_type"), error.get("type"), error.get("code"))
    retryable = availability.get("retryable")
    return Fault(
        message=_message(error, metadata.get("raw")),
        code=_status(error.get("code")) or _status(error.get("http_status")),
        names=tuple(name for name in (*named, availability.get("code")) if isinstance(name, str)),
        metadata=metadata,
        retryable=retryable if isinstance(retryable, bool) else None,
        retry_after=_first_seconds(
            availability.get("retry_after"), metadata.get("retry_after_seconds"), *_retry_delays(error.get("details"))
        ),
    )


def _message(error: Mapping[str, Any], raw: object) -> str:
    """The error's text; OpenRouter puts the provider's own words, often JSON in a string, into `raw`."""
    message = short(error.get("message") or error.get("code") or "error")
    if not raw or not message.startswith("Provider returned error"):
        return message
    try:
        inner = find_fault(orjson.loads(raw)) if isinstance(raw, str) else find_fault(raw)
    except orjson.JSONDecodeError:
        inner = None
    return f"{message}: {inner.message if inner else short(raw)}"[:400]


def _retry_delays(details: object) -> list[str]:
    """Google's RetryInfo: `{"retryDelay": "37s"}` among the details."""
    delays = [mapping(detail).get("retryDelay") for detail in (details if isinstance(details, list) else ())]
    return [delay.removesuffix("s") for delay in delays if isinstance(delay, str)]


def _status(value: object) -> int | None:
    """An HTTP status, also as text; other numbers are codes of the sender's own."""
    if not isinstance(value, (int, str)) or not re.fullmatch(r"[45]\d\d", str(value)):
        return None
    return int(value)


def _first_seconds(*values: object) -> float | None:
    return next((seconds for value in values if (seconds := _seconds(value)) is not None), None)


def _seconds(value: object) -> float | None:
    try:
        number = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else None
    except ValueError:
        return None
    return number if number is not None and 0 <= number < 1e9 else None
