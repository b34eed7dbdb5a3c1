"""Data of the charts: the run over time, rows by their figures, limits, the answers field by field."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from parquill.histogram import Bin
from parquill.money import dollars, short_dollars
from parquill.report.charts import Chart, histogram, lines
from parquill.report.fields import FieldFigures
from parquill.report.figures import OutputFigures
from parquill.report.format import axis_count, axis_seconds, dollars_per_thousand
from parquill.report.runs import Nights
from parquill.text import count, counted, percent
from parquill.timeline import TimelineSample

_MOST_BARS = 12
_FEW_SAMPLES = 10
"""A run of fewer looks is drawn from its rows: a run into a log is looked at every ten seconds."""
_FEW_VALUES = 60
"""A field of at most so many different values is shown as counts, also when most occur once."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A count with its share of the largest (`width`, 0 to 100) and of all, in words."""

    label: str
    words: str
    width: float


@dataclass(frozen=True, slots=True)
class FieldView:
    """One field of the answers: its name, figures in words, and bars or a chart."""

    name: str
    notes: str
    bars: tuple[Bar, ...] = ()
    chart: Chart | None = None


def bars(counts: Mapping[str, int], *, of: int | None = None, only_shares: bool = False) -> tuple[Bar, ...]:
    """Return the most frequent values; the others share a last bar. Shares are of `of`, else of all."""
    ordered = Counter(counts).most_common()
    shown, others = ordered[:_MOST_BARS], ordered[_MOST_BARS:]
    if others:
        shown = [*shown, (f"{count(len(others))} others", sum(number for _, number in others))]
    return _drawn(shown, of if of is not None else sum(counts.values()), only_shares=only_shares)


def _drawn(counts: Sequence[tuple[str, int]], total: int, *, only_shares: bool = False) -> tuple[Bar, ...]:
    largest = max((number for _, number in counts), default=1)
    return tuple(
        Bar(
            label or "(empty)",
            percent(number / total) if only_shares else f"{count(number)} ({percent(number / total)})",
            round(100 * number / largest, 2),
        )
        for label, number in counts
        if number and total
    )


def run_charts(figures: OutputFigures, nights: Nights) -> list[Chart]:
    """Draw cost, tokens and requests over time: of the run on record, else of the whole output."""
    samples = nights.current.timeline if nights.current else ()
    charts = _timeline_charts(samples) if len(samples) >= _FEW_SAMPLES else _rhythm_charts(figures)
    return [chart for chart in charts if chart is not None]


def _timeline_charts(samples: Sequence[TimelineSample]) -> list[Chart | None]:
    last = samples[-1]
    cost = [(sample.t, sample.cost_pico) for sample in samples]
    in_flight = [(sample.t, sample.in_flight) for sample in samples]
    series = [("in flight", in_flight)]
    if all(sample.limit is not None for sample in samples):
        series.append(("allowed", [(sample.t, sample.limit or 0) for sample in samples]))
    largest = max(sample.in_flight for sample in samples)
    return [
        lines("Cost", f"{dollars(last.cost_pico)} at the end", [("cost so far", cost)], short_dollars),
        _token_speed([(sample.t, sample.tokens) for sample in samples], wall=False),
        lines("Requests in flight", f"at most {count(largest)} at a time", series, axis_count),
    ]


def _rhythm_charts(figures: OutputFigures) -> list[Chart | None]:
    moments = figures.rhythm.moments()
    cost, tokens, spent, used = [], [], 0, 0
    for start, _, pico, more in moments:
        spent, used = spent + pico, used + more
        cost.append((float(start), float(spent)))
        tokens.append((float(start), float(used)))
    return [
        lines("Cost", f"{dollars(spent)} in all", [("cost so far", _thinned(cost))], short_dollars, wall=True),
        _token_speed(tokens, wall=True),
    ]


