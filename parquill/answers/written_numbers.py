"""Numbers as people write them: with marks between the thousands, a plus sign, a full stop after them.

`12,000.50` and `1.234.567` can be read in one way. `1,234` cannot: the comma may stand before a fraction.
"""

from __future__ import annotations

import re

_PLAIN = re.compile(r"-?(?:0|[1-9]\d{0,18})(?:\.\d{1,17})?(?:[eE][+-]?\d{1,2})?")
_COMMAS = re.compile(r"-?[1-9]\d{0,2}(?:(?:,\d{3}){2,6}(?:\.\d+)?|,\d{3}\.\d+)")
_POINTS = re.compile(r"-?[1-9]\d{0,2}(?:(?:\.\d{3}){2,6}(?:,\d+)?|\.\d{3},\d+)")
_SPACES = re.compile(r"-?[1-9]\d{0,2}(?:[ \u00a0\u202f'’_]\d{3}){1,6}(?:[.,]\d+)?")
_BETWEEN = re.compile(r"[ \u00a0\u202f'’_]")

GROUPED = r"-?[1-9]\d{0,2}(?:(?:,\d{3}){2,6}(?:\.\d+)?|,\d{3}\.\d+|(?:\.\d{3}){2,6}(?:,\d+)?|\.\d{3},\d+)"
"""The pattern of a number with commas or points between its thousands, where it can be read in one way."""


def plain_number(text: str) -> str | None:
    """Return a number in JSON's form; None for a text that is none, or may be several."""
    text = text.strip().removeprefix("+")
    if _COMMAS.fullmatch(text):
        text = text.replace(",", "")
    elif _POINTS.fullmatch(text):
        text = text.replace(".", "").replace(",", ".")
    elif _SPACES.fullmatch(text):
        text = _BETWEEN.sub("", text).replace(",", ".")
    return text if _PLAIN.fullmatch(text) else None
