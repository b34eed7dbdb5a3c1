"""The top of the page: how it ended, what to know first, and the figures against estimate and last run."""

from __future__ import annotations

from dataclasses import dataclass

from parquill import hints
from parquill.cost_range import CostRange
from parquill.money import dollars
from parquill.prices import ratio
from parquill.progress import rows_against_estimate
from parquill.report.figures import OutputFigures
from parquill.report.format import change, millions, price_per_thousand
from parquill.report.runs import Nights
from parquill.summary import RunSummary
from parquill.text import count, counted, duration, percent, rate


@dataclass(frozen=True, slots=True)
class Headline:
    """`tone` is ok, warn or bad; `notices` stand below the headline, most important first."""

    tone: str
    text: str
    notices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure with what it means."""

    label: str
    figure: str
    notes: tuple[str, ...]


def headline(figures: OutputFigures, nights: Nights) -> Headline:
    """Say in one sentence how the run ended."""
    rows, failed, waiting = figures.all.rows, _rows(figures, "failed"), _rows(figures, "not_attempted")
    answered = f"{count(_rows(figures, 'ok'))} of {counted(rows, 'row')} answered"
    notices = [*_notices(nights), *_doubts(figures)]
    summary = nights.current.summary if nights.current else None
    if summary is not None and summary.stopped_by is not None:
        why = hints.why_stopped(summary.stopped_by)
        notices.insert(0, f"{summary.stop_message or ''} {hints.how_to_go_on(summary.stopped_by)}".strip())
        return Headline("warn", f"{answered}. The run stopped: {why}.", tuple(notices))
    if failed == rows > 0:
        return Headline("bad", f"Not one of {counted(rows, 'row')} was answered.", tuple(notices))
    if failed or waiting:
        rest = [f"{count(failed)} failed" if failed else "", f"{count(waiting)} not attempted" if waiting else ""]
        return Headline("warn", f"{answered}, {', '.join(filter(None, rest))}.", tuple(notices))
    return Headline(
        "ok", f"All {counted(rows, 'row')} answered." if rows else "The output has no rows.", tuple(notices)
    )


def _rows(figures: OutputFigures, status: str) -> int:
    return figures.by_status[status].rows if status in figures.by_status else 0


def _notices(nights: Nights) -> list[str]:
    told = (
        list(nights.current.summary.notices)
        if nights.current
        else ["No record of a run was found: these are the output's own figures."]
    )
    if nights.unreadable:
        told.append(f"{counted(nights.unreadable, 'run record')} could not be read: left out here.")
    return told


def _doubts(figures: OutputFigures) -> list[str]:
    told = []
    if any(provider == "emulator" for provider, _ in figures.by_provider):
        told.append("A rehearsal: answers came from the built-in emulator, their cost was not charged.")
    if figures.unpriced:
        told.append(f"No price is known for {counted(figures.unpriced, 'row')}: the cost is without them.")
    if guessed := figures.sources.get("estimate", 0):
        told.append(f"The cost of {counted(guessed, 'row')} is booked at worst case, because a reply was lost.")
    return told


def tiles(figures: OutputFigures, nights: Nights) -> list[Tile]:
    """Return the figures of the run; those of the whole output where no run is on record."""
    if nights.current is None:
        return _output_tiles(figures)
    now, then = nights.current.summary, nights.previous.summary if nights.previous else None
    return [_answered(now), _failed(now, then), _cost(now, then), _tokens(now, then), _time(now, then), _whole(figures)]


def _tile(label: str, figure: str, *notes: str) -> Tile:
    return Tile(label, figure, tuple(filter(None, notes)))


def _share(part: int, total: int) -> str:
    return percent(part / total) if total else "0 %"


def _answered(now: RunSummary) -> Tile:
    rows = now.rows
    origin = [(rows.kept, "kept"), (rows.reused, "reused")]
    return _tile(
        "Answered",
        count(rows.ok),
        f"{_share(rows.ok, rows.total)} of {counted(rows.total, 'row')}",
        ", ".join(f"{count(number)} {words}" for number, words in origin if number),
        f"{count(rows.not_attempted)} not attempted" if rows.not_attempted else "",
    )


def _failed(now: RunSummary, then: RunSummary | None) -> Tile:
    rows = now.rows
    last = f"{count(then.rows.failed)} in the last run" if then else ""
    before = f"{count(rows.failed_before)} failed before and were not asked again" if rows.failed_before else ""
    return _tile("Failed", count(rows.failed), f"{_share(rows.failed, rows.total)} of all rows", before, last)


def _cost(now: RunSummary, then: RunSummary | None) -> Tile:
    return _tile(
        "Cost",
        dollars(now.cost_pico) if now.cost_known else "unknown",
        against_estimate(now.cost_pico, now.estimate) if now.stopped_by is None and now.cost_known else "",
        change(now.cost_pico, then.cost_pico) if then else "",
        f"{dollars(now.in_doubt_pico)} in doubt" if now.in_doubt_pico else "",
        *(f"{dollars(actual)}: {said}" for actual, said in rows_against_estimate(now)),
    )


def against_estimate(cost_pico: int, estimate: CostRange | None) -> str:
    """Say how good the estimate was; nothing where there was none."""
    off = None if estimate is None else ratio(cost_pico - estimate.expected_pico, estimate.expected_pico)
    if estimate is None or off is None:
        return ""
    how = f"{percent(abs(off))} {'above' if off > 0 else 'below'}" if abs(off) >= 0.005 else "just as"
    inside = estimate.low_pico <= cost_pico <= estimate.high_pico
    told = f"{how} the estimate of {dollars(estimate.expected_pico)}"
    span = f"{dollars(estimate.low_pico)} to {dollars(estimate.high_pico)}"
    return f"{told} ({span})" if inside else f"{told}, outside its range ({span})"


def _tokens(now: RunSummary, then: RunSummary | None) -> Tile:
    prompt, completion = now.tokens.prompt, now.tokens.completion
    last = then.tokens.prompt + then.tokens.completion if then else 0
    return _tile(
        "Tokens",
        millions(prompt + completion),
        f"{millions(prompt)} in, {millions(completion)} out",
        change(prompt + completion, last) if then else "",
    )


def _time(now: RunSummary, then: RunSummary | None) -> Tile:
    speed = (
        f"{rate(now.rows.fresh / now.seconds)} rows/s, {counted(now.requests, 'request')}" if now.seconds > 0 else ""
    )
    return _tile("Time", duration(now.seconds), speed, change(now.seconds, then.seconds) if then else "")


def _whole(figures: OutputFigures) -> Tile:
    sums = figures.all
    return _tile(
        "Whole output",
        dollars(sums.cost_pico),
        f"for {counted(sums.rows, 'row')}, over all runs",
        price_per_thousand(sums.cost_pico, sums.rows),
    )


def _output_tiles(figures: OutputFigures) -> list[Tile]:
    sums, ok, failed = figures.all, _rows(figures, "ok"), _rows(figures, "failed")
    return [
        _tile("Answered", count(ok), f"{_share(ok, sums.rows)} of {counted(sums.rows, 'row')}"),
        _tile("Failed", count(failed), f"{_share(failed, sums.rows)} of all rows"),
        _tile("Cost", dollars(sums.cost_pico), price_per_thousand(sums.cost_pico, sums.rows)),
        _tile(
            "Tokens",
            millions(sums.prompt_tokens + sums.completion_tokens),
            f"{millions(sums.prompt_tokens)} in, {millions(sums.completion_tokens)} out",
        ),
    ]
