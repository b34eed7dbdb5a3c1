"""Removes the job's secrets from a reply before anything else reads it.

`Redactor.redact` is the one function for this: bodies, headers, ids and fault texts all pass through it,
whole, before they are read or shortened. It looks for a secret in the text as it is, and in what later
steps could make of it: JSON escapes undone (`\\u002B`, `\\/`, also JSON in a JSON string), percent-encoding,
HTML's character references, in any order; and in any letter case (host names are written small).

What it cannot know: a secret that the other side turned around, encrypted, encoded as a whole (base64)
or gave back in pieces. The endpoint holds the key anyway; this is against keys that are written down by accident.
"""

from __future__ import annotations

import bisect
import functools
import html
import html.entities
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from multidict import CIMultiDict

from parquill.job import Secret

SHORTEST_IN_ANSWERS = 16
"""Letters; what is shorter ("none", "EMPTY") is a key in name only, and a word that an answer may hold."""
SHORTEST_IN_FAULTS = 8
"""Letters, where the text is no answer: a word too much costs nothing there."""

_MOST_READINGS = 24
"""Readings of one text that are looked through, so that the time stays linear in its length."""
_WINDOW, _OVERLAP = 1_000_000, 65_536
"""Characters that are read at once, so that all readings together stay small; secrets across their bounds are found."""
_LONGEST_SIGN = 64
"""Characters that one letter of a secret may be written with: escapes within escapes."""


