"""Summary of a run as values: the counter, the summary, the run record.

- `Tally` is the one mutable thing here: a run adds each finished row, anyone may ask for a
  `Progress` at any time.
- `RunSummary` is what `run` returns, what `run --json` prints, and what decides the exit status.
- `RunRecord` is the file a run leaves beside its output (`<output>.parquill/runs/<run_id>.json`):
  the summary, the settings, the price it reckoned with, versions, and a thinned timeline. The
  report compares one night with the one before by reading these.

Pure: no file, clock or terminal is touched. Money is integer pico-USD inside and a decimal string
outside. `RowCounts` always has `total == ok + failed + not_attempted`; `kept`, `reused` and `failed_before`
say where some of those rows came from. Rows that no price is known for are counted (`unpriced`), so a
sum of nothing known reads "unknown" and not "free".
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Protocol

import pydantic

from parquill.cost_range import CostRange
from parquill.errors import EXIT_STATUS, Stop
from parquill.histogram import Histogram
from parquill.money import usd
from parquill.redacted_settings import without_secrets
from parquill.timeline import TimelineSample

EXIT_DONE, EXIT_ROWS_FAILED = 0, 3
_EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class RowCounts:
    """Rows of the manifest by how they ended; `total` is the sum of the three outcomes."""

    total: int
    ok: int = 0
    failed: int = 0
    not_attempted: int = 0
    kept: int = 0
    """Of `ok`: answered before this run, and left as they are."""
    reused: int = 0
    """Of `ok`: taken from a duplicate, the archive or another output, without a request."""
    failed_before: int = 0
    """Of `failed`: failed for good before this run, which did not ask them again."""

    @property
    def fresh(self) -> int:
        """Rows that have an outcome of this run."""
        return self.ok + self.failed - self.kept - self.failed_before

    def to_json(self) -> dict[str, int]:
        """Return the counts as programs read them."""
        counts = asdict(self)
        del counts["failed_before"]
        return counts


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Tokens over all attempts, as the endpoint counted them."""

    prompt: int = 0
    completion: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """A tally at one moment; `rows.not_attempted` are the rows without an outcome so far."""

    rows: RowCounts
    requests: int = 0
    tokens: TokenCounts = TokenCounts()
    cost_pico: int = 0
    unpriced: int = 0
    """Rows that were sent and whose cost is unknown; `cost_pico` is without them."""
    errors_by_kind: Mapping[str, int] = field(default_factory=dict)
    last_errors: Mapping[str, str] = field(default_factory=dict)
    """For each kind that occurred in this run, its latest message."""


class Counted(Protocol):
    """What a tally reads of a finished row."""

    @property
    def status(self) -> str:
        """How the row ended: ok, failed or not_attempted."""

    @property
    def error_kind(self) -> str | None:
        """The kind of its error; None unless it failed."""

    @property
    def error_message(self) -> str | None:
        """Its error in words."""

    @property
    def attempts(self) -> int:
        """Requests sent for it."""

    @property
    def prompt_tokens(self) -> int | None:
        """Over all attempts; None where no usage is known."""

    @property
    def completion_tokens(self) -> int | None:
        """Over all attempts; None where no usage is known."""

    @property
    def cost_pico(self) -> int | None:
        """Over all attempts, in pico-USD; None where it is unknown."""

    @property
    def cost_source(self) -> str | None:
        """The weakest source of its costs."""


