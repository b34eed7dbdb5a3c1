"""Values as the page shows them: typed answers, kept cells, links, amounts, comparisons.

Nothing here escapes: the template does that for every text, always. A text becomes a link only
when it is an http(s) address and nothing but that.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from parquill.money import dollars, short_dollars, to_pico
from parquill.text import count, percent

_LINK = re.compile(r"https?://[^\s<>\"'\\\x00-\x20\x7f-\xa0\u2028\u2029]{1,2000}", re.IGNORECASE)
_ITEM, _BRIEF = 60, 18
_MOST_ITEMS = 40
_ANSWER = 1_500


@dataclass(frozen=True, slots=True)
class Shown:
    """A value on the page: `text`, or `items` for a list of short ones; `link` where it may be followed."""

    name: str
    text: str = ""
    items: tuple[Shown, ...] = ()
    link: str | None = None

    @property
    def is_brief(self) -> bool:
        """Whether several such values fit side by side."""
        return not self.items and len(self.text) <= _BRIEF


def shown(name: str, value: Any, most: int = 4_000) -> Shown:
    """Return a value of the output by its form, cut after `most` characters; None is an empty text."""
    if isinstance(value, list) and value and all(_is_short(item) for item in value):
        return Shown(name, items=tuple(shown("", item) for item in value[:_MOST_ITEMS]))
    text = plain(value)
    return Shown(name, cut_text(text, most), link=link_of(text))


def shown_answer(answer: Any, answer_text: str | None) -> tuple[Shown, ...]:
    """Return an answer field by field; the raw text where there is no typed answer."""
    if isinstance(answer, Mapping):
        return tuple(shown(str(name), value, _ANSWER) for name, value in answer.items())
    text = answer if answer is not None else answer_text
    return () if text is None else (shown("answer", text, _ANSWER),)


def plain(value: Any) -> str:
    """Return any value as text; nested ones as JSON."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False, default=plain)
    if isinstance(value, dt.datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    return str(value)


def _is_short(item: Any) -> bool:
    return isinstance(item, (str, int, float, bool)) and (len(str(item)) <= _ITEM or link_of(str(item)) is not None)


def link_of(text: str) -> str | None:
    """Return the text if it is an http(s) address and nothing else."""
    return text if _LINK.fullmatch(text) else None


def pico_of(cost: Decimal | None) -> int:
    """Return a cell of a money column in pico-USD; null is 0."""
    return 0 if cost is None else to_pico(cost)


def seconds_words(milliseconds: float) -> str:
    """Return a latency: 0.84 s, 12 s."""
    seconds = milliseconds / 1000
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:,.0f} s"


def millions(number: float) -> str:
    """Return a large count in few digits: 940, 12,400, 4.9 M."""
    return f"{number / 1e6:,.1f} M" if number >= 1e6 else count(number)


def axis_count(number: float) -> str:
    """Return a number short enough for an axis: 0.5, 800, 12 k, 4 M."""
    if abs(number) >= 1e6:
        return f"{number / 1e6:,.4g} M"
    return f"{number / 1e3:,.4g} k" if abs(number) >= 1e4 else f"{number:,.4g}"


def axis_seconds(milliseconds: float) -> str:
    """Return a latency short enough for an axis: 0.6 s, 12 s."""
    return f"{milliseconds / 1000:.3g} s"


def dollars_per_thousand(pico: float) -> str:
    """Return what a thousand rows at this price cost."""
    return short_dollars(1_000 * pico)


def change(now: float, then: float) -> str:
    """Return how a figure compares with that of the last run: "12 % less than the last run"."""
    if not then:
        return "nothing in the last run" if now else "as in the last run"
    if abs(now - then) < then / 200:
        return "as in the last run"
    return f"{percent(abs(now - then) / then)} {'more' if now > then else 'less'} than in the last run"


def price_per_thousand(cost_pico: int, rows: int) -> str:
    """Return what a thousand rows cost."""
    return f"{dollars(cost_pico * 1000 // rows)} per 1,000 rows" if rows else ""


def cut_text(text: str, most: int) -> str:
    """Return the text, ending in an ellipsis where it is longer than `most` characters."""
    return text if len(text) <= most else text[: most - 1] + "…"
