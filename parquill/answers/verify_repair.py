"""Checks that a json-repair result accounts for the whole text.

json-repair always returns something. Here its proposal is held against the text, character by
character: every string stands between a pair of quotation marks that belong together, every
number and word is there, nothing is left over. What may differ from JSON is written down in this
file and nowhere else:

- quotation marks of another kind, bare words as keys, a key's opening mark missing, `True`, `None` and the like;
- a comma too many before a closing bracket, or missing at the end of a line;
- quotation marks inside a string that should have been escaped, unless they could be its end, or that of one of
  several strings (`"yes" or "no"`);
- closing braces missing at the end of the text, if nothing else can be missing with them.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from parquill.answers.exact_numbers import read_number, to_double

_PAIRS = {'"': '"', "'": "'", "“": "”", "”": "”", "‘": "’"}
_CLOSING = frozenset(_PAIRS.values())
_SPACE = re.compile(r"\s*")
_BARE = re.compile(r"[^\W\d]\w*")
_NUMBER = re.compile(r"[-+]?(?:\d++\.?+\d*+|\.\d++)(?:[eE][-+]?\d+)?(?![\w.])")
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "/": "/", "\\": "\\", '"': '"', "'": "'"}
_WORDS = {"true": True, "false": False, "null": None, "none": None, "undefined": None}
_COULD_END = re.compile(r"[\"'“”‘’]\s*(?:[:,}\]]|$)|(?:^|[{\[,:])\s*[\"'“”‘’]")
"""A mark beside punctuation or at a string's edge: this string may be several, or end elsewhere."""

_QUOTE_ENDS = re.compile(r"[\w.!?…%)]")
_AFTER_QUOTE = re.compile(r"[\s.!?;)…-]")
_OPERATOR = re.compile(r"^(?:or|and|not|in|is|if)\b|\b(?:or|and|not|in|is|else)$", re.IGNORECASE)
"""What stands between two strings, as in `"a "or" b"`, rather than in quotes."""


def accounts_for(text: str, value: dict[str, Any]) -> tuple[bool, bool]:
    """Return whether `text` writes `value`, and whether closing braces are missing at its end."""
    speller = _Speller(text)
    try:
        end = _skip(text, speller.member(value, 0))
    except (ValueError, IndexError, RecursionError):
        return False, False
    return end == len(text), speller.unclosed


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _are_quotes(value: str, marks: list[int]) -> bool:
    """Tell whether bare quotation marks inside a string can only be quotes within it.

    `The "Red" one` quotes a word. `yes" or "no`, `A red " + "boat` and `boat"|"ship` are as well several strings with
    something between them, so they are refused. What tells them apart is where the blanks are: a mark that opens a
    quote has one before it, a mark that closes one has one after it, and they take turns.

    Args:
        value: The string as it would be read.
        marks: Where in it the bare marks are.
    """
    opened, apostrophe = -1, -1
    for place in marks:
        before, after = value[place - 1 : place], value[place + 1 : place + 2]
        if opened < 0 and before.isdigit() and after.isspace():
            continue  # inches
        if value[place] in "'’" and before.isalpha() and after.isalpha():
            if apostrophe >= 0 and not re.search(r"\s", value[apostrophe:place]):
                return False
            apostrophe = place
        elif opened >= 0:
            if not (_QUOTE_ENDS.match(before) and _AFTER_QUOTE.match(after)):
                return False
            if _OPERATOR.search(value[opened + 1 : place]):
                return False
            opened = -1
        elif (before.isspace() or before in tuple("([")) and after.isalnum():
            opened = place
        else:
            return False
    return opened < 0


def _is_written(literal: str, value: float) -> bool:
    """Tell whether a number's text is exactly that value."""
    number: float | Decimal = int(literal) if literal.lstrip("+-").isdigit() else read_number(literal)
    return (to_double(number) if isinstance(number, Decimal) else number) == value


class _Speller:
    """Reads a value and its text in step; every method returns the position where the text goes on.

    `ValueError` or `IndexError` (the text is at its end) mean that the text says something else.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.unclosed = False

    def member(self, value: Any, at: int) -> int:
        if isinstance(value, dict):
            return self.object(value, at)
        if isinstance(value, list):
            return self.array(value, at)
        if isinstance(value, str):
            return self.string(value, at)
        return self.word(value, at)

    def object(self, value: dict[str, Any], at: int) -> int:
        at = self.mark("{", at)
        for i, (name, item) in enumerate(value.items()):
            at = self.key(name, self.between(at) if i else at)
            at = self.member(item, _skip(self.text, self.mark(":", at)))
        at = _skip(self.text, at)
        if at == len(self.text):
            self.unclosed = True
            return at
        return self.mark("}", self.comma(at))

    def array(self, value: list[Any], at: int) -> int:
        at = self.mark("[", at)
        for i, item in enumerate(value):
            at = self.member(item, _skip(self.text, self.between(at) if i else at))
        return self.mark("]", self.comma(at))

    def mark(self, char: str, at: int) -> int:
        at = _skip(self.text, at)
        if self.text[at] != char:
            raise ValueError
        return at + 1

    def comma(self, at: int) -> int:
        at = _skip(self.text, at)
        return at + 1 if self.text[at] == "," else at

    def between(self, at: int) -> int:
        """Pass what separates two members: a comma, or at least the end of a line."""
        after = self.comma(at)
        if self.text[after - 1] != "," and "\n" not in self.text[at:after]:
            raise ValueError
        return after

    def key(self, name: str, at: int) -> int:
        at = _skip(self.text, at)
        if self.text[at] in _PAIRS:
            return self.string(name, at)
        bare = _BARE.match(self.text, at)
        if bare is None or bare[0] != name:
            raise ValueError
        end = bare.end()
        return end + 1 if self.text[end] in _CLOSING else end  # the opening mark alone is missing

    def string(self, value: str, at: int) -> int:
        close = _PAIRS.get(self.text[at])
        if close is None or (_COULD_END.search(value) and not self.is_escaped(value, at, close)):
            raise ValueError
        at += 1
        marks = []
        for place, char in enumerate(value):
            if self.text[at] == close:
                marks.append(place)
            at = self.char(char, at)
        if self.text[at] != close or not _are_quotes(value, marks):
            raise ValueError
        return at + 1

    def is_escaped(self, value: str, at: int, close: str) -> bool:
        """Tell whether the string ends at the first mark that could end it: then nothing is in doubt."""
        first = re.compile(rf"(?:[^\\{close}]|\\.)*", re.S).match(self.text, at + 1)
        assert first is not None
        plain = re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[0]), first[0])
        return plain == value

    def char(self, char: str, at: int) -> int:
        if self.text[at] != "\\":
            if self.text[at] != char:
                raise ValueError
            return at + 1
        if self.text[at + 1] == "u":
            if chr(int(self.text[at + 2 : at + 6], 16)) != char:
                raise ValueError
            return at + 6
        if _ESCAPES.get(self.text[at + 1]) != char:
            raise ValueError
        return at + 2

    def word(self, value: float | None, at: int) -> int:
        found = (_BARE if value is None or isinstance(value, bool) else _NUMBER).match(self.text, at)
        if found is None:
            raise ValueError
        if found.re is _BARE:
            right = _WORDS.get(found[0].lower(), 0) is value
        else:
            right = value is not None and _is_written(found[0], value) and found.end() < len(self.text)
        if not right:
            raise ValueError
        return found.end()
