"""How long answers will be: from this job's receipts, else from the schema's shape.

The worst case is always `max_tokens`. What is expected starts as a guess from the schema (a JSON
answer's keys are known, its strings are not) and gives way to receipts in proportion to what each
is worth: ten answers outweigh any guess.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Length = tuple[float, float]
"""Mean tokens of a value, and their variance."""

CHARACTERS_PER_TOKEN = 4.0
FREE_TEXT: Length = (24.0, 24.0**2)
"""A string that nothing bounds: a phrase or a sentence; captions run longer, labels shorter."""
FORMATS: Mapping[str, Length] = {
    "date": (12.0, 1.0),
    "date-time": (24.0, 9.0),
    "time": (12.0, 4.0),
    "uri": (24.0, 100.0),
}
"""Digits are a token each in Gemma's vocabulary."""
NUMBER: Length = (3.0, 4.0)
WORD: Length = (1.0, 0.0)
ITEMS = 4
"""Elements of an array that states no `maxItems`."""
DEPTH = 8
"""Deeper schemas (and recursive ones) are cut off here."""

GUESS_ERROR = 0.5
"""A guess from the schema is wrong by half of itself, one sigma."""


@dataclass(frozen=True, slots=True)
class LengthEstimate:
    """Completion tokens of one answer.

    `spread` is the standard deviation of one answer, `mean_error` the standard error of `expected`:
    n answers together are n x expected, give or take sqrt(n x spread**2 + (n x mean_error)**2).
    """

    expected: float
    spread: float
    mean_error: float
    source: Literal["receipts", "schema", "limit"]


class AnswerLength:
    """The expected length of answers, learning from each one."""

    def __init__(self, max_tokens: int, schema: Mapping[str, Any] | None = None) -> None:
        """`schema` is the JSON Schema answers must fit; None for plain text."""
        self._max_tokens = max_tokens
        self._guess = _from_schema(schema, max_tokens) if schema is not None else _from_limit(max_tokens)
        self._seen: Counter[int] = Counter()
        self._count = self._sum = self._squares = 0

    def observe(self, completion_tokens: int) -> None:
        """Take one answer's length as the endpoint counted it."""
        self._seen[completion_tokens] += 1
        self._count += 1
        self._sum += completion_tokens
        self._squares += completion_tokens * completion_tokens

    def estimate(self) -> LengthEstimate:
        """What to expect of the next answer."""
        guess, count = self._guess, self._count
        if not count:
            return guess
        mean = self._sum / count
        scatter = max(0.0, self._squares - count * mean * mean)
        # The guess counts as two answers here: one receipt alone has no scatter at all.
        variance = (2 * guess.spread**2 + scatter) / (count + 1)
        # It fades faster than its error says: a wrong guess must not pull on fifty answers.
        weight, guess_weight = count / max(variance, 0.25), (guess.mean_error * count) ** -2
        expected = (mean * weight + guess.expected * guess_weight) / (weight + guess_weight)
        return LengthEstimate(expected, math.sqrt(variance), (weight + guess_weight) ** -0.5, "receipts")

    def quantile(self, share: float) -> int | None:
        """The length that `share` of the answers so far did not exceed; None before the first."""
        left = math.ceil(share * self._count)
        for tokens in sorted(self._seen):
            left -= self._seen[tokens]
            if left <= 0:
                return tokens
        return None

    def dump(self) -> dict[str, int]:
        """The answers so far as a JSON value: length to count."""
        return {str(tokens): count for tokens, count in sorted(self._seen.items())}

    def load(self, state: Mapping[str, int]) -> None:
        """Add what `dump` returned in an earlier run. Raises `ValueError` when it is something else."""
        try:
            seen = [(int(tokens), int(count)) for tokens, count in state.items()]
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError(f"not a record of answers' lengths: {error}") from error
        for tokens, count in seen:
            self._seen[tokens] += count
            self._count += count
            self._sum += tokens * count
            self._squares += tokens * tokens * count


