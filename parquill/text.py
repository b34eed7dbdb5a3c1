"""Formats numbers, durations and untrusted text for people."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_ESCAPES = r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"
_UNPRINTABLE = re.compile(f"(?:{_ESCAPES}|[\x00-\x1f\x7f-\x9f\u2028\u2029{_BIDI}\ud800-\udfff\U000e0000-\U000e007f])+")


def printable(text: str, most: int = 300) -> str:
    """Return text that may come from anywhere as one line that cannot steer a terminal.

    Escape sequences, control characters, line ends, and marks that turn the direction of reading become
    a space; what is longer than `most` characters ends in an ellipsis.
    """
    line = _UNPRINTABLE.sub(" ", unicodedata.normalize("NFC", text[: 4 * most])).strip()
    return line if len(line) <= most else line[: most - 1] + "…"


_FOREIGN = re.compile(r"[^\x00-\x7f]")
_LOOKED_AT = 16
_SCRIPTS = {"HIRAGANA": "Kana", "KATAKANA": "Kana", "CJK": "Han", "HANGUL": "Hangul"}


def script_of(text: str) -> str:
    """Return the writing system of most letters among the first 200 characters; "none" without a letter."""
    return _script(letter for letter in text[:200] if letter.isalpha())


def language_group(text: str) -> str:
    """Return roughly what language a text is in, for texts that may stand in an English frame.

    "Plain" are texts in ASCII alone (English, most code), "Latin" those with accents; others are named by
    the writing system of most letters beyond ASCII, however few: every so many of them is looked at.
    """
    if text.isascii():
        return "Plain"
    foreign = _FOREIGN.findall(text)
    return _script(letter for letter in foreign[:: len(foreign) // _LOOKED_AT + 1] if letter.isalpha())


def _script(letters: Iterable[str]) -> str:
    found = Counter(unicodedata.name(letter, "UNKNOWN").partition(" ")[0] for letter in letters)
    if not found:
        return "none"
    script = found.most_common(1)[0][0]
    return _SCRIPTS.get(script, script.capitalize())


def count(number: float) -> str:
    """Return a count with thousands set apart: 12,345."""
    return f"{number:,.0f}"


def counted(number: int, word: str) -> str:
    """Return a count with its noun: 1 row, 12,345 rows."""
    return f"{count(number)} {word}" if number == 1 else f"{count(number)} {word}s"


def rate(per_second: float) -> str:
    """Return a rate with the figures that count: 0.12, 8.3, 120."""
    if per_second >= 100 or per_second == 0:
        return f"{per_second:,.0f}"
    return f"{per_second:.1f}" if per_second >= 1 else f"{per_second:.2f}"


def percent(share: float) -> str:
    """Return a share as whole per cent; 100 only when it is all, 0 only when it is nothing."""
    whole = round(100 * share)
    if whole == 0 and share > 0:
        return "<1 %"
    return ">99 %" if whole == 100 and share < 1 else f"{whole} %"


def stopwatch(seconds: float) -> str:
    """Return a time that runs: 0:00:09, 12:34:56."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def duration(seconds: float) -> str:
    """Return a length of time as people say it: 45 s, 8 min, 2 h 5 min, 3 days 4 h."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes = round(whole / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} days {hours} h" if hours else f"{days} days"
