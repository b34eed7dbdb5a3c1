"""Frozen values that the ledger returns. Money in pico-USD, times in microseconds since 1970 UTC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run: it goes on across crashes and stops until `ended_at` is set."""

    id: int
    started_at: int
    ended_at: int | None
    stop: str | None
    """Why it last stopped before its end; None while it goes on and when it ended."""
    realm: str
    """Whose answers these are: the emulator's never mix with a real endpoint's."""
    model: str
    settings: str
    cap_pico: int | None


@dataclass(frozen=True, slots=True)
class Spend:
    """What was booked: `tokens` counts the worst case where the truth is unknown."""

    requests: int
    pico: int
    tokens: int
    prompt_tokens: int
    completion_tokens: int
    doubts: int
    """Requests of these that were in flight when a process died."""
    doubt_pico: int

    def plus(self, other: Spend) -> Spend:
        """Return the sum of both, field by field."""
        return Spend(*(getattr(self, name) + getattr(other, name) for name in SPEND_SUMS))


SPEND_SUMS = ("requests", "pico", "tokens", "prompt_tokens", "completion_tokens", "doubts", "doubt_pico")
"""The columns of `Spend`, in order."""


@dataclass(frozen=True, slots=True)
class DatedSpend:
    """What was booked for requests sent in one quarter hour, which is counted from 1970."""

    quarter: int
    spent: Spend

    @property
    def at(self) -> float:
        """When the quarter hour began, in unix seconds."""
        return self.begin(self.quarter)

    @staticmethod
    def begin(quarter: int) -> float:
        """Return when a quarter hour began, in unix seconds."""
        return quarter * 900.0


@dataclass(frozen=True, slots=True)
class AskedOf:
    """How many requests one endpoint was sent in one quarter hour."""

    endpoint: str
    """What `note_endpoint` was told."""
    quarter: int
    requests: int


@dataclass(frozen=True, slots=True)
class EvidenceCount:
    """How many lines one process of a run left in the tables about single requests."""

    process: str
    """What the names of its files begin with."""
    attempts: int | None
    """The requests it booked, each a line of `attempts`; None where the job did not keep them."""
    drift: int
    ended: bool
    """False while it is at work, and where it died: then only what stands in the tables is known."""


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """A request of a row that has no outcome yet: it ended, or is in doubt (then at worst case)."""

    number: int
    in_doubt: bool
    fingerprint: bytes
    generation_id: str | None
    cost_pico: int
    cost_source: str
    prompt_tokens: int | None
    completion_tokens: int | None
    cached_tokens: int | None
    error_kind: str | None
    upstream_pico: int | None = None
    """Of the cost, what a provider bills whose key is the user's own."""


@dataclass(frozen=True, slots=True)
class SliceRecord:
    """An open slice: its part's name, and the digest of what it held when it was opened."""

    id: int
    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class OpenSlice:
    """What the ledger still holds for a slice: outcomes, and attempts of rows without one."""

    name: str
    outcomes: int
    attempts: int


@dataclass(frozen=True, slots=True)
class Recovery:
    """What the last process left behind.

    `in_doubt` requests were in flight when it died; they are now booked at `worst_pico`.
    `by_slice` has their rows, by the name of the slice's part. `published` are slices whose part
    were there already and whose rows left the ledger now; `unpublished` are those whose part did not.
    """

    in_doubt: int
    worst_pico: int
    worst_tokens: int
    by_slice: Mapping[str, tuple[int, ...]]
    published: tuple[str, ...]
    unpublished: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ArchiveEntry:
    """An answer (or a failure that was paid) that left the output.

    `fingerprint` has 16 bytes, or none where the row had none. `payload` is an encoded result,
    or None where only a cost is kept.
    """

    fingerprint: bytes
    realm: str
    ok: bool
    cost_pico: int
    payload: bytes | None


@dataclass(frozen=True, slots=True)
class CarriedRow:
    """The sums of a row's attempts, taken over from a standing part so that the row goes on."""

    slice_id: int
    row: int
    run: int
    fingerprint: bytes
    attempts: int
    cost_pico: int
    cost_source: str
    prompt_tokens: int | None
    completion_tokens: int | None
    cached_tokens: int | None
    upstream_pico: int | None = None


@dataclass(frozen=True, slots=True)
class Books:
    """Where the money is, and where it went."""

    parts_pico: int
    """Sums of the standing parts, less rows of theirs that live in ledger or archive again."""
    archive_pico: int
    ledger_pico: int
    """Outcomes and ended attempts of slices whose part does not stand yet."""
    in_doubt_pico: int
    """Worst cases of lost requests of rows without an outcome."""
    runs_pico: int
    """What all runs spent."""
    in_flight: int
    """Requests sent and not yet heard of: on neither side until they end or are found in doubt."""
    in_flight_pico: int

    @property
    def difference_pico(self) -> int:
        """What is held less what was spent; 0 when the books balance."""
        held = self.parts_pico + self.archive_pico + self.ledger_pico + self.in_doubt_pico
        return held - self.runs_pico

    @property
    def balanced(self) -> bool:
        """Whether what the runs spent is what is held for it."""
        return self.difference_pico == 0


@dataclass(frozen=True, slots=True)
class FailureRecord:
    """A request that failed for good with `kind` in each of the last `runs` runs that sent it."""

    fingerprint: bytes
    kind: str
    runs: int
    counted_at: int
    """When the run began that counted it last: that run does not count it twice."""
    message: str
    """What was wrong the last time."""


@dataclass(frozen=True, slots=True)
class LedgerStatistics:
    """How the writer groups: operations handed over, and commits that held them."""

    operations: int
    commits: int


@dataclass(frozen=True, slots=True)
class TakenRow:
    """A row that another process of the run asked, its sums over all that process's attempts."""

    row: int
    fingerprint: bytes
    ok: bool
    attempts: int
    cost_pico: int
    cost_source: str
    prompt_tokens: int | None
    completion_tokens: int | None
    cached_tokens: int | None
    payload: bytes | None
    """The encoded outcome; None where it has none, and only its attempts count."""
    upstream_pico: int | None = None

    @property
    def tokens(self) -> int:
        """Tokens of prompt and completion together; unknown ones count as 0."""
        return (self.prompt_tokens or 0) + (self.completion_tokens or 0)


@dataclass(frozen=True, slots=True)
class TakenPart:
    """Rows of one slice, by the name of its part and the digest of what it holds (with the realm).

    `spent` is the sum of the rows, by when their requests were sent.
    """

    name: str
    digest: str
    rows: Sequence[TakenRow]
    spent: Sequence[DatedSpend]
