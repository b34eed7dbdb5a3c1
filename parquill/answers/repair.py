"""Free repairs of text: finding the JSON object in what a model wrote.

Four readings, each tried only when the one before failed:

1. every object in the text, to the letter, with fences and prose around them;
2. the same without comments and trailing commas, with raw line breaks in strings, and without the slips of
   `json_slips.py`;
3. as Python's or JavaScript's literals: single quotes, `True`, `None`, bare keys;
4. json-repair, for missing brackets and commas, quotes inside quotes, mixed damage.

The last one always returns something, so it only proposes: `verify_repair.py` holds its proposal
against the text, character by character. A guess that could be wrong costs a value; a refusal
costs one more request.

Notes: `bom`, `string` (JSON inside a JSON string), `fence`, `prose`, `list` (brackets around it), `repeated` (the
same object again), `json` (reading 2, 3 or 4).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, SupportsIndex

from parquill.answers.inner_json import inner_json
from parquill.answers.json_slips import without_slips
from parquill.answers.python_literals import literal, parse_expression
from parquill.answers.strict_json import RELAXED, STRICT, RepeatedKeyError, written
from parquill.answers.verify_repair import accounts_for

MAX_DAMAGED = 40_000
MAX_GUESSED = 6_000
"""Characters of a damaged text that readings 2 and 3, and json-repair, are given at most."""
_MOST_STEPS, _STEPS_A_CHARACTER = 1_000, 8
"""Looks at characters that json-repair may take: real damage needs 5 for each, `1}{` in a row 1,000 (and 21 s)."""
_MAX_OBJECTS = 50

_INVISIBLE = "\ufeff\u200b\u2060"
_STRING_ALONE = re.compile(r'(?:```\w*\s*)?("[^`]*"|\{\s*\\"[^`]*\})\s*(?:```)?\Z')
"""A JSON string that is the whole text, in a fence or not; its own quotation marks may be missing."""
_FENCE_ALONE = re.compile(r"```(?:\w*\n)?([^`]*)```\Z")
_OBJECT_START = re.compile(r"\{(?=\s*(?:[\"'“”‘’}]|//|/\*|[A-Za-z_]\w*[\"'”’]?\s*:))")
_KEY = re.compile(r"[\"'“”‘’]\s*:")
_GOES_ON = re.compile(r"[,:\]}\[{\"'\d]")


@dataclass(frozen=True, slots=True)
class Reading:
    """The objects that a text holds, each once, and what was repaired to find them."""

    objects: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    problem: str = ""
    """Why there is none, in words for people and for the model."""
    unclosed: bool = False
    """Closing braces were missing: the object is whole only if it has every property."""


def read_objects(text: str, *, ended: bool) -> Reading:
    """Find the JSON objects in a model's text; never raises.

    `ended`: the model stopped by itself. Where it was cut off, only objects that are complete
    to the letter count: what a repair would close may have lost its end.
    """
    notes: list[str] = []
    bare = text.strip().strip(_INVISIBLE).strip()
    if "\ufeff" in text:
        notes.append("bom")
    if (found := _STRING_ALONE.match(bare)) is not None:
        bare = _unwrap_string(found[1], bare, notes)
    try:
        reading = _read(bare, notes, ended=ended)
        written(reading.objects, ascii_only=False).encode()
    except UnicodeEncodeError:
        return Reading(problem="holds what cannot be kept: half a surrogate pair is no character")
    except RepeatedKeyError as error:
        return Reading(problem=str(error))
    except RecursionError:
        return Reading(problem="nested too deeply")
    return reading


def _unwrap_string(written: str, text: str, notes: list[str]) -> str:
    """Return what a JSON string says; the whole text where there is none."""
    try:
        inner = STRICT.decode(written if written.startswith('"') else f'"{written}"')
    except ValueError:
        return text
    notes += ["fence", "string"] if text.startswith("```") else ["string"]
    return inner.strip() if isinstance(inner, str) else text


def _read(text: str, notes: list[str], *, ended: bool) -> Reading:
    objects: list[dict[str, Any]] = []
    around: list[str] = []
    position = 0
    while start := _OBJECT_START.search(text, position):
        around.append(text[position : start.start()])
        try:
            value, position = STRICT.raw_decode(text, start.start())
        except RepeatedKeyError:
            raise
        except ValueError as error:
            if objects:
                return Reading(problem="several JSON objects, one of them damaged")
            return _read_damaged(text[start.start() :], around[0], notes, str(error), ended=ended)
        objects.append(value)
        if len(objects) > _MAX_OBJECTS:
            return Reading(problem=f"more than {_MAX_OBJECTS} JSON objects")
    around.append(text[position:])
    if not objects:
        return Reading(problem="no JSON object in the text")
    if not all(map(_is_prose, around)):
        return Reading(problem="parts of the JSON stand outside its brackets")
    distinct = _distinct(objects)
    notes += ["repeated"] if len(distinct) < len(objects) else []
    return Reading(tuple(distinct), (*notes, *_around_notes("".join(around))))


def _is_prose(text: str) -> bool:
    """Tell whether what stands around an object is no part of one: no key, nothing that a brace would close."""
    plain = re.sub(r"\{[^{}]*\}", "", text)
    return not _KEY.search(plain) and not re.search(r"\w", plain[: plain.rfind("}") + 1])


def _around_notes(outside: str) -> Iterator[str]:
    if "```" in outside:
        yield "fence"
    if re.sub(r"```\w*|[\s\[\],;]", "", outside):
        yield "prose"
    elif "[" in outside:
        yield "list"


def without_fence(text: str) -> tuple[str, bool]:
    """Return what stands in the code fence that is the whole text, and whether there is one."""
    found = _FENCE_ALONE.match(text.strip())
    return (found[1].strip(), True) if found else (text.strip(), False)


def list_alone(text: str) -> tuple[list[Any], tuple[str, ...]] | None:
    """Return a list that stands before any object, and what was left out around it; None where there is none whole."""
    start, end = text.find("["), text.rfind("]") + 1
    if not 0 <= start < end or "{" in text[:start] or not (_is_prose(text[:start]) and _is_prose(text[end:])):
        return None
    value = inner_json(text[start:end]) if end - start <= MAX_DAMAGED else None
    return (value, tuple(_around_notes(text[:start] + text[end:]))) if isinstance(value, list) else None


def _distinct(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return list({written(value): value for value in reversed(objects)}.values())[::-1]


def _read_damaged(text: str, before: str, notes: list[str], problem: str, *, ended: bool) -> Reading:
    """Read a text that begins with a damaged object."""
    if len(text) > MAX_DAMAGED or not ended:
        return Reading(problem=f"not valid JSON: {problem}")
    damaged, after = _cut_prose(text)
    notes = [*notes, *_around_notes(before + after), "json"]
    if not _is_prose(before) or not _is_prose(after):
        return Reading(problem="parts of the JSON stand outside its brackets")
    value, unclosed = _read_relaxed(damaged) or _read_literal(damaged), False
    if value is None and len(damaged) <= MAX_GUESSED:
        value, unclosed = _guess(damaged.rstrip())
    if isinstance(value, dict):
        return Reading((value,), tuple(notes), unclosed=unclosed)
    return Reading(problem=f"not valid JSON: {problem}")


def _cut_prose(text: str) -> tuple[str, str]:
    """Split a text that begins with `{` where the prose after the object begins."""
    end = text.rfind("}") + 1
    after = text[end:].lstrip(_INVISIBLE + " \t\r\n")
    if end and not _GOES_ON.match(after) and not _KEY.search(after):
        return text[:end], text[end:]
    fence = text.rfind("\n```")
    return (text[:fence], text[fence:]) if fence > 0 and not text[fence + 4 :].strip() else (text, "")


_STRING = r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)'
"""A string to its end, or to that of the text: it always matches, so that no text is read again from a later mark."""
_STRING_OR_COMMENT = re.compile(rf"({_STRING})|(?<=[\s,{{}}\[\]])(?://|/\*)|(?<=\s)#", re.S)
_STRING_OR_COMMA = re.compile(rf"({_STRING})|,(?=\s*[}}\]])", re.S)
_LONGEST_BLOCK = 500
"""Characters between the marks of a block comment."""


def _without_comments(text: str) -> str:
    """Take out comments and trailing commas; a comment with a quotation mark in it may be text, and stays."""
    kept: list[str] = []
    at, line_end, quote = 0, -1, -1
    while found := _STRING_OR_COMMENT.search(text, at):
        start = found.start()
        kept.append(text[at:start])
        end = -1
        if found[1] is None:
            # Where the next of each stands is kept until it is passed: one look at the text for all comments.
            line_end = _next(text, "\n", start) if line_end < start else line_end
            quote = _next(text, '"', start) if quote < start else quote
            block = found[0] == "/*"
            end = text.find("*/", start + 2, start + _LONGEST_BLOCK + 4) + 2 if block else line_end
            end = end if start + 2 * block < end <= quote else -1
        kept.append(found[0] if end < 0 else " ")
        at = found.end() if end < 0 else end
    return _STRING_OR_COMMA.sub(lambda match: match[1] or "", "".join([*kept, text[at:]]))


def _next(text: str, mark: str, start: int) -> int:
    """Where a mark stands next; the text's end where it does not."""
    found = text.find(mark, start)
    return len(text) if found < 0 else found


