"""The expected length of answers: from the schema, then from what answers really were."""

from __future__ import annotations

import json
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
    assert estimate.source == "answers"
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


def test_answers_that_grow_with_their_prompts_are_followed() -> None:
    """Translations: long texts have long answers, and rows left over may be longer than those seen."""
    rng = random.Random(5)
    length = AnswerLength(4096)
    for _ in range(50):
        prompt = rng.randint(50, 400)
        length.observe(round(20 + 0.9 * prompt + rng.gauss(0, 10)), prompt)
    assert length.expect(100, 0) == pytest.approx(110, rel=0.05)
    assert length.expect(1000, 0) == pytest.approx(920, rel=0.05)
    assert length.error(1000, 250_000, 0) < 1.96 * 2 * 1000 * 10 / math.sqrt(50)


def test_a_slope_that_is_not_there_costs_nothing() -> None:
    rng = random.Random(6)
    flat, alike = AnswerLength(512), AnswerLength(512)
    for _ in range(50):
        tokens = round(rng.gauss(100, 20))
        flat.observe(tokens, rng.randint(50, 400))
        alike.observe(tokens, 225)
    assert flat.expect(225, 0) == pytest.approx(alike.expect(225, 0), rel=0.02)
    assert flat.error(1000, 225_000, 0) == pytest.approx(alike.error(1000, 225_000, 0), rel=0.1)


def test_rows_unlike_those_seen_are_less_sure() -> None:
    rng = random.Random(7)
    length = AnswerLength(4096)
    for _ in range(50):
        length.observe(round(rng.gauss(100, 20)), rng.randint(50, 100))
    assert length.error(100, 100 * 2000, 0) > 5 * length.error(100, 100 * 75, 0)


def test_pictures_that_are_described_one_by_one_are_followed() -> None:
    length = AnswerLength(1024)
    for number in range(60):
        images = number % 4
        length.observe(30 + 40 * images, 50 + 260 * images, images)
    assert length.expect(50 + 260 * 3, 3) == pytest.approx(150, rel=0.05)


def test_no_line_leads_beyond_the_limit_or_below_one_token() -> None:
    length = AnswerLength(100)
    for prompt in range(10, 60):
        length.observe(2 * prompt - 10, prompt)
    assert length.expect(10_000, 0) == 100
    assert length.expect(0, 0) == 1


def test_lengths_survive_into_the_next_run() -> None:
    first, second = AnswerLength(512, CAPTION), AnswerLength(512, CAPTION)
    for tokens in (30, 40, 40, 50):
        first.observe(tokens, 3 * tokens, 1)
    second.load(json.loads(json.dumps(first.dump())))
    assert second.estimate() == first.estimate()
    assert second.count == 4


def test_a_changed_schema_reads_lengths_as_they_were_counted() -> None:
    """What is kept are lengths, not how far they were from a guess."""
    first, second = AnswerLength(512, CAPTION), AnswerLength(512)
    for tokens in [38, 40, 42] * 40:
        first.observe(tokens, 100)
    second.load(first.dump())
    assert second.expect(100, 0) == pytest.approx(40, abs=0.5)


def test_what_is_no_record_of_lengths_is_refused() -> None:
    for damaged in ({"a": None}, {**AnswerLength(9).dump(), "yy": float("nan")}, {**AnswerLength(9).dump(), "xx": [1]}):
        with pytest.raises(ValueError, match="not calibration data"):
            AnswerLength(512).load(damaged)
