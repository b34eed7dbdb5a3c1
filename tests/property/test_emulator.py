"""What holds of the emulator for all inputs."""

from __future__ import annotations

import random
from typing import Any

import jsonschema_rs
from hypothesis import given, settings
from hypothesis import strategies as st

from parquill.emulator import EmulatorSettings
from parquill.emulator.error_replies import ErrorReply
from parquill.emulator.limits import RateLimits
from parquill.emulator.prose import sentences
from parquill.emulator.schemas import SchemaWriter
from parquill.emulator.tokens import count_text, cut
from tests.lanes import examples


class Hand:
    """As much of a clock as limits look at."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return 1_790_000_000.0 + self.now


def _lengths(low: str, high: str) -> st.SearchStrategy[dict[str, int]]:
    pair = st.tuples(st.integers(0, 12), st.integers(0, 12)).map(sorted)
    return st.one_of(st.just({}), pair.map(lambda ends: {low: ends[0], high: ends[1]}))


SCALARS = st.one_of(
    st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"const": "x"}, {"enum": ["a", 2, None]}]),
    st.sampled_from(["date", "date-time", "uuid"]).map(lambda name: {"type": "string", "format": name}),
    _lengths("minLength", "maxLength").map(lambda bounds: {"type": "string", **bounds}),
    _lengths("minimum", "maximum").map(lambda bounds: {"type": "integer", **bounds}),
    _lengths("minimum", "maximum").map(lambda bounds: {"type": "number", **bounds}),
)


def _deeper(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    objects = st.dictionaries(st.text("abcü", min_size=1, max_size=4), inner, max_size=4).map(
        lambda parts: {"type": "object", "properties": parts, "required": list(parts), "additionalProperties": False}
    )
    bounds = st.tuples(st.integers(0, 4), st.integers(0, 4)).map(sorted)
    arrays = st.tuples(inner, bounds).map(
        lambda made: {"type": "array", "items": made[0], "minItems": made[1][0], "maxItems": made[1][1]}
    )
    unions = st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"anyOf": [*parts, {"type": "null"}]})
    return st.one_of(objects, arrays, unions)


SCHEMAS = st.recursive(SCALARS, _deeper, max_leaves=8)


@settings(max_examples=examples(150))
@given(SCHEMAS, st.integers(0, 2**32))
def test_a_written_value_fits_its_schema(schema: dict[str, Any], seed: int) -> None:
    value = SchemaWriter(schema, random.Random(seed)).value()
    assert jsonschema_rs.validator_for(schema, validate_formats=True).is_valid(value), value


@settings(max_examples=examples(100))
@given(st.text(max_size=200), st.integers(0, 60))
def test_a_cut_has_exactly_the_tokens_that_there_were_room_for(text: str, tokens: int) -> None:
    assert count_text(cut(text, tokens)) == min(tokens, count_text(text))
    assert count_text(text) <= len(text)


@settings(max_examples=examples(50))
@given(st.integers(0, 2**32), st.integers(1, 3000))
def test_sentences_have_the_tokens_that_were_asked_for(seed: int, tokens: int) -> None:
    text, count = sentences(random.Random(seed), tokens)
    assert count_text(text) == count == max(tokens, 5)


@settings(max_examples=examples(60))
@given(
    st.sampled_from(["fixed", "sliding"]),
    st.lists(st.tuples(st.floats(0, 40), st.integers(1, 400)), max_size=60),
    st.floats(0, 59),
)
def test_no_minute_of_the_window_lets_more_pass_than_its_limit(
    window: Any, arrivals: list[tuple[float, int]], phase: float
) -> None:
    clock = Hand()
    told = EmulatorSettings(requests_per_minute=5, tokens_per_minute=900, window=window, window_phase=phase)
    limits, passed = RateLimits(told, clock), []
    for pause, tokens in arrivals:
        clock.now += pause
        try:
            limits.check(told, "m", tokens)
        except ErrorReply as refusal:
            assert int(refusal.headers["X-RateLimit-Reset"]) / 1000 >= clock.wall()
            continue
        limits.count(told, "m", tokens)
        passed.append((clock.now, tokens))
    for start, _ in passed:
        if window == "fixed":
            index = (start + phase) // 60
            inside = [tokens for at, tokens in passed if (at + phase) // 60 == index]
        else:
            inside = [tokens for at, tokens in passed if start <= at < start + 60 - 1e-6]
        assert len(inside) <= 5 and sum(inside) <= 900
