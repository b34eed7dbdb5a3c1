r"""A text that matches a regular expression, for the common subset that schemas use.

Understood: literals, escapes (\d \w \s and their like), classes with ranges, groups,
alternatives, the quantifiers ? * + {m} {m,n}, and the anchors ^ and $. Anything else gives
None; the caller then falls back to plain text.
"""

from __future__ import annotations

import random
import re
import string

_WORD = string.ascii_letters + string.digits + "_"
_ESCAPES = {"d": string.digits, "w": _WORD, "s": " ", "n": "\n", "t": "\t", "r": "\r"}
_PRINTABLE = "".join(map(chr, range(32, 127)))


class _NotUnderstoodError(Exception):
    pass


def matching_text(pattern: str, rng: random.Random) -> str | None:
    """Return a short text in which `pattern` is found, or None where it is not understood."""
    try:
        text = _Writer(pattern, rng).alternatives()
        return text if re.search(pattern, text) else None
    except (_NotUnderstoodError, re.error, IndexError, RecursionError):
        return None


class _Writer:
    """Goes through the pattern once, writing instead of matching."""

    def __init__(self, pattern: str, rng: random.Random) -> None:
        self._pattern = pattern
        self._at = 0
        self._rng = rng

    def alternatives(self) -> str:
        branches = [self._sequence()]
        while self._peek() == "|":
            self._at += 1
            branches.append(self._sequence())
        return self._rng.choice(branches)

    def _sequence(self) -> str:
        written = []
        while self._peek() not in ("", "|", ")"):
            start = self._at
            text = self._atom()
            low, high = self._quantifier()
            written.append(self._repeated(start, text, self._rng.randint(low, high)))
        return "".join(written)

    def _repeated(self, start: int, first: str, times: int) -> str:
        """Write the atom at `start` anew for each repetition, so that they differ."""
        end, texts = self._at, [first][:times]
        while len(texts) < times:
            self._at = start
            texts.append(self._atom())
        self._at = end
        return "".join(texts)

    def _atom(self) -> str:
        sign = self._next()
        if sign in "^$":
            return ""
        if sign == ".":
            return self._rng.choice(string.ascii_lowercase)
        if sign == "\\":
            return self._rng.choice(self._escape())
        if sign == "[":
            return self._rng.choice(self._members())
        if sign == "(":
            return self._group()
        if sign in "*+?{":
            raise _NotUnderstoodError
        return sign

    def _group(self) -> str:
        if self._peek() == "?":
            if self._pattern[self._at : self._at + 2] != "?:":
                raise _NotUnderstoodError
            self._at += 2
        text = self.alternatives()
        if self._next() != ")":
            raise _NotUnderstoodError
        return text

    def _escape(self) -> str:
        sign = self._next()
        if sign in "bB" or (sign.isalnum() and sign not in _ESCAPES):
            raise _NotUnderstoodError
        return _ESCAPES.get(sign, sign)

    def _members(self) -> str:
        negated = self._peek() == "^"
        self._at += negated
        members = ""
        while (sign := self._next()) != "]" or not members:
            if sign == "\\":
                members += self._escape()
            elif self._peek() == "-" and self._pattern[self._at + 1] != "]":
                self._at += 1
                members += "".join(map(chr, range(ord(sign), ord(self._next()) + 1)))
            else:
                members += sign
        return "".join(sign for sign in _PRINTABLE if sign not in members) if negated else members

    def _quantifier(self) -> tuple[int, int]:
        sign = self._peek()
        if sign == "{":
            found = re.compile(r"\{(\d+)(,(\d*))?\}").match(self._pattern, self._at)
            if not found:
                raise _NotUnderstoodError
            self._at = found.end()
            low = int(found[1])
            return low, int(found[3]) if found[3] else low + 3 * bool(found[2])
        bounds = {"?": (0, 1), "*": (0, 3), "+": (1, 4)}.get(sign)
        self._at += bounds is not None
        return bounds or (1, 1)

    def _peek(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def _next(self) -> str:
        sign = self._pattern[self._at]
        self._at += 1
        return sign