class Redactor:
    """Replaces secrets in texts from outside."""

    def __init__(self, key: Secret | None, variables: Mapping[str, str]) -> None:
        """Take what may not be shown.

        Args:
            key: the endpoint's; shown as `***`.
            variables: values that the environment put into the job, by variable; shown as `${NAME}`.
        """
        shown = {value: f"${{{name}}}" for name, value in variables.items()}
        if key is not None:
            shown[key.reveal()] = "***"
        # The longest first: one may be a part of another.
        self._secrets = [_Hidden(value, shown[value]) for value in sorted(shown, key=len, reverse=True)]
        self._writings = _writings(frozenset("".join(shown)))
        self._parts = _parts(self._writings)
        self._of_length: dict[int, list[_Hidden]] = {}

    def redact(self, text: str, *, shortest: int = SHORTEST_IN_FAULTS) -> str:
        """Return `text` without the secrets of at least `shortest` letters; the same object where it holds none."""
        secrets = self._of_length.get(shortest)
        if secrets is None:
            secrets = self._of_length[shortest] = [one for one in self._secrets if len(one.value) >= shortest]
        if not secrets or self._is_clean(text, secrets):
            return text
        found: list[tuple[int, int, str]] = []
        overlap = max(_OVERLAP, _LONGEST_SIGN * len(secrets[0].value))
        for first in range(0, max(1, len(text) - overlap), _WINDOW):
            window = text[first : first + _WINDOW + overlap]
            found += [(first + start, first + end, shown) for start, end, shown in self._found(window, secrets)]
        return _replaced(text, found) if found else text

    def _found(self, text: str, secrets: Sequence[_Hidden]) -> Iterator[tuple[int, int, str]]:
        """Yield where secrets stand in a text, and what is shown in their place."""
        for reading in self._readings(text):
            lowered = reading.text.lower()
            for secret in secrets:
                if secret.lowered in lowered:
                    for start, end in secret.places(reading.text):
                        yield (*reading.source(start, end), secret.shown)

    def redact_body(self, content: bytes, status: int) -> bytes:
        """Return a reply's body without the secrets; an answer (2xx) keeps words that only serve as a key."""
        shortest = SHORTEST_IN_ANSWERS if 200 <= status < 300 else SHORTEST_IN_FAULTS
        text = content.decode("utf-8", "surrogateescape")
        redacted = self.redact(text, shortest=shortest)
        return content if redacted is text else redacted.encode("utf-8", "surrogateescape")

    def redact_headers(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Return a reply's headers without the secrets; the same object where none of them holds one."""
        if not self._secrets:
            return headers
        whole = "\n".join(map("\n".join, headers.items()))
        if self.redact(whole) is whole:
            return headers
        return CIMultiDict((self.redact(name), self.redact(value)) for name, value in headers.items())

    def _is_clean(self, text: str, secrets: list[_Hidden]) -> bool:
        """Whether nothing stands in it that is a secret, or may be one written differently: as in most texts."""
        for part in self._parts:
            if part in text:
                return False
        lowered = text.lower()
        for secret in secrets:  # noqa: SIM110 - a generator costs more than the search
            if secret.lowered in lowered:
                return False
        return True

    def _readings(self, text: str) -> Iterator[_Reading]:
        """Yield the text as it is, and what each way of writing it differently could mean."""
        waiting, seen = [_Reading(text)], {text}
        for _ in range(_MOST_READINGS):
            if not waiting:
                return
            reading = waiting.pop()
            yield reading
            for writing in self._writings:
                if writing.first in reading.text and writing.mark.search(reading.text) is not None:
                    other = reading.undone(writing.escape)
                    if other.text not in seen:
                        seen.add(other.text)
                        waiting.append(other)


class _Hidden:
    """One secret, and what is shown in its place."""

    __slots__ = ("_pattern", "lowered", "shown", "value")

    def __init__(self, value: str, shown: str) -> None:
        self.value = value
        self.shown = shown
        self.lowered = value.lower()
        self._pattern = re.compile(re.escape(value), re.IGNORECASE)

    def places(self, text: str) -> list[tuple[int, int]]:
        return [match.span() for match in self._pattern.finditer(text)]


class _Reading:
    """A text that was read from another by undoing one way of writing, and where its signs stand in the source."""

    __slots__ = ("_escape", "_origin", "_places", "text")

    def __init__(self, text: str, origin: _Reading | None = None, escape: re.Pattern[str] | None = None) -> None:
        self.text = text
        self._origin = origin
        self._escape = escape
        self._places: tuple[list[int], list[int]] | None = None

    def undone(self, escape: re.Pattern[str]) -> _Reading:
        """Return the text with one way of writing undone, once."""
        return _Reading(escape.sub(lambda match: _sign_of(match[0]), self.text), self, escape)

    def source(self, start: int, end: int) -> tuple[int, int]:
        """Return where in the source a part of this text stands."""
        if self._origin is None or self._escape is None:
            return start, end
        if self._places is None:
            self._places = _places(self._origin.text, self._escape)
        here, there = self._places
        ends = []
        for place in (start, end):
            last = bisect.bisect_right(here, place) - 1
            ends.append(there[last] + place - here[last])
        return self._origin.source(*ends)


def _places(text: str, escape: re.Pattern[str]) -> tuple[list[int], list[int]]:
    """Return places in a text whose escapes were undone, in order, and the same places in `text`."""
    here, there, length, last = [0], [0], 0, 0
    for match in escape.finditer(text):
        length += match.start() - last
        here.append(length)
        there.append(match.start())
        length += len(_sign_of(match[0]))
        here.append(length)
        there.append(match.end())
        last = match.end()
    return here, there


def _replaced(text: str, found: list[tuple[int, int, str]]) -> str:
    """Put what is shown into the places that were found; of two that overlap, the first and longest counts."""
    pieces, last = [], 0
    for start, end, shown in sorted(found, key=lambda one: (one[0], -one[1])):
        if start >= last:
            pieces += [text[last:start], shown]
        last = max(last, end)
    return "".join((*pieces, text[last:]))


@dataclass(frozen=True, slots=True)
class _Writing:
    """One way of writing signs differently."""

    escape: re.Pattern[str]
    mark: re.Pattern[str]
    """It is found in every text that has a sign of a secret written so."""
    marks: tuple[str, ...]
    first: str
    """The sign with which every mark begins."""


def _parts(writings: tuple[_Writing, ...]) -> list[str]:
    """Return texts of which one stands in every text that holds a mark: few, so that they are found fast."""
    parts: list[str] = []
    for writing in writings:
        if writing.first == "\\" and len(writing.marks) > 1:
            parts += {mark[:4] for mark in writing.marks}
        else:
            parts.append(writing.first)
    return parts


def _writing(escape: str, marks: Sequence[str]) -> _Writing:
    first, *more = {mark[0] for mark in marks}
    assert not more
    behind = "|".join(re.escape(mark[1:]) for mark in marks)
    return _Writing(re.compile(escape), re.compile(f"{re.escape(first)}(?:{behind})"), tuple(marks), first)


def _writings(signs: frozenset[str]) -> tuple[_Writing, ...]:
    """Return the ways in which these signs may be written; escapes of other signs are left as they are: most are."""
    if not all(map(str.isascii, signs)):
        return (
            _writing(rf"{_PAIR}|\\u{_HEX}{{4}}|\\x{_HEX}{{2}}|\\[\"'\\/]", ["\\"]),
            _writing(rf"%[0-7]{_HEX}|%[c-fC-F]{_HEX}(?:%[89abAB]{_HEX}){{1,3}}", ["%"]),
            _writing(r"&(?:#[0-9]{1,8}|#[xX][0-9a-fA-F]{1,7}|[A-Za-z]{2,31});", ["&"]),
        )
    named = [name for name, sign in html.entities.html5.items() if sign.isascii() and name[-1] == ";"]
    return (
        _writing(
            rf"\\(?:u00[2-7]{_HEX}|x[2-7]{_HEX}|[\"'\\/])",
            [*(f"\\u00{digit}" for digit in "234567"), "\\x", *(f"\\{sign}" for sign in "\"'\\/" if sign in signs)],
        ),
        _writing(f"%[2-7]{_HEX}", [f"%{digit}" for digit in "234567"]),
        _writing(
            rf"&(?:#0{{0,7}}[0-9]{{2,3}};|#[xX]0{{0,7}}[2-7]{_HEX};|{'|'.join(sorted(named))})",
            ["&#", "&amp;", "&AMP;", *(f"&{name}" for name in named if html.entities.html5[name] in signs)],
        ),
    )


_HEX = "[0-9a-fA-F]"
_PAIR = rf"\\u[dD][89abAB]{_HEX}{{2}}\\u[dD][c-fC-F]{_HEX}{{2}}"
"""A sign outside the basic plane, as JSON writes it."""


@functools.lru_cache(maxsize=4096)
def _sign_of(escape: str) -> str:
    """Return the sign that an escape stands for, or the escape itself where it stands for none."""
    if escape[0] == "&":
        return html.unescape(escape)
    if escape[0] == "%":
        return bytes.fromhex(escape.replace("%", "")).decode("utf-8", "replace")
    if escape[1] == "u":
        return bytes.fromhex(escape.replace("\\u", "")).decode("utf-16-be", "surrogatepass")
    return chr(int(escape[2:], 16)) if escape[1] == "x" else escape[1]
