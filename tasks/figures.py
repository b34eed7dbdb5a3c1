"""A summary as the rows of a table artifact."""

from __future__ import annotations

from parquill.summary import RunSummary, usd
from parquill.words import count, duration


def summary_rows(summary: RunSummary) -> list[dict[str, str]]:
    """Return what a run did, a figure a row; money to the last digit."""
    rows = summary.rows
    figures = {
        "rows of the manifest": count(rows.total),
        "answered": count(rows.ok),
        "failed": count(rows.failed),
        "not attempted": count(rows.not_attempted),
        "stood from earlier runs": count(rows.kept),
        "reused": count(rows.reused),
        "requests": count(summary.requests),
        "tokens in": count(summary.tokens.prompt),
        "tokens out": count(summary.tokens.completion),
        "cost in USD": usd(summary.cost_pico) if summary.cost_known else "unknown",
        "in doubt, in USD": usd(summary.in_doubt_pico),
        "took": duration(summary.seconds),
        **{f"failed: {kind}": count(number) for kind, number in summary.errors_by_kind.items()},
    }
    return [{"figure": figure, "value": value} for figure, value in figures.items()]
