"""What single settings of the job file may hold: kinds of numbers and texts, and the base of its sections.

A validator's message is read after "should be" and does not repeat the value, which may be a secret.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from decimal import Decimal
from typing import Annotated
from zoneinfo import available_timezones

import pydantic
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field


def _no_bool(value: object) -> object:
    """YAML's true would otherwise pass as the number 1."""
    if isinstance(value, bool):
        raise ValueError("a number")  # noqa: TRY004 - pydantic turns ValueError into a fault
    return value


@functools.cache
def _timezones() -> frozenset[str]:
    """Looked up once: it goes through hundreds of files."""
    return frozenset(available_timezones())


def _known_timezone(name: str) -> str:
    if name not in _timezones():
        raise ValueError("a time zone like 'Europe/Berlin' or 'UTC'")
    return name


def like(pattern: str, wanted: str) -> AfterValidator:
    """A text of this form; `wanted` says in words what that is."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(wanted)
        return text

    return AfterValidator(check)


Integer = Annotated[int, BeforeValidator(_no_bool)]
PositiveInt = Annotated[Integer, Field(ge=1, le=10**12)]
Number = Annotated[float, BeforeValidator(_no_bool), Field(allow_inf_nan=False)]
Money = Annotated[Decimal, BeforeValidator(_no_bool), Field(allow_inf_nan=False)]


def _private_network(text: str) -> str:
    try:
        fine = ipaddress.ip_network(text).is_private
    except ValueError:
        fine = False
    if not fine:
        raise ValueError("a network inside a private range, like '10.1.0.0/16' or '192.168.7.5/32'")
    return text


def _store_place(text: str) -> str:
    if not re.match(r"((s3|gs|gcs)://[^/?#@]+|az://[^/@?#:]+@[^/?#@]+)([/?]|$)", text):
        raise ValueError(
            "a place in a store without a key, like 's3://bucket/folder/', 'gs://bucket/' or 'az://account@container/'"
        )
    return text


TimeZone = Annotated[str, AfterValidator(_known_timezone)]
PrivateNetwork = Annotated[str, AfterValidator(_private_network)]
StorePlace = Annotated[str, AfterValidator(_store_place)]


class Section(pydantic.BaseModel):
    """A part of the job file: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