_STRAIGHT = str.maketrans("‘’", '""')
"""Single quotation marks of books, where they stand for JSON's: an apostrophe among them ends no reading."""


def _read_relaxed(text: str) -> Any:
    curly = text.translate(_STRAIGHT) if '"' not in text and "‘" in text else text
    for candidate in (text, without_slips(curly)):
        try:
            return RELAXED.decode(_without_comments(candidate))
        except RepeatedKeyError:
            raise
        except ValueError:
            continue
    return None


def _read_literal(text: str) -> Any:
    try:
        return literal(parse_expression(text))
    except ValueError:
        return None


class _TooManyStepsError(Exception):
    """A guess takes longer than its text's length allows."""


class _Counted(str):
    """A text that counts how often a part of it is looked at: json-repair takes quadratic time on some damage."""

    __slots__ = ("_left",)

    def __init__(self, text: str) -> None:
        self._left = _MOST_STEPS + _STEPS_A_CHARACTER * len(text)

    def __getitem__(self, place: SupportsIndex | slice) -> str:
        self._left -= 1
        if self._left < 0:
            raise _TooManyStepsError
        return super().__getitem__(place)


def _guess(text: str) -> tuple[dict[str, Any] | None, bool]:
    """Let json-repair propose a reading; return it if the text spells it, and whether it is unclosed."""
    import json_repair  # noqa: PLC0415 - few runs meet a damaged answer

    try:
        value = json_repair.loads(_Counted(text))
    except (ValueError, _TooManyStepsError):  # nested deeper than it reads
        return None, False
    if not isinstance(value, dict):
        return None, False
    right, unclosed = accounts_for(text, value)
    return (value, unclosed) if right else (None, False)
