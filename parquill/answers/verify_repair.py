"""Checks that a json-repair result accounts for the whole text.

json-repair always returns something. Here its proposal is held against the text, character by
character: every string stands between a pair of quotation marks that belong together, every
number and word is there, nothing is left over. What may differ from JSON is written down in this
file and nowhere else:

- quotation marks of another kind, bare words as keys, `True`, `None` and the like;
- a comma too many before a closing bracket, or missing at the end of a line;
- quotation marks inside a string that should have been escaped, unless they could be its end;
- closing braces missing at the end of the text, if nothing else can be missing with them.
"""

from __future__ import annotations

import re
from typing import Any

_PAIRS = {'"': '"', "'": "'", "“": "”", "”": "”", "‘": "’"}
_SPACE = re.compile(r"\s*")
_BARE = re.compile(r"[^\W\d]\w*")
_NUMBER = re.compile(r"[-+]?(?:\d++\.?+\d*+|\.\d++)(?:[eE][-+]?\d+)?(?![\w.])")
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "/": "/", "\\": "\\", '"': '"', "'": "'"}
_WORDS = {"true": True, "false": False, "null": None, "none": None}
_COULD_END = re.compile(r"[\"'“”‘’]\s*(?:[:,}\]]|$)|(?:^|[{\[,:])\s*[\"'“”‘’]")
"""A mark beside punctuation or at a string's edge: this string may be several, or end elsewhere."""


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
        return bare.end()

    def string(self, value: str, at: int) -> int:
        close = _PAIRS.get(self.text[at])
        if close is None or (_COULD_END.search(value) and not self.is_escaped(value, at, close)):
            raise ValueError
        at += 1
        for char in value:
            at = self.char(char, at)
        if self.text[at] != close:
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
            right = float(found[0]) == value and found.end() < len(self.text)
        if not right:
            raise ValueError
        return found.end()
