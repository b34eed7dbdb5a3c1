"""Repetition: a model that repeats itself until it is cut off.

Gemma under guided decoding falls into runs of spaces and line breaks, which every JSON grammar allows; in free text
it repeats a phrase. The same request repeats again. So repetition is told apart from an answer that was too long.
"""

from __future__ import annotations

from typing import Any

_WHITESPACE_RUN = 40
_PROBE = 16
"""A tail of this length is looked for before itself: shorter ones meet by chance."""
_LONGEST_UNIT = 400
_LOOKED_AT = 6_000


def repetition_in(text: str, *, cut_off: bool) -> str:
    """Return what is repeated at the end of `text`, in words, or nothing.

    `cut_off`: the answer ran into its token limit. One that ended by itself is only called a
    loop when it repeats many times something with letters in it: rows of dots and dashes are text.
    """
    if cut_off and len(text) - len(text.rstrip()) >= _WHITESPACE_RUN:
        return "a run of whitespace up to the token limit"
    text = text[-_LOOKED_AT:].rstrip()
    unit, covered = _repeated_tail(text)
    times = covered // len(unit) if unit else 0
    if cut_off and times >= 4 and covered >= 80:
        return f"{unit.strip()[:40]!r} is repeated {times} times up to the token limit"
    if times >= 8 and covered >= 160 and any(char.isalpha() for char in unit):
        return f"{unit.strip()[:40]!r} is repeated {times} times"
    return ""


def repetition_in_strings(value: Any) -> str:
    """Return what a string inside a valid answer repeats, or nothing: a length limit may have ended the loop."""
    if isinstance(value, str):
        return repetition_in(value, cut_off=False) if len(value) >= 160 else ""
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        if found := repetition_in_strings(item):
            return found
    return ""


def _repeated_tail(text: str) -> tuple[str, int]:
    """Return the shortest unit that the text's end repeats, and how many characters its run covers."""
    end = len(text)
    before = text.rfind(text[-_PROBE:], 0, end - 1)
    period = end - min(_PROBE, end) - before
    if before < 0 or period > _LONGEST_UNIT:
        return "", 0
    start = end - 1
    while start >= period and text[start] == text[start - period]:
        start -= 1
    return text[end - period :], end - 1 - start + period