class Tally:
    """Counts a run's rows as they end; adding one costs well under a microsecond.

    Not for several threads: a run adds from its one event loop.
    """

    __slots__ = (
        "_attempts", "_before", "_completion", "_cost", "_errors", "_kept", "_messages",
        "_prompt", "_reused", "_statuses", "_total", "_unpriced", "costs",
    )  # fmt: skip

    def __init__(self, total: int, *, kept_ok: int = 0, kept_errors: Mapping[str, int] = _EMPTY) -> None:
        """`total` rows in all; of them `kept_ok`, and failures by kind, stand from earlier runs."""
        self._total, self._kept, self._before = total, kept_ok, sum(kept_errors.values())
        self._statuses = {"ok": kept_ok, "failed": self._before, "not_attempted": 0}
        self._errors: dict[str, int] = {str(kind): count for kind, count in kept_errors.items()}
        self._messages: dict[str, str] = {}
        self.costs = Histogram()
        """How the rows that were sent are spread by what each cost, in pico-USD."""
        self._attempts = self._prompt = self._completion = self._cost = self._unpriced = self._reused = 0

    def add(self, result: Counted, *, before: bool = False) -> None:
        """Count one row of this run; `before`: it failed in earlier ones, and this one does not ask it again."""
        self._before += before
        self._statuses[result.status] += 1
        attempts, cost = result.attempts, result.cost_pico
        self._attempts += attempts
        self._prompt += result.prompt_tokens or 0
        self._completion += result.completion_tokens or 0
        if cost is not None:
            self._cost += cost
            if attempts:
                self.costs.add(cost)
        elif attempts:
            self._unpriced += 1
        if (kind := result.error_kind) is not None:
            self._errors[kind] = self._errors.get(kind, 0) + 1
            self._messages[kind] = result.error_message or ""
        elif result.cost_source == "reused":
            self._reused += 1

    def snapshot(self) -> Progress:
        """Return the counts so far."""
        ok, failed = self._statuses["ok"], self._statuses["failed"]
        left = self._total - ok - failed
        rows = RowCounts(self._total, ok, failed, left, self._kept, self._reused, self._before)
        tokens = TokenCounts(self._prompt, self._completion)
        errors = {str(kind): count for kind, count in self._errors.items()}
        messages = {str(kind): message for kind, message in self._messages.items()}
        return Progress(rows, self._attempts, tokens, self._cost, self._unpriced, errors, messages)


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run from start to end or stop, as `run` returns it."""

    job: str
    run_id: str
    started_at: dt.datetime
    rows: RowCounts
    output: str
    seconds: float = 0.0
    requests: int = 0
    cost_pico: int = 0
    in_doubt_pico: int = 0
    unpriced: int = 0
    tokens: TokenCounts = TokenCounts()
    stopped_by: Stop | None = None
    stop_message: str | None = None
    errors_by_kind: Mapping[str, int] = field(default_factory=dict)
    left_by_kind: Mapping[str, int] = field(default_factory=dict)
    """Of the failures that may pass: those that failed alike in `retry.max_runs` runs; only `--retry` asks them."""
    estimate: CostRange | None = None
    rows_pico: tuple[int, ...] = ()
    """What a row that was sent cost at most, at each of `cost_range.SHARES`."""
    notices: tuple[str, ...] = ()
    replaced: Mapping[str, Any] = field(default_factory=dict)  # `Replaced` as JSON values; empty where nothing was
    sample: tuple[Mapping[str, Any], ...] = ()
    """Of a sample: `id`, `old` and `new` answer and `status` of each row, as JSON values."""

    @property
    def exit_status(self) -> int:
        """0 all answered, 3 some failed, else what stopped the run (4, 5, 130, 143)."""
        if self.stopped_by is not None:
            return EXIT_STATUS[self.stopped_by]
        return EXIT_ROWS_FAILED if self.rows.failed else EXIT_DONE

    @property
    def cost_known(self) -> bool:
        """False where rows were sent and not one of them has a price."""
        return self.cost_pico > 0 or self.unpriced == 0

    def to_json(self) -> dict[str, Any]:
        """Return what `run --json` prints; money as decimal strings, `cost_usd` null if unknown."""
        return {
            "rows": self.rows.to_json(),
            "requests": self.requests,
            "cost_usd": usd(self.cost_pico) if self.cost_known else None,
            "in_doubt_usd": usd(self.in_doubt_pico),
            "tokens": asdict(self.tokens),
            "seconds": round(self.seconds, 3),
            "stopped_by": self.stopped_by.value if self.stopped_by else None,
            **({"replaced": dict(self.replaced)} if self.replaced else {}),
            **({"sample": [dict(row) for row in self.sample]} if self.sample else {}),
        }


@dataclass(frozen=True, slots=True)
class RunRecord:
    """The file a run leaves behind; `dump` and `load` are each other's inverse, less secrets."""

    summary: RunSummary
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The job as it ran, in the job file's form."""
    price: Mapping[str, Any] = field(default_factory=dict)
    """The price snapshot: where it came from, when, and USD per token as decimal strings."""
    versions: Mapping[str, str] = field(default_factory=dict)
    timeline: tuple[TimelineSample, ...] = ()

    def dump(self) -> bytes:
        """Return the record as JSON; the webhook and passwords inside URLs are left out."""
        summary = self.summary
        data = {
            "job": summary.job,
            "run_id": summary.run_id,
            "started_at": summary.started_at.isoformat(),
            "output": summary.output,
            **summary.to_json(),
            "unpriced": summary.unpriced,
            "stop_message": summary.stop_message,
            "errors_by_kind": dict(summary.errors_by_kind),
            "left_by_kind": dict(summary.left_by_kind),
            "failed_before": summary.rows.failed_before,
            "estimate": asdict(summary.estimate) if summary.estimate else None,
            "rows_pico": summary.rows_pico,
            "notices": summary.notices,
            "settings": without_secrets(self.settings),
            "price": dict(self.price),
            "versions": dict(self.versions),
            "timeline": [asdict(sample) for sample in self.timeline],
        }
        return json.dumps(data, indent=1, default=str).encode()  # ASCII: half a surrogate pair survives

    @classmethod
    def load(cls, raw: bytes) -> RunRecord:
        """Read a record; raises `ValueError` where it is not one."""
        try:
            data = json.loads(raw, parse_constant=_refuse)
            return cls(
                summary=_read_summary(data),
                settings=data["settings"],
                price=data["price"],
                versions=data["versions"],
                timeline=_TIMELINE.validate_python(data["timeline"]),
            )
        except (KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
            raise ValueError(f"this is no run record: {error!r}") from error


def _read_summary(data: Mapping[str, Any]) -> RunSummary:
    fields = {
        "job": data["job"],
        "run_id": data["run_id"],
        "started_at": dt.datetime.fromisoformat(data["started_at"]),
        "rows": {**data["rows"], "failed_before": data.get("failed_before", 0)},
        "output": data["output"],
        "seconds": data["seconds"],
        "requests": data["requests"],
        "cost_pico": _pico(data["cost_usd"] or "0"),
        "in_doubt_pico": _pico(data["in_doubt_usd"]),
        "unpriced": data["unpriced"],
        "tokens": data["tokens"],
        "stopped_by": Stop(data["stopped_by"]) if data["stopped_by"] else None,
        "stop_message": data["stop_message"],
        "errors_by_kind": data["errors_by_kind"],
        "left_by_kind": data.get("left_by_kind", {}),
        "estimate": CostRange.load(data["estimate"]) if data["estimate"] else None,
        "rows_pico": tuple(data["rows_pico"]),
        "notices": tuple(data["notices"]),
        "replaced": data.get("replaced", {}),
    }
    return _SUMMARY.validate_python(fields)


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no number of ours")


_SUMMARY = pydantic.TypeAdapter(RunSummary)
_TIMELINE = pydantic.TypeAdapter(tuple[TimelineSample, ...])


def _pico(text: str) -> int:
    return int(Decimal(text).scaleb(12))
