"""Which rows that failed for good are asked again.

A kind of fault that may pass (`PASSING_KINDS`) is asked again by the next run, until the same request has
failed with the same kind in `retry.max_runs` runs; from then on it is asked only with `--retry KIND`. What is
counted stands in the ledger by fingerprint: it follows a row to wherever it stands in the manifest, and a
changed row begins anew. A row without a fingerprint is never counted: it fails here, and judging it is free.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from parquill.errors import PASSING_KINDS, ErrorKind
from parquill.ledger import FailureRecord
from parquill.results import ItemResult, PartInfo, Status, read_part
from parquill.storage import Storage

Counts = Mapping[bytes, FailureRecord]
Look = Callable[[Sequence[bytes]], Counts]
"""Returns what is counted of the requests with these fingerprints."""

_LEFT = " (failed alike in "


@dataclass(frozen=True, slots=True)
class RetryChoice:
    """Which failed rows are asked again: those that may pass, for `max_runs` runs, and the kinds a user names."""

    kinds: frozenset[ErrorKind]
    max_runs: int

    def wants(self, kind: str | None, runs: int = 0) -> bool:
        """Whether a row that failed with a kind in so many runs is asked again."""
        return kind in self.kinds or (kind in PASSING_KINDS and runs < self.max_runs)

    def asks(self, kind: str | None, fingerprint: bytes | None, counts: Counts) -> bool:
        """Whether a row that stands as failed is asked again; one that was never counted failed once."""
        if fingerprint is None:
            return self.wants(kind)
        known = counts.get(fingerprint)
        return self.wants(kind, known.runs if known is not None and known.kind == kind else 1)

    def leaves(self, known: FailureRecord) -> bool:
        """Whether a request that was counted is not sent again on its own."""
        return not self.wants(known.kind, known.runs)


def counts_of(results: Sequence[ItemResult], look: Look) -> Counts:
    """Return what is counted of the failed ones among results."""
    failed = (result.fingerprint for result in results if result.status is Status.FAILED)
    return look([fingerprint for fingerprint in failed if fingerprint is not None])


def part_asks_again(output: Storage, info: PartInfo, retry: RetryChoice, look: Look) -> bool:
    """Whether any failed row of a part is asked again; its rows are read only where their kinds do not decide."""
    wanted = {kind for kind in info.by_error_kind if retry.wants(kind)}
    if not wanted or not wanted.isdisjoint(retry.kinds):
        return bool(wanted)
    table = read_part(output, info.name, ["fingerprint", "error_kind"])
    failed = [
        (bytes.fromhex(mark) if mark else None, kind)
        for mark, kind in zip(*(table.column(name).to_pylist() for name in ("fingerprint", "error_kind")), strict=True)
        if kind in wanted
    ]
    counts = look([mark for mark, _ in failed if mark is not None])
    return any(retry.asks(kind, mark, counts) for mark, kind in failed)


def bare_message(message: str | None) -> str:
    """Return a failed row's message without what `left_message` added to it."""
    return (message or "").partition(_LEFT)[0]


def left_message(known: FailureRecord) -> str:
    """Return the error message of a row that is not asked again on its own, with what asks it again."""
    runs = "1 run" if known.runs == 1 else f"{known.runs} runs"
    return f"{known.message}{_LEFT}{runs}: it is not asked again on its own, --retry {known.kind} asks it)"
