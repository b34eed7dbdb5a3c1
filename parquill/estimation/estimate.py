"""Options and results of an estimate: frozen values. Money in pico-USD."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any

from parquill.cost_range import CostRange
from parquill.errors import ErrorKind
from parquill.money import usd
from parquill.prices import CostRow, ratio
from parquill.replaced_answers import Replaced
from parquill.summary import TokenCounts


@dataclass(frozen=True, slots=True)
class EstimateOptions:
    """What one command asks of an estimate."""

    limit: int | None = None
    """Only the first so many rows of the manifest, as `run --limit` asks them."""
    retry: frozenset[ErrorKind] = frozenset()
    """Failed rows of these kinds are asked again too."""
    again: bool = False
    """Answered rows are asked again too."""
    allow_shrink: bool = False
    """Accept a manifest that lost more than half of its rows."""
    calibrate: int | None = None
    """Send so many rows first, and learn from what comes back."""
    max_usd: Decimal | None = None
    """The calibration sends nothing when its own rows could cost more."""
    by: str | None = None
    """Sum the cost for each value of this column."""
    compare: bool = False
    """Reckon the same work at the prices of the table as well."""
    check_images: bool = False
    """Look whether pictures can be had: those that are dead fail for certain."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of the manifest by what a run would do with them."""

    todo: int = 0
    """Sent."""
    kept: int = 0
    """Answered already, in the output, the ledger or the archive."""
    equal: int = 0
    """Answered without a request: duplicates of another row, or found in another output."""
    failing: int = 0
    """Certain to fail before anything is sent, or failed for good in earlier runs and not asked again."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Expected cost, its 95 % interval, and the most it can be when every row is sent once.

    `rows_pico` are what single rows cost at most, at each of `cost_range.SHARES`.
    """

    expected_pico: int
    low_pico: int
    high_pico: int
    worst_pico: int
    rows_pico: tuple[int, ...] = ()

    @property
    def half(self) -> float:
        """Half of the interval as a share of the expected cost; its larger half where they differ."""
        half = max(self.high_pico - self.expected_pico, self.expected_pico - self.low_pico)
        return ratio(half, self.expected_pico) or 0.0

    @property
    def range(self) -> CostRange:
        """What a run is held against afterwards."""
        return CostRange(self.expected_pico, self.low_pico, self.high_pico, self.rows_pico)

    def to_json(self) -> dict[str, str]:
        """Return decimal strings of USD."""
        named = {"expected": self.expected_pico, "low": self.low_pico, "high": self.high_pico, "worst": self.worst_pico}
        return {name: usd(pico) for name, pico in named.items()}


@dataclass(frozen=True, slots=True)
class Group:
    """The rows to send of one value of a column, and what they cost; None where no price is known."""

    value: str
    rows: int
    tokens: TokenCounts
    expected_pico: int | None


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a calibration sent and cost."""

    rows: int
    cost_pico: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a job would cost, and how long it would take.

    `tokens` are expected, of the rows to send. `cost` is None where no price is known. `seconds` is None
    where neither a limit nor an earlier run says how fast it goes; `pace` says which of them does.
    `unanswered` are the rows that no part of the output answers: what a run would find open.
    """

    job: str
    model: str
    output: str
    rows: Rows
    tokens: TokenCounts
    images: int
    cost: Cost | None
    price: Mapping[str, Any]
    price_line: str
    answer_tokens: float
    answer_source: str
    usage_records: int
    surplus: float
    """What rows cost, usage records say, for each dollar that one answer of each is listed at."""
    unanswered: int
    settings: str
    realm: str
    seconds: float | None = None
    pace: str = ""
    ends_at: dt.datetime | None = None
    failing_by_kind: Mapping[str, int] = field(default_factory=dict)
    by: str | None = None
    groups: tuple[Group, ...] = ()
    comparison: tuple[CostRow, ...] = ()
    calibration: Calibration | None = None
    narrowing: int | None = None
    """Rows that `--calibrate` has to send to bring half of the interval under `NARROW`, as far as usage records tell;
    None where it is, where none were seen, or where half of the rows would not do."""
    notices: tuple[str, ...] = ()
    replaced: Replaced | None = None
    """Answers of the table that no longer match the job, where a setting changed."""

    def to_json(self) -> dict[str, Any]:
        """Return what `estimate --json` prints; money as decimal strings, `cost_usd` null if unknown."""
        data: dict[str, Any] = {
            "rows": asdict(self.rows),
            "tokens": asdict(self.tokens),
            "cost_usd": self.cost.to_json() if self.cost else None,
            "seconds": None if self.seconds is None else round(self.seconds, 3),
            "price": dict(self.price),
            "notices": list(self.notices),
        }
        if self.replaced is not None:
            data["no_longer_match"] = self.replaced.to_json()
        if self.by is not None:
            data["by"] = {self.by: [_group(one) for one in self.groups]}
        if self.comparison:
            data["compare"] = [_compared(row) for row in self.comparison]
        if self.calibration is not None:
            data["calibration"] = {"rows": self.calibration.rows, "cost_usd": usd(self.calibration.cost_pico)}
        if self.narrowing is not None:
            data["calibrate"] = self.narrowing
        return data


def _group(one: Group) -> dict[str, Any]:
    cost = None if one.expected_pico is None else usd(one.expected_pico)
    return {"value": one.value, "rows": one.rows, "tokens": asdict(one.tokens), "cost_usd": cost}


def _compared(row: CostRow) -> dict[str, Any]:
    return {
        "model": row.model,
        "cost_usd": usd(row.cost_pico),
        "as_of": row.as_of.isoformat() if row.as_of else None,
    }
