"""Formats summaries and estimates as rows of a table artifact, and an estimate as a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from parquill.money import dollars, usd
from parquill.summary import RunSummary
from parquill.text import count, counted, duration

if TYPE_CHECKING:
    from parquill.estimation import Estimate


def summary_rows(summary: RunSummary) -> list[dict[str, str]]:
    """Return what a run did, a figure a row; money to the last digit."""
    rows = summary.rows
    return _table(
        {
            "rows of the manifest": count(rows.total),
            "answered": count(rows.ok),
            "failed": count(rows.failed),
            "not attempted": count(rows.not_attempted),
            "kept from earlier runs": count(rows.kept),
            "reused": count(rows.reused),
            "requests": count(summary.requests),
            "tokens in": count(summary.tokens.prompt),
            "tokens out": count(summary.tokens.completion),
            "cost in USD": usd(summary.cost_pico) if summary.cost_known else "unknown",
            "in doubt, in USD": usd(summary.in_doubt_pico),
            "took": duration(summary.seconds),
            **({"failed in earlier runs, not asked again": count(rows.failed_before)} if rows.failed_before else {}),
            **{f"failed: {kind}": count(number) for kind, number in summary.errors_by_kind.items()},
            **{f"only --retry {kind} asks again": count(number) for kind, number in summary.left_by_kind.items()},
        }
    )


def estimate_rows(estimate: Estimate) -> list[dict[str, str]]:
    """Return the table that an estimate shows people, a line a row."""
    from parquill.estimation import sections  # noqa: PLC0415 - the engine is loaded where it works

    return [
        {"figure": ": ".join(filter(None, (section.title, label))), "value": figure, "remark": remark}
        for section in sections(estimate)
        for label, figure, remark in section.lines
    ]


def estimate_words(estimate: Estimate) -> str:
    """Say in a sentence what a job would cost."""
    rows, cost = estimate.rows, estimate.cost
    if not rows.todo:
        return "Nothing is left to ask: it would cost $0.00."
    if cost is None:
        return f"{counted(rows.todo, 'row')} to send to {estimate.model}, at an unknown price."
    takes = "" if estimate.seconds is None else f", in about {duration(estimate.seconds)}"
    return (
        f"{counted(rows.todo, 'row')} to send to {estimate.model}: about {dollars(cost.expected_pico)} "
        f"({dollars(cost.low_pico)} to {dollars(cost.high_pico)}, at worst {dollars(cost.worst_pico)}){takes}."
    )


def _table(figures: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"figure": figure, "value": value} for figure, value in figures.items()]
