"""The expected length of answers: from the schema, then from what answers really were."""

from __future__ import annotations

import math
import random

import pytest

from parquill.tokens import AnswerLength

CAPTION = {
    "type": "object",
    "properties": {
        "title": {"type": "string", "maxLength": 80},
        "tags": {"type": "array", "items": {"type": "string", "maxLength": 20}, "maxItems": 5},
        "sellable": {"type": "boolean"},
    },
}


def test_without_a_schema_anything_up_to_the_limit_is_as_likely() -> None:
    estimate = AnswerLength(256).estimate()
    assert (estimate.expected, estimate.source) == (128, "limit")
    assert estimate.spread == pytest.approx(256 / math.sqrt(12))


def test_a_schema_tells_a_short_answer_from_a_long_one() -> None:
    label = {"type": "object", "properties": {"label": {"enum": ["cat", "dog"]}}}
    short, long = AnswerLength(512, label).estimate(), AnswerLength(512, CAPTION).estimate()
    assert short.expected < 12
    assert 30 < long.expected < 90
    assert short.source == long.source == "schema"


def test_more_fields_longer_strings_and_more_items_are_longer() -> None:
    base = AnswerLength(4096, CAPTION).estimate().expected
    for change in (
        {"title": {"type": "string", "maxLength": 400}},
        {"tags": {"type": "array", "items": {"type": "string", "maxLength": 20}, "maxItems": 20}},
        {"date": {"type": "string", "format": "date"}},
        {"maker": {"anyOf": [{"type": "null"}, {"type": "string"}]}},
    ):
        more = {**CAPTION, "properties": {**CAPTION["properties"], **change}}
        assert AnswerLength(4096, more).estimate().expected > base


def test_references_are_followed_and_recursion_ends() -> None:
    tree = {
        "$ref": "#/$defs/node",
        "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}},
    }
    assert AnswerLength(4096, tree).estimate().expected > 20
    assert AnswerLength(4096, {"$ref": "#/nowhere"}).estimate().expected > 1
    assert AnswerLength(4096, {"$ref": "other.json"}).estimate().expected > 1


def test_no_answer_is_expected_beyond_the_limit() -> None:
    assert AnswerLength(16, CAPTION).estimate().expected == 16


def test_fifty_answers_outweigh_any_guess() -> None:
    rng = random.Random(3)
    length = AnswerLength(512, CAPTION)
    for _ in range(50):
        length.observe(round(rng.gauss(180, 20)))
    estimate = length.estimate()
    assert estimate.source == "receipts"
    assert estimate.expected == pytest.approx(180, rel=0.04)
    assert estimate.spread == pytest.approx(20, rel=0.4)
    assert estimate.mean_error == pytest.approx(20 / math.sqrt(50), rel=0.4)


def test_one_answer_does_not_settle_the_spread() -> None:
    length = AnswerLength(512, CAPTION)
    guess = length.estimate()
    length.observe(40)
    assert length.estimate().spread > guess.spread / 2


def test_answers_that_are_all_alike_leave_an_interval_above_zero() -> None:
    length = AnswerLength(512)
    for _ in range(1000):
        length.observe(20)
    estimate = length.estimate()
    assert estimate.expected == pytest.approx(20, abs=0.5)
    assert 0 < estimate.mean_error < 1


def test_the_interval_of_a_job_holds_its_truth_nineteen_times_of_twenty() -> None:
    """500 jobs of 1,000 answers, calibrated with 50: 95 % must lie inside 1.96 standard errors."""
    rng = random.Random(11)
    inside = 0
    for _ in range(500):
        mean, spread = rng.uniform(40, 200), rng.uniform(5, 40)
        length = AnswerLength(512, CAPTION)
        for _ in range(50):
            length.observe(max(1, round(rng.gauss(mean, spread))))
        estimate = length.estimate()
        truth = rng.gauss(1000 * mean, math.sqrt(1000) * spread)
        error = math.sqrt(1000 * estimate.spread**2 + (1000 * estimate.mean_error) ** 2)
        inside += abs(truth - 1000 * estimate.expected) <= 1.96 * error
    assert inside / 500 >= 0.93


def test_quantiles_are_of_the_answers_seen() -> None:
    length = AnswerLength(512)
    assert length.quantile(0.5) is None
    for tokens in range(1, 101):
        length.observe(tokens)
    assert [length.quantile(share) for share in (0.01, 0.5, 0.95, 1.0)] == [1, 50, 95, 100]


def test_lengths_survive_into_the_next_run() -> None:
    first, second = AnswerLength(512, CAPTION), AnswerLength(512, CAPTION)
    for tokens in (30, 40, 40, 50):
        first.observe(tokens)
    second.load(first.dump())
    assert second.estimate() == first.estimate()
    with pytest.raises(ValueError, match="not a record"):
        second.load({"a": None})  # type: ignore[dict-item] - a damaged record is the case
