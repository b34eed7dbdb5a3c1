"""What a row ends as: `ItemResult`, and its compact form for the ledger and the archive."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson

from parquill.chat import ImageFigures


class Status(StrEnum):
    """Values of the output column `status`."""

    OK = "ok"
    FAILED = "failed"
    NOT_ATTEMPTED = "not_attempted"


class CostSource(StrEnum):
    """Where a cost comes from: values of the output column `cost_source`, weakest first."""

    UNKNOWN = "unknown"
    ESTIMATE = "estimate"
    PRICE = "price"
    ENDPOINT = "endpoint"
    REUSED = "reused"


_STRENGTH = {source: strength for strength, source in enumerate(CostSource)}


def weakest(a: CostSource, b: CostSource) -> CostSource:
    """The weaker of two sources: what a sum over several attempts may claim."""
    return min(a, b, key=_STRENGTH.__getitem__)


@dataclass(frozen=True, slots=True)
class ItemResult:
    """One row's outcome. Money in pico-USD (10**-12 USD), sums over all the row's attempts.

    `answer` is a plain JSON value (a string where the job has no schema; dates as ISO
    strings), None unless `status` is ok. `fingerprint` has 16 bytes, or is None where the row
    was too broken to have one. `finished_at` is in microseconds since 1970 UTC. `images` are
    the row's pictures and then its documents' pages in the order they are sent, None in place of
    each that was passed on unseen; None as a whole where none was seen.
    """

    status: Status
    fingerprint: bytes | None
    error_kind: str | None
    error_message: str | None
    answer: Any
    answer_text: str | None
    attempts: int
    model: str | None
    provider: str | None
    generation_id: str | None
    finish_reason: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    cached_tokens: int | None
    cost_pico: int | None
    cost_source: CostSource | None
    estimated_pico: int | None
    latency_ms: int | None
    repairs: tuple[str, ...]
    finished_at: int | None
    images: tuple[ImageFigures | None, ...] | None = None
    upstream_pico: int | None = None
    """The part of `cost_pico` that a provider bills whose key is the user's own; None where there is none."""

    def encode(self) -> bytes:
        """A compact JSON list of the fields, in their order.

        Text that is not valid Unicode (half a surrogate pair) is repaired with U+FFFD: one row's
        odd answer must not stop a run.
        """
        fields = [getattr(self, name) for name in _FIELDS]
        fields[1] = self.fingerprint.hex() if self.fingerprint is not None else None
        if self.images is not None:
            fields[_IMAGES_AT] = [one and [getattr(one, name) for name in _FIGURES] for one in self.images]
        try:
            return orjson.dumps(fields)
        except orjson.JSONEncodeError:
            return orjson.dumps(repaired(fields))

    @staticmethod
    def decode(raw: bytes) -> ItemResult:
        """Read what `encode` wrote, now or before there were the last fields; raises `ValueError` for anything else."""
        fields = orjson.loads(raw)
        if not isinstance(fields, list) or not _IMAGES_AT <= len(fields) <= len(_FIELDS):
            raise ValueError("this is no encoded result")
        fields[0] = Status(fields[0])
        fields[1] = bytes.fromhex(fields[1]) if fields[1] is not None else None
        fields[_SOURCE_AT] = CostSource(fields[_SOURCE_AT]) if fields[_SOURCE_AT] is not None else None
        fields[_REPAIRS_AT] = tuple(fields[_REPAIRS_AT])
        if fields[_IMAGES_AT : _IMAGES_AT + 1] not in ([], [None]):
            fields[_IMAGES_AT] = tuple(one and ImageFigures(*one) for one in fields[_IMAGES_AT])
        return ItemResult(*fields)


_FIELDS = tuple(field.name for field in dataclasses.fields(ItemResult))
_SOURCE_AT = _FIELDS.index("cost_source")
_REPAIRS_AT = _FIELDS.index("repairs")
_IMAGES_AT = _FIELDS.index("images")
_FIGURES = tuple(field.name for field in dataclasses.fields(ImageFigures))


def repaired(value: Any) -> Any:
    """A JSON value that every store can hold.

    Half a surrogate pair becomes U+FFFD, a whole number beyond 64 bits its nearest float.
    """
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {repaired(key): repaired(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [repaired(item) for item in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return _nearest_float(value)
    return value


def _nearest_float(value: int) -> float | None:
    try:
        return float(value)
    except OverflowError:
        return None
