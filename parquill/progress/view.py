"""RunState -> what is drawn, pure: a panel for a terminal, one line for a log, one object for a program.

Three widths: below 60 columns the figures that matter, one under the other; from 132 columns two
columns side by side. Lines keep their places from frame to frame, so that nothing jumps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from parquill.money import dollars, usd
from parquill.run_state import LimitUse, RunState
from parquill.text import count, duration, percent, printable, rate, stopwatch

NARROW, WIDE = 60, 132
_LABEL = 8
_SHOWN_ERRORS = 3

Rates = tuple[float, float]


def panel(state: RunState, rates: Rates, width: int) -> RenderableType:
    """Return what fills a terminal `width` columns wide."""
    if width < NARROW:
        return _narrow(state, rates)
    left: list[RenderableType] = [*_rows(state), _grid(_figures(state, rates))]
    right: list[RenderableType] = [_grid([*_limits(state), *_stages(state)])]
    tail: list[RenderableType] = [_grid(_errors(state)), _message(state)]
    if width < WIDE:
        return Group(_title(state), *left, *right, *tail)
    columns = Table.grid(padding=(0, 4), expand=True)
    columns.add_column(ratio=1)
    columns.add_column(ratio=1)
    columns.add_row(Group(*left), Group(*right))
    return Group(_title(state), columns, *tail)


def line(state: RunState, rates: Rates) -> str:
    """Return one plain line for a log."""
    rows = state.progress.rows
    parts = [
        stopwatch(state.seconds),
        f"{count(state.done)} of {count(rows.total)} rows ({percent(_share(state))})",
        f"ok {count(rows.ok)}",
        f"failed {count(rows.failed)}",
        f"{rate(rates[0])} rows/s",
        f"{rate(rates[1])} tokens/s",
        _money(state),
        f"{count(state.in_flight)} in flight",
    ]
    if state.http_429:
        parts.append(f"{count(state.http_429)} times 429")
    if (holding := state.holding) is not None:
        parts.append(f"held by {holding.name} ({percent(holding.share)})")
    parts.append(_remaining(state))
    if state.message:
        parts.append(printable(state.message))
    return " | ".join(part for part in parts if part)


def json_object(state: RunState, rates: Rates) -> dict[str, Any]:
    """Return the state for a program; money as decimal strings, rates a second."""
    progress = state.progress
    return {
        "job": state.job,
        "seconds": round(state.seconds, 3),
        "rows": asdict(progress.rows),
        "rows_per_second": round(rates[0], 3),
        "tokens_per_second": round(rates[1], 3),
        "requests": state.requests,
        "http_429": state.http_429,
        "in_flight": state.in_flight,
        "tokens": asdict(progress.tokens),
        "spent_usd": usd(state.spent_pico),
        "budget_usd": None if state.cap_pico is None else usd(state.cap_pico),
        "limits": [asdict(limit) for limit in state.limits],
        "stages": asdict(state.stages),
        "eta_seconds": None if state.eta_seconds is None else round(state.eta_seconds, 1),
        "errors_by_kind": dict(progress.errors_by_kind),
        "message": state.message,
    }


def _share(state: RunState) -> float:
    return state.done / state.progress.rows.total if state.progress.rows.total else 1.0


def _remaining(state: RunState) -> str:
    if state.done >= state.progress.rows.total:
        return "all rows done"
    return "" if state.eta_seconds is None else f"about {duration(state.eta_seconds)} left"


def _money(state: RunState) -> str:
    if state.cap_pico is None:
        return f"{dollars(state.spent_pico)} spent"
    return f"{dollars(state.spent_pico)} of {dollars(state.cap_pico)} spent"


def _grid(lines: Sequence[tuple[str, RenderableType]]) -> Table:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(min_width=_LABEL, no_wrap=True, style="dim")
    grid.add_column(overflow="ellipsis", no_wrap=True)
    for label, value in lines:
        grid.add_row(label, value)
    return grid


def _facts(*facts: tuple[str, str]) -> Text:
    """Join (text, style) facts with quiet dots; empty ones are left out."""
    shown = [fact for fact in facts if fact[0]]
    parts = [part for fact in shown for part in ((" · ", "dim"), fact)]
    return Text.assemble(*parts[1:])


def _title(state: RunState) -> Table:
    grid = Table.grid(expand=True)
    grid.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    grid.add_column(justify="right", no_wrap=True)
    grid.add_row(Text(printable(state.job), style="bold"), Text(stopwatch(state.seconds), style="dim"))
    return grid


def _rows(state: RunState) -> list[RenderableType]:
    bar = Table.grid(padding=(0, 1), expand=True)
    bar.add_column(ratio=1)
    bar.add_column(justify="right", width=5, no_wrap=True)
    total = state.progress.rows.total
    bar.add_row(_bar(_share(state)), percent(_share(state)))
    outcome = _facts((f"{count(state.done)} of {count(total)} rows", "bold"), (_remaining(state), ""))
    return [bar, outcome]


def _bar(share: float, width: int | None = None, style: str = "cyan") -> ProgressBar:
    return ProgressBar(100.0, min(share, 1.0) * 100, width=width, complete_style=style, finished_style="green")


def _outcomes(state: RunState) -> Text:
    rows = state.progress.rows
    return _facts(
        (f"{count(rows.ok)} ok", "green"),
        (f"{count(rows.failed)} failed", "red" if rows.failed else "dim"),
        (f"{count(rows.kept)} kept" if rows.kept else "", "dim"),
        (f"{count(rows.failed_before)} failed before" if rows.failed_before else "", "dim"),
        (f"{count(rows.reused)} reused" if rows.reused else "", "dim"),
    )


def _figures(state: RunState, rates: Rates) -> list[tuple[str, RenderableType]]:
    left = None if state.cap_pico is None else f"{dollars(max(0, state.cap_pico - state.spent_pico))} left"
    return [
        ("rows", _outcomes(state)),
        ("speed", _facts((f"{rate(rates[0])} rows/s", ""), (f"{rate(rates[1])} tokens/s", ""))),
        ("money", _facts((_money(state), ""), (left or "", ""))),
        (
            "requests",
            _facts(
                (f"{count(state.in_flight)} in flight", ""),
                (f"{count(state.requests)} sent", ""),
                (f"{count(state.http_429)} times 429" if state.http_429 else "", "yellow"),
            ),
        ),
    ]


def _limits(state: RunState) -> list[tuple[str, RenderableType]]:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(width=12)
    grid.add_column(justify="right", no_wrap=True, width=5)
    grid.add_column(no_wrap=True, overflow="ellipsis")
    for limit in state.limits:
        style = "yellow" if limit.binds else "cyan"
        held = Text("holds the run back", style=style) if limit.binds else Text(_use(limit), style="dim")
        grid.add_row(limit.name, _bar(limit.share, 12, style), percent(limit.share), held)
    return [("limits", grid)] if state.limits else []


def _use(limit: LimitUse) -> str:
    if limit.of < 10:  # dollars
        return f"{limit.used:.3g} of {limit.of:.3g}"
    return f"{count(limit.used)} of {count(limit.of)}"


def _stages(state: RunState) -> list[tuple[str, RenderableType]]:
    facts = [(f"{name} {count(number)}", "" if number else "dim") for name, number in asdict(state.stages).items()]
    return [("stages", _facts(*facts))]


def _errors(state: RunState) -> list[tuple[str, RenderableType]]:
    kinds = sorted(state.progress.errors_by_kind.items(), key=lambda item: -item[1])[:_SHOWN_ERRORS]
    grid = Table.grid(padding=(0, 1))
    grid.add_column(style="red", no_wrap=True, min_width=max((len(kind) for kind, _ in kinds), default=0))
    grid.add_column(justify="right", style="red", no_wrap=True)
    grid.add_column(style="dim", no_wrap=True, overflow="ellipsis")
    for kind, number in kinds:
        grid.add_row(printable(kind), count(number), Text(printable(state.progress.last_errors.get(kind, ""))))
    return [("errors", grid)] if kinds else []


def _message(state: RunState) -> Text:
    return Text(printable(state.message or " "), style="yellow", no_wrap=True, overflow="ellipsis")


def _narrow(state: RunState, rates: Rates) -> Group:
    lines = [
        *_rows(state),
        _outcomes(state),
        Text(f"{rate(rates[0])} rows/s, {rate(rates[1])} tokens/s"),
        Text(_money(state)),
    ]
    if (holding := state.holding) is not None:
        lines.append(Text(f"{holding.name} {percent(holding.share)}: holds the run back", style="yellow"))
    for text in lines:
        if isinstance(text, Text):
            text.no_wrap, text.overflow = True, "ellipsis"
    return Group(_title(state), *lines, _message(state))