def _token_speed(sums: Sequence[tuple[float, float]], *, wall: bool) -> Chart | None:
    """Draw tokens a minute from sums so far, over about sixty stretches."""
    points = _thinned(sums, 60)
    speed = [
        (later, 60 * (more - less) / (later - earlier))
        for (earlier, less), (later, more) in itertools.pairwise(points)
        if later > earlier
    ]
    if not speed:
        return None
    note = f"at most {count(max(y for _, y in speed))} a minute"
    return lines("Tokens a minute", note, [("tokens a minute", speed)], axis_count, wall=wall)


def _thinned(points: Sequence[tuple[float, float]], most: int = 240) -> list[tuple[float, float]]:
    every = max(1, -(-len(points) // most))
    thin = list(points[::every])
    return thin if not points or thin[-1] == points[-1] else [*thin, points[-1]]


def row_charts(figures: OutputFigures) -> list[Chart]:
    """Draw how rows are spread by latency, tokens and cost."""
    charts = [
        histogram("Latency", figures.latency, axis_seconds, "for a row's last attempt"),
        histogram("Tokens in", figures.prompt, axis_count, "tokens a row"),
        histogram("Tokens out", figures.completion, axis_count, "tokens a row"),
        histogram("Cost of rows", figures.cost, dollars_per_thousand, "for 1,000 such rows")
        if figures.cost.largest > 0
        else None,
    ]
    return [chart for chart in charts if chart is not None]


def limit_bars(nights: Nights) -> tuple[Bar, ...]:
    """Return how much of the time each limit held the run back."""
    samples = nights.current.timeline if nights.current else ()
    return bars(Counter(sample.binds or "nothing" for sample in samples), only_shares=True)


def fields(figures: OutputFigures) -> list[FieldView]:
    """Return each field of the answers, in the schema's order."""
    return [_field(field) for field in figures.answers.fields.values()]


def _field(field: FieldFigures) -> FieldView:
    notes = [f"{count(field.filled)} filled" + (f", {count(field.empty)} empty" if field.empty else "")]
    if field.items.count:
        notes.append(f"{field.items.mean:.1f} items on average, at most {count(field.items.largest)}")
        sizes = [(_items(bin_), bin_.count) for bin_ in field.items.bins(_MOST_BARS)]
        return FieldView(field.name, _sentence(notes), _drawn(sizes, field.items.count))
    if field.lengths.count:
        notes.extend(_text_notes(field))
    if field.numbers.count:
        low, high = field.numbers.smallest, field.numbers.largest
        notes.append(f"from {low:,.6g} to {high:,.6g}, mean {field.numbers.mean:,.4g}")
    if field.values and _has_few_values(field, field.values):
        notes.append(f"{count(len(field.values))} different values")
        counts = dict(field.values)
        return FieldView(field.name, _sentence(notes), bars(counts))
    numbers = field.numbers if field.numbers.count else field.lengths
    unit = "value" if field.numbers.count else "characters"
    return FieldView(field.name, _sentence(notes), chart=histogram(field.name, numbers, axis_count, unit))


def _items(bin_: Bin) -> str:
    low, last = int(bin_.low), int(bin_.high or bin_.low + 1) - 1
    if bin_.high is None:
        return f"{count(low)} items and more"
    return counted(low, "item") if last == low else f"{count(low)} to {count(last)} items"


def _has_few_values(field: FieldFigures, values: Mapping[str, int]) -> bool:
    """Tell fields whose values are worth counting; tags always are."""
    return field.name.endswith("[]") or len(values) <= min(_FEW_VALUES, max(_MOST_BARS, field.filled // 2))


def _sentence(notes: Sequence[str]) -> str:
    return "; ".join(notes)


def _text_notes(field: FieldFigures) -> list[str]:
    looked_at = sum(field.scripts.values())
    if field.values is not None or not looked_at:
        return []
    notes = [f"{count(field.lengths.mean)} characters on average, at most {count(field.lengths.largest)}"]
    if not field.name.endswith("[]"):
        scripts = [f"{script} {percent(number / looked_at)}" for script, number in field.scripts.most_common(5)]
        notes.append(f"writing: {', '.join(scripts)}")
    return notes
