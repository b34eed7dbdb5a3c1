"""Estimates how long answers will be: from this job's usage records, else from the schema.

The worst case is always `max_tokens`. What is expected starts as a guess from the schema (a JSON
answer's keys are known, its strings are not) and gives way to usage records in proportion to what each
is worth: ten answers outweigh any guess. Answers that grow with their prompts (translations, summaries)
are followed by a line through the usage records; where they do not, its slope is about zero and costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from parquill.tokens.ridge import Line, RidgeSums, Vector, student

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

SLOPE_SD, PICTURE_SD = 0.5, 20.0
"""The prior: tokens that an answer gains with each token of its prompt, and with each picture, one sigma.
A translation gains one for one, a caption nothing."""

LEAST_VARIANCE = 0.25
"""Of an answer's length: answers that were all alike may still differ by a token."""

RENEWALS = 8
"""The line is fitted anew with every eighth more of the usage records."""


@dataclass(frozen=True, slots=True)
class LengthEstimate:
    """Completion tokens of one answer, at a prompt like those seen so far.

    `spread` is the standard deviation of one answer, `mean_error` the standard error of `expected`:
    n answers together are n x expected, give or take sqrt(n x spread**2 + (n x mean_error)**2). Both are
    widened as Student's t asks, so that 1.96 of them hold 95 % whatever the number of usage records.
    """

    expected: float
    spread: float
    mean_error: float
    source: Literal["answers", "schema", "limit"]


class AnswerLength:
    """The expected length of answers, learning from each one."""

    def __init__(self, max_tokens: int, schema: Mapping[str, Any] | None = None) -> None:
        """`schema` is the JSON Schema answers must fit; None for plain text."""
        self._max_tokens = max_tokens
        self._guess = _from_schema(schema, max_tokens) if schema is not None else _from_limit(max_tokens)
        self._seen = RidgeSums()
        self._fitted_at = 0
        self._line, self._deviation, self._widened = Line(), self._guess.spread, 1.0

    @property
    def count(self) -> int:
        """How many answers were seen."""
        return self._seen.count

    def observe(self, completion_tokens: int, prompt_tokens: int = 0, images: int = 0) -> None:
        """Take one answer's length, as the endpoint counted it and its prompt."""
        self._seen.add(prompt_tokens, images, completion_tokens - self._guess.expected)

    def expect(self, prompt_tokens: int, images: int) -> float:
        """Expected tokens of the answer to such a prompt."""
        self._renew()
        expected = self._guess.expected + self._line.apply(prompt_tokens, images)
        return min(max(expected, 1.0), float(self._max_tokens))

    def expect_all(self, prompt_tokens: npt.NDArray[np.int64], images: npt.NDArray[np.int64]) -> Vector:
        """The same of many prompts."""
        self._renew()
        expected = self._guess.expected + self._line.apply(prompt_tokens.astype(np.float64), images)
        return np.minimum(np.maximum(expected, 1.0), float(self._max_tokens))

    def _renew(self) -> None:
        if self._seen.count - self._fitted_at > self._fitted_at // RENEWALS:
            self._fit()

    def error(self, rows: int, prompt_tokens: int, images: int, worth: float = 1.0) -> float:
        """Standard error of what is expected of so many answers together, whose prompts have so many tokens
        and pictures together: 1.96 of it hold 95 %. `worth`: if there were so many times the usage records."""
        if not rows:
            return 0.0
        if not self._seen.count:
            return math.hypot(rows * self._guess.mean_error, math.sqrt(rows) * self._guess.spread)
        self._fit()
        mean_variance = self._line.variance(prompt_tokens / rows, images / rows) / worth
        return self._widened * rows * math.sqrt(mean_variance + self._deviation**2 / rows)

    def estimate(self) -> LengthEstimate:
        """What to expect of the next answer."""
        if not self._seen.count:
            return self._guess
        self._fit()
        _, text, _, count, images, _ = self._seen.xx
        at = text / count, images / count
        expected = self._guess.expected + self._line.apply(*at)
        mean_error = self._widened * math.sqrt(self._line.variance(*at))
        return LengthEstimate(expected, self._widened * self._deviation, mean_error, "answers")

    def _fit(self) -> None:
        """Fit the line; the guess at the spread counts as two answers at first, and soon as none: it is wide."""
        count, sums, guess = self._seen.count, self._seen, self._guess
        if self._fitted_at == count:
            return
        worth = 2.0 / count**2
        # The guess at the length fades faster than its error says: a wrong one must not pull on fifty answers.
        deviations = SLOPE_SD, guess.mean_error * count, PICTURE_SD
        scatter = max(0.0, sums.yy - sums.xy[1] ** 2 / count)
        noise = self._variance(scatter, count - 1.0, worth)
        for _ in range(2):
            line = sums.solve(deviations, noise)
            noise = self._variance(line.rest, line.freedom, worth)
        self._line, self._deviation, self._fitted_at = line, math.sqrt(noise), count
        self._widened = student(line.freedom + worth)

    def _variance(self, squares: float, freedom: float, worth: float) -> float:
        """Of one answer, from what is left over and the guess."""
        return max(LEAST_VARIANCE, (worth * self._guess.spread**2 + squares) / (worth + freedom))

    def dump(self) -> dict[str, Any]:
        """The answers so far as a JSON value: sums, of lengths as they were counted."""
        return _moved(self._seen, self._guess.expected).dump()

    def load(self, state: Mapping[str, Any]) -> None:
        """Take what `dump` returned elsewhere, besides what was seen here. Raises `ValueError` when it is something
        else."""
        self._seen.merge(_moved(RidgeSums.load(state), -self._guess.expected))
        self._fitted_at = 0


def _moved(sums: RidgeSums, by: float) -> RidgeSums:
    """The sums of the same observations with `by` added to each y."""
    _, text, _, count, images, _ = sums.xx
    x, one, pictures = sums.xy
    moved = [x + by * text, one + by * count, pictures + by * images]
    return RidgeSums(sums.count, list(sums.xx), moved, sums.yy + 2 * by * one + by * by * count)


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
        # Models stop before a limit that the prompt names: half of it, and never more than it.
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
