"""Draws charts as static SVG, each with its figures as a table for screen readers.

leather draws (scales, axes, shapes); the page's style sheet colours, so that light, dark and print
share one drawing. Nothing in the drawing is a script, a style or an address.
"""

from __future__ import annotations

import datetime as dt
import math
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import leather
from markupsafe import Markup

from parquill.histogram import Bin, Histogram, round_step
from parquill.text import count, counted, duration

WIDTH, HEIGHT = 480, 210
_TRIM, _TRIM_RIGHT = 16, 2
"""leather leaves a margin of a twentieth of the width, 24; only the last label of the axis needs that."""
_LEGEND = 18
"""Height of leather's legend, which the page writes for itself."""
_LABELS_WIDTH, _LETTER = 400, 8
_TIME_STEPS = (1, 5, 15, 30, 60, 300, 600, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400)
_TABLE_ROWS = 12

Words = Callable[[float], str]
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing, what it shows in words, and its figures."""

    title: str
    note: str
    svg: Markup
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    legend: tuple[str, ...] = ()


class _Exact(leather.Linear):  # type: ignore[misc]  # leather has no types
    """A linear scale over just its domain; leather's own is widened to what it thinks are better ends."""

    def project(self, value: float, range_min: float, range_max: float) -> float:
        low, high = float(self._data_min), float(self._data_max)
        return range_min + (range_max - range_min) * (float(value) - low) / (high - low)


def histogram(title: str, spread: Histogram, words: Words, unit: str) -> Chart | None:
    """Draw how a figure is spread over rows; None where all rows are alike."""
    bins = spread.bins()
    if len(bins) < 2:
        return None
    labels = [words(bin_.low) for bin_ in bins]
    chart = leather.Chart()
    chart.add_columns([(str(at), bin_.count) for at, bin_ in enumerate(bins)])
    every = math.ceil(len(bins) * _LETTER * (max(map(len, labels)) + 2) / _LABELS_WIDTH)
    ticks = [str(at) for at in range(0, len(bins), every)]
    chart.add_x_axis(ticks=ticks, tick_formatter=lambda tick, *_: labels[int(tick)])
    _count_axis(chart, max(bin_.count for bin_ in bins), count)
    ranges = [_range_words(bin_, words) for bin_ in bins]
    tips = [f"{text} {unit}: {counted(bin_.count, 'row')}" for text, bin_ in zip(ranges, bins, strict=True)]
    note = (
        f"half below {words(spread.quantile(0.5))}, 95 % below {words(spread.quantile(0.95))}, "
        f"largest {words(spread.largest)} {unit}"
    )
    rows = tuple((text, count(bin_.count)) for text, bin_ in zip(ranges, bins, strict=True))
    return Chart(title, note, _drawing(chart, f"{title}: {note}", tips), (unit.capitalize(), "Rows"), rows)


def lines(
    title: str, note: str, series: Sequence[tuple[str, Points]], words: Words, *, wall: bool = False
) -> Chart | None:
    """Draw figures over time; x is in seconds, unix time if `wall`; None for fewer than two points."""
    if not series or min(len(points) for _, points in series) < 2:
        return None
    chart = leather.Chart()
    for _, points in series:
        chart.add_line(list(points))
    moments = [x for x, _ in series[0][1]]
    when = _clock_words(moments[-1] - moments[0]) if wall else duration
    chart.set_x_scale(_Exact(moments[0], moments[-1]))
    chart.add_x_axis(ticks=_time_ticks(moments[0], moments[-1]), tick_formatter=lambda tick, *_: when(tick))
    _count_axis(chart, max(y for _, points in series for _, y in points), words)
    names = tuple(name for name, _ in series)
    every = max(1, math.ceil(len(moments) / _TABLE_ROWS))
    rows = tuple(
        (when(moments[at]), *(words(points[at][1]) for _, points in series)) for at in range(0, len(moments), every)
    )
    legend = names if len(names) > 1 else ()
    return Chart(title, note, _drawing(chart, f"{title}: {note}", (), legend), ("Time", *names), rows, legend)


def _count_axis(chart: leather.Chart, largest: float, words: Words) -> None:
    step = round_step(largest / 3) if largest > 0 else 1.0
    steps = max(1, math.ceil(largest / step - 1e-9))
    chart.set_y_scale(_Exact(0, step * steps))
    chart.add_y_axis(ticks=[step * at for at in range(steps + 1)], tick_formatter=lambda tick, *_: words(tick))


def _time_ticks(start: float, end: float) -> list[float]:
    wanted = (end - start) / 5
    step = next((step for step in _TIME_STEPS if step >= wanted), 86_400 * math.ceil(wanted / 86_400))
    first = math.ceil(start / step) * step
    return [first + step * at for at in range(int((end - first) // step) + 1)] or [start]


def _clock_words(span: float) -> Words:
    form = "%d %b" if span > 2 * 86_400 else "%H:%M" if span > 600 else "%H:%M:%S"
    return lambda moment: dt.datetime.fromtimestamp(moment, dt.UTC).strftime(form)


def _range_words(bin_: Bin, words: Words) -> str:
    return f"{words(bin_.low)} and more" if bin_.high is None else f"{words(bin_.low)} to {words(bin_.high)}"


def _drawing(chart: leather.Chart, label: str, tips: Sequence[str], legend: Sequence[str] = ()) -> Markup:
    """Return the SVG, safe to stand in a page: made of elements, never of text."""
    top = _LEGEND if legend else 0
    group = chart.to_svg_group(WIDTH, HEIGHT + top)
    background, inner = group
    group.remove(background)
    inner.remove(inner[0])  # title and legend are the page's
    for shape, tip in zip(group.iterfind(".//g[@class='series columns']/rect"), tips, strict=False):
        ET.SubElement(shape, "title").text = tip
    for element in group.iter():
        for name in ("fill", "stroke", "font-family", "font-size"):
            element.attrib.pop(name, None)
    box = f"{_TRIM} {_TRIM + top} {WIDTH - _TRIM - _TRIM_RIGHT} {HEIGHT - 2 * _TRIM}"
    root = ET.Element("svg", {"viewBox": box, "role": "img", "aria-label": label, "class": "chart"})
    root.append(group)
    text = ET.tostring(root, encoding="unicode")
    return Markup(text)  # noqa: S704 - serialised from elements, which escapes every text
