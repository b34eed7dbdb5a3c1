"""The table that closes a run: what was done, what it cost, what failed, how to go on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from parquill import hints
from parquill.money import dollars
from parquill.summary import RunSummary
from parquill.text import count, duration, printable


def render_summary(summary: RunSummary, console: Console) -> None:
    """Print the closing table; every text of foreign origin is made harmless first."""
    blocks: list[RenderableType] = [_headline(summary), _figures(summary)]
    if summary.errors_by_kind:
        blocks.append(_failures(summary))
    if summary.sample:
        blocks += [_compared(summary), *_difference(summary)]
    blocks.append(_next_steps(summary))
    console.print(Padding(Group(*(Padding(block, (0, 0, 1, 0)) for block in blocks)), (1, 1, 0, 1)))


def _headline(summary: RunSummary) -> Text:
    rows = summary.rows
    if summary.stopped_by is not None:
        word, style = f"stopped: {hints.why_stopped(summary.stopped_by)}", "yellow"
    elif rows.failed:
        word, style = f"finished, {count(rows.failed)} of {count(rows.total)} rows failed", "yellow"
    else:
        word, style = "finished", "green"
    return Text.assemble(
        (printable(summary.job), "bold"), "  ", (word, style), ("  after " + duration(summary.seconds), "dim")
    )


def figures_grid(lines: list[tuple[str, str, str]]) -> Table:
    """Lay out (label, figure, remark), figures flush right."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(style="dim", overflow="fold")
    for label, figure, remark in lines:
        grid.add_row(label, figure, Text(remark))
    return grid


def _figures(summary: RunSummary) -> Table:
    rows = summary.rows
    lines = [
        ("answered", count(rows.ok), _origins(summary)),
        ("failed", count(rows.failed), _failed_before(rows.failed_before, rows.failed)),
        ("not attempted", count(rows.not_attempted), ""),
        ("requests", count(summary.requests), ""),
        ("tokens in", count(summary.tokens.prompt), ""),
        ("tokens out", count(summary.tokens.completion), ""),
        ("cost", dollars(summary.cost_pico) if summary.cost_known else "unknown", _against_estimate(summary)),
        *(("", dollars(actual), said) for actual, said in rows_against_estimate(summary)),
        ("in doubt", dollars(summary.in_doubt_pico), "booked at worst case: the replies were lost"),
    ]
    idle = {"failed": rows.failed, "not attempted": rows.not_attempted, "in doubt": summary.in_doubt_pico}
    return figures_grid([line for line in lines if idle.get(line[0], 1)])


def _origins(summary: RunSummary) -> str:
    rows = summary.rows
    parts = [(rows.kept, "kept from earlier runs"), (rows.reused, "reused")]
    return ", ".join(f"{count(number)} {text}" for number, text in parts if number)


def _failed_before(before: int, failed: int) -> str:
    if not before:
        return ""
    number = "all" if before == failed else count(before)
    return f"{number} in earlier runs, not asked again"


def _against_estimate(summary: RunSummary) -> str:
    if summary.unpriced:
        return f"{count(summary.unpriced)} rows have no known price"
    if (estimate := summary.estimate) is None:
        return ""
    if summary.stopped_by is not None:
        return f"of about {dollars(estimate.expected_pico)} estimated for all rows"
    told = f"estimate {dollars(estimate.expected_pico)} ({dollars(estimate.low_pico)} to {dollars(estimate.high_pico)})"
    if summary.cost_pico > estimate.high_pico:
        return f"{told}: the cost is above this range"
    return f"{told}: the cost is below this range" if summary.cost_pico < estimate.low_pico else told


_QUANTILES = ("half of the rows cost at most this", "9 rows of 10", "99 rows of 100")


def rows_against_estimate(summary: RunSummary) -> list[tuple[int, str]]:
    """Return what single rows cost at most, quantile by quantile, and what of it was estimated; only of runs
    that had an estimate."""
    if summary.estimate is None or not summary.rows_pico:
        return []
    estimated = summary.estimate.rows_pico
    return [
        (actual, f"{said}, estimate {dollars(thought)}")
        for actual, thought, said in zip(summary.rows_pico, estimated, _QUANTILES, strict=False)
    ]


def _failures(summary: RunSummary) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="red", no_wrap=True)
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(overflow="fold")
    for kind, number in sorted(summary.errors_by_kind.items(), key=lambda item: -item[1]):
        again = hints.who_asks_again(kind, number, summary.left_by_kind.get(kind, 0))
        grid.add_row(printable(kind), count(number), Text(f"{hints.what_to_do(kind)} {again}".strip()))
    return grid


_ROWS_SHOWN = 50
"""Rows of a sample that fit on a screen or two; `--json` gives all."""


def _differs(row: Mapping[str, Any]) -> bool:
    return row["old"] is not None and row["new"] is not None and bool(row["old"] != row["new"])


def _compared(summary: RunSummary) -> Table:
    """A sample's answers beside those of the table, where the table has any of these rows."""
    has_old = any(row["old"] is not None for row in summary.sample)
    grid = Table(box=SIMPLE, pad_edge=False)
    grid.add_column("id", style="dim", overflow="fold")
    for title in ("in the table", "in the sample") if has_old else ("in the sample",):
        grid.add_column(title, overflow="fold", ratio=1)
    if has_old:
        grid.add_column("")
    for row in summary.sample[:_ROWS_SHOWN]:
        differs, new = _differs(row), _answer(row["new"]) if row["new"] is not None else Text(row["status"], "yellow")
        old = (_answer(row["old"]) if row["old"] is not None else Text("")) if has_old else None
        mark = Text("differs" if differs else "", "yellow")
        cells = (old, new, mark) if old is not None else (new,)
        grid.add_row(Text(printable(str(row["id"]))), *cells)
    return grid


def _answer(value: Any) -> Text:
    return Text(printable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)))


def _difference(summary: RunSummary) -> list[Text]:
    lines = []
    if (left := len(summary.sample) - _ROWS_SHOWN) > 0:
        lines.append(f"{count(left)} more rows are not shown; --json gives all.")
    both = sum(row["old"] is not None and row["new"] is not None for row in summary.sample)
    if both:
        lines.append(f"{count(sum(map(_differs, summary.sample)))} of {count(both)} answers differ from the table's.")
    return [Text("\n".join(lines))] if lines else []


def _next_steps(summary: RunSummary) -> Text:
    lines: list[str] = []
    if summary.stop_message:
        lines.append(printable(summary.stop_message, most=600))
    if summary.stopped_by is not None:
        lines.append(hints.how_to_go_on(summary.stopped_by))
    if (option := hints.retry_option(summary.errors_by_kind, summary.left_by_kind)) is not None:
        lines.append(f"To ask again also the failed rows that the next run would leave, add {option}")
    lines.extend(printable(notice, most=600) for notice in summary.notices)
    lines.append(f"Output: {printable(summary.output)}")
    return Text("\n".join(lines))