def _from_limit(max_tokens: int) -> LengthEstimate:
    """Plain text says nothing of its length: anything up to the limit is as likely."""
    spread = max(max_tokens / math.sqrt(12), 0.5)
    return LengthEstimate(max_tokens / 2, spread, spread, "limit")


def _from_schema(schema: Mapping[str, Any], max_tokens: int) -> LengthEstimate:
    mean, variance = _value(schema, schema, 0)
    expected = min(mean + 1, float(max_tokens))  # the end of the turn is a token too
    spread = max(min(math.sqrt(variance), max_tokens / 2), 0.5)
    return LengthEstimate(expected, spread, max(GUESS_ERROR * expected, 0.5), "schema")


def _value(schema: object, root: Mapping[str, Any], depth: int) -> Length:
    """Tokens of a value that fits `schema`."""
    if not isinstance(schema, Mapping) or depth > DEPTH:
        return FREE_TEXT
    if isinstance(schema.get("$ref"), str):
        return _value(_resolved(schema["$ref"], root), root, depth + 1)
    if "const" in schema or isinstance(schema.get("enum"), list):
        return _choice(schema.get("enum") or [schema.get("const")])
    branches = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
    if isinstance(branches, list) and branches:
        return max(_value(branch, root, depth + 1) for branch in branches)
    kind = schema.get("type")
    if isinstance(kind, list):  # ["string", "null"]
        kind = next((one for one in kind if one != "null"), "null")
    if kind == "object" or "properties" in schema:
        return _object(schema, root, depth)
    if kind == "array" or "items" in schema:
        return _array(schema, root, depth)
    if kind in ("number", "integer"):
        return NUMBER
    return WORD if kind in ("boolean", "null") else _string(schema)


def _object(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> Length:
    properties = schema.get("properties")
    mean, variance = 2.0, 0.0
    for key, value in properties.items() if isinstance(properties, Mapping) else ():
        tokens, scatter = _value(value, root, depth + 1)
        mean += tokens + len(str(key)) / CHARACTERS_PER_TOKEN + 3  # quotes, colon, comma
        variance += scatter
    return mean, variance


def _array(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> Length:
    least, most = schema.get("minItems"), schema.get("maxItems")
    low = least if isinstance(least, int) else 0
    high = most if isinstance(most, int) else max(low, 2 * ITEMS - low)
    tokens, scatter = _value(schema.get("items"), root, depth + 1)
    count, count_variance = (low + high) / 2, (high - low + 1) ** 2 / 12
    return 2 + count * (tokens + 1), count * scatter + count_variance * (tokens + 1) ** 2


def _string(schema: Mapping[str, Any]) -> Length:
    if schema.get("format") in FORMATS:
        return FORMATS[schema["format"]]
    low, high = schema.get("minLength"), schema.get("maxLength")
    tokens, variance = FREE_TEXT
    if isinstance(high, int):
        # Models stop before a limit they are told of: half of it, and never more than it.
        most = high / CHARACTERS_PER_TOKEN
        tokens = min(most / 2, 4 * tokens)
        variance = tokens**2 / 3
    if isinstance(low, int):
        tokens = max(tokens, low / CHARACTERS_PER_TOKEN)
    return tokens + 2, variance


def _choice(options: list[Any]) -> Length:
    lengths = [len(str(option)) / CHARACTERS_PER_TOKEN + 2 for option in options]
    mean = sum(lengths) / len(lengths)
    return mean, sum((length - mean) ** 2 for length in lengths) / len(lengths)


def _resolved(reference: str, root: Mapping[str, Any]) -> object:
    """A reference within the document; None for any other, or one that leads nowhere."""
    value: object = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        name = step.replace("~1", "/").replace("~0", "~")
        value = value.get(name) if name and isinstance(value, Mapping) else None
    return value
