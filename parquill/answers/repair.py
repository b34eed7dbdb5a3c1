"""Free repairs of text: finding the JSON object in what a model wrote.

Three readings, each tried only when the one before failed:

1. every object in the text, to the letter, with fences and prose around them;
2. the same without comments and trailing commas, and with raw line breaks in strings;
3. json-repair, for single quotes, Python's literals, bare keys, missing brackets.

The third one guesses, so what it returns is believed only if nothing was lost or made up
(`_is_conserved`: every word and number of the text, in order, and no other), if no string has
swallowed punctuation that could be structure, and if the text does not end in the middle of a
value. A guess that could be wrong costs a value; a refusal costs one more request.

Notes: `bom`, `string` (JSON inside a JSON string), `fence`, `prose`, `json` (reading 2 or 3).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from parquill.answers.strict_json import RELAXED, STRICT, RepeatedKeyError, same

MAX_GUESSED = 40_000
"""Characters that json-repair is given at most: it is slow on long damage (about 1 s for 1 MB)."""

_INVISIBLE = "\ufeff\u200b\u2060"
_OBJECT_START = re.compile(r"\{(?=\s*(?:[\"'“”‘’}]|//|/\*|[A-Za-z_]\w*[\"'”’]?\s*:))")
_KEY = re.compile(r"[\"'“”‘’]\s*:")
_SWALLOWED = re.compile(r"[\"“”']\s*[:,}\]]|[{\[,:]\s*[\"“”']")
_BAD_ESCAPE = re.compile(r"(?<!\\)(?:\\\\)*\\(?![\"\\/bfnrtu'])")
_GOES_ON = re.compile(r"[,:\]}\[{\"'\d]")


@dataclass(frozen=True, slots=True)
class Reading:
    """The objects that a text holds, each once, and what was repaired to find them."""

    objects: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    problem: str = ""
    """Why there is none, in words for people and for the model."""


def read_objects(text: str, *, ended: bool) -> Reading:
    """Find the JSON objects in a model's text; never raises.

    `ended`: the model stopped by itself. Where it was cut off, only objects that are complete
    to the letter count: what a guess would close may have lost its end.
    """
    notes: list[str] = []
    bare = text.strip().strip(_INVISIBLE).strip()
    if "\ufeff" in text:
        notes.append("bom")
    if bare.startswith('"'):
        bare = _unwrap_string(bare, notes)
    try:
        reading = _read(bare, notes, ended=ended)
        orjson.dumps(reading.objects)
    except orjson.JSONEncodeError as error:
        return Reading(problem=f"holds what cannot be kept: {error}")
    except RepeatedKeyError as error:
        return Reading(problem=str(error))
    except RecursionError:
        return Reading(problem="nested too deeply")
    return reading


def _unwrap_string(text: str, notes: list[str]) -> str:
    try:
        inner = STRICT.decode(text)
    except ValueError:
        return text
    notes.append("string")
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
            return _read_damaged(text[start.start() :], "".join(around), notes, str(error), ended=ended)
        objects.append(value)
    around.append(text[position:])
    outside = "".join(around)
    if not objects:
        return Reading(problem="no JSON object in the text")
    if _KEY.search(outside):
        return Reading(problem="parts of the JSON stand outside its brackets")
    return Reading(tuple(_distinct(objects)), (*notes, *_around_notes(outside)))


def _around_notes(outside: str) -> Iterator[str]:
    if "```" in outside:
        yield "fence"
    if re.sub(r"```\w*|[\s\[\],;]", "", outside):
        yield "prose"


def _distinct(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    kept: list[dict[str, Any]] = []
    for value in objects:
        if not any(same(value, other) for other in kept):
            kept.append(value)
    return kept


def _read_damaged(text: str, before: str, notes: list[str], problem: str, *, ended: bool) -> Reading:
    """Read a text that begins with a damaged object."""
    damaged, after = _cut_prose(text)
    notes = [*notes, *_around_notes(before + after), "json"]
    if _KEY.search(before) or _KEY.search(after):
        return Reading(problem="parts of the JSON stand outside its brackets")
    try:
        value = RELAXED.decode(_without_comments(damaged))
    except RepeatedKeyError:
        raise
    except ValueError:
        value = _guess(damaged) if ended else None
    if isinstance(value, dict):
        return Reading((value,), tuple(notes))
    return Reading(problem=f"not valid JSON: {problem}")


def _cut_prose(text: str) -> tuple[str, str]:
    """Split a text that begins with `{` where the prose after the object begins."""
    end = text.rfind("}") + 1
    after = text[end:].lstrip(_INVISIBLE + " \t\r\n")
    if end and not _GOES_ON.match(after) and not _KEY.search(after):
        return text[:end], text[end:]
    fence = text.rfind("\n```")
    return (text[:fence], text[fence:]) if fence > 0 and not text[fence + 4 :].strip() else (text, "")


_STRING_OR_COMMENT = re.compile(r'("(?:[^"\\]|\\.)*")|(//[^\n"]*(?=\n|$)|/\*[^"]*?\*/|(?<=\s)#[^\n"]*(?=\n|$))', re.S)
_STRING_OR_COMMA = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])', re.S)


def _without_comments(text: str) -> str:
    """Take out comments and trailing commas; a comment with a quotation mark in it may be text, and stays."""
    text = _STRING_OR_COMMENT.sub(lambda match: match[1] or " ", text)
    return _STRING_OR_COMMA.sub(lambda match: match[1] or "", text)


def _guess(text: str) -> Any:
    """Let json-repair read `text`; None where its reading is not the only one."""
    if len(text) > MAX_GUESSED or _BAD_ESCAPE.search(text) or not _ends_whole(text):
        return None
    import json_repair  # noqa: PLC0415 - few runs meet a damaged answer

    value = json_repair.loads(text)
    if (
        not isinstance(value, dict)
        or not _is_finite(value)
        or list(_atoms_of_text(text)) != list(_atoms_of_value(value))
    ):
        return None
    return None if any(_SWALLOWED.search(string) for string in _strings(value)) else value


def _ends_whole(text: str) -> bool:
    """Tell whether the text can be all the model wanted to say: closed, or ending after a whole value."""
    if text.rstrip().endswith("}"):
        return True
    plain = re.sub(r"\\.", "", text)
    return plain.count('"') % 2 == 0 and re.search(r'(?:"|\]|true|false|null)\s*$', plain) is not None


_SEPARATORS = re.compile(r"[\s{}\[\],:\"'“”‘’\\]+")
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.S)
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_LITERALS = {"True": "true", "False": "false", "None": "null"}


def _atoms_of_text(text: str) -> Iterator[str]:
    """Yield a text's words and numbers: what lies between punctuation that could be JSON's."""
    plain = _ESCAPE.sub(lambda m: chr(int(m[1][1:], 16)) if len(m[1]) > 1 else _ESCAPED.get(m[1], m[1]), text)
    for atom in _SEPARATORS.split(plain):
        if atom:
            yield _LITERALS.get(atom) or _as_number(atom)


def _atoms_of_value(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _atoms_of_text(key.replace("\\", " "))
            yield from _atoms_of_value(item)
    elif isinstance(value, list):
        for item in value:
            yield from _atoms_of_value(item)
    elif isinstance(value, str):
        yield from _atoms_of_text(value.replace("\\", " "))
    else:
        yield _as_number(json.dumps(value))


def _as_number(atom: str) -> str:
    """Bring `1.50` and `1.5` to one form, so that a number may be written anew; NaN equals nothing."""
    try:
        number = float(atom)
    except ValueError:
        return atom
    return repr(number) if math.isfinite(number) and abs(number) < 2**53 else atom


def _is_finite(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
