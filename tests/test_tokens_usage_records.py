"""Usage records: what endpoints count corrects what is expected, and raises bounds that did not hold."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable

import orjson
import pytest

from parquill.chat import ChatRequest, ImagePart, Turn
from parquill.job import ModelSettings
from parquill.tokens import TokenCounter, TokenEstimate, UsageRecords

PICTURE = ImagePart("https://example.com/picture.jpg")


def _request(words: int, images: int = 0) -> ChatRequest:
    return ChatRequest((Turn("user", (*[PICTURE] * images, "photo " * words)),))


def _teach(counter: TokenCounter, rows: int, *, ratio: float, offset: float, picture: float, seed: int = 1) -> None:
    """Let an endpoint count `rows` requests in its own way, with 2 % of noise."""
    rng = random.Random(seed)
    for _ in range(rows):
        images = rng.randint(0, 3)
        estimate = counter.count(_request(rng.randint(5, 300), images))
        text = estimate.formula - 260 * images
        counted = estimate.formula + ratio * text + offset + picture * images + rng.gauss(0, 0.02 * text)
        counter.observe(estimate, images, round(counted), "DeepInfra")


@pytest.mark.parametrize(
    ("ratio", "offset", "picture"), [(0.08, 0, 0), (0, 25, 0), (0, 0, -4), (-0.05, 12, 20), (0, 0, 0)]
)
def test_usage_records_correct_ratio_offset_and_picture(ratio: float, offset: float, picture: float) -> None:
    counter = TokenCounter(ModelSettings())
    _teach(counter, 50, ratio=ratio, offset=offset, picture=picture)
    for words, images in ((20, 0), (150, 2), (300, 1)):
        estimate = counter.count(_request(words, images))
        text = estimate.formula - 260 * images
        truth = estimate.formula + ratio * text + offset + picture * images
        assert estimate.expected == pytest.approx(truth, rel=0.03, abs=2)


def test_without_usage_records_the_formula_counts() -> None:
    estimate = TokenCounter(ModelSettings()).count(_request(50, 1))
    assert estimate.expected == round(estimate.formula)


def test_one_odd_usage_record_is_believed_in_part() -> None:
    counter = TokenCounter(ModelSettings())
    estimate = counter.count(_request(200))
    counter.observe(estimate, 0, round(estimate.formula * 1.3), None)
    assert estimate.formula * 1.03 < counter.count(_request(200)).expected < estimate.formula * 1.24


def test_rows_that_are_all_alike_still_give_their_common_correction() -> None:
    counter = TokenCounter(ModelSettings())
    for _ in range(30):
        estimate = counter.count(_request(40, 1))
        counter.observe(estimate, 1, round(estimate.formula) + 9, None)
    assert counter.count(_request(40, 1)).expected == pytest.approx(round(estimate.formula) + 9, abs=1)


def test_corrected_estimates_are_not_corrected_again() -> None:
    """A usage record is compared with the formula, not with what earlier records made of it."""
    counter = TokenCounter(ModelSettings())
    for _ in range(2):
        _teach(counter, 100, ratio=0.05, offset=10, picture=0)
    assert counter.usage_records.correction.ratio == pytest.approx(0.05, abs=0.02)


def test_before_it_is_known_who_answers_providers_count_by_their_share() -> None:
    counter = TokenCounter(ModelSettings())
    for number in range(200):
        estimate = counter.count(_request(40))
        dear = number % 4 == 0
        counter.observe(estimate, 0, round(estimate.formula) + (40 if dear else 0), "Dear" if dear else "Exact")
    estimate = counter.count(_request(40))
    assert estimate.expected == pytest.approx(estimate.formula + 10, abs=2)
    text = estimate.formula
    assert counter.usage_records.for_provider("Dear").apply(text, 0) == pytest.approx(40, abs=3)
    assert counter.usage_records.for_provider("Exact").apply(text, 0) == pytest.approx(0, abs=1)
    assert counter.usage_records.for_provider("never seen").apply(text, 0) == 0


def test_usage_records_of_two_processes_together_are_those_of_one() -> None:
    one, other, both = (TokenCounter(ModelSettings()) for _ in range(3))
    for counter, words in ((one, range(20, 60)), (other, range(60, 90))):
        for number in words:
            estimate = counter.count(_request(number, number % 2))
            for taught in (counter, both):
                taught.observe(estimate, number % 2, round(estimate.formula * 1.05), "A" if number % 3 else "B")
    one.usage_records.merge(other.usage_records)
    assert one.usage_records.count == both.usage_records.count == 70
    for words in (30, 200):
        assert one.count(_request(words, 1)).expected == pytest.approx(both.count(_request(words, 1)).expected, abs=1)
    assert one.error(10, 900, 81_000, 5) == pytest.approx(both.error(10, 900, 81_000, 5))


def test_a_usage_record_above_its_bound_alarms_and_raises_all_bounds() -> None:
    counter = TokenCounter(ModelSettings())
    first = counter.count(_request(40))
    assert not counter.observe(first, 0, first.upper, None)
    assert counter.observe(first, 0, 2 * first.upper, None)
    again = counter.count(_request(40))
    assert again.upper >= 2.2 * first.upper - 1
    assert not counter.observe(again, 0, 2 * first.upper, None)


def test_what_is_expected_never_passes_the_bound() -> None:
    counter = TokenCounter(ModelSettings())
    estimate = counter.count(_request(1))
    for _ in range(50):
        counter.observe(estimate, 0, estimate.upper, None)
    corrected = counter.count(ChatRequest((Turn("user", ("",)),)))
    assert 1 <= corrected.expected <= corrected.upper


def test_usage_records_survive_into_the_next_run() -> None:
    counter = TokenCounter(ModelSettings())
    _teach(counter, 60, ratio=0.04, offset=7, picture=-2)
    counter.usage_records.raise_upper(100, 150)
    kept = UsageRecords.load(orjson.loads(orjson.dumps(counter.usage_records.dump())))
    next_run = TokenCounter(ModelSettings(), usage_records=kept)
    assert kept.count == 60
    assert next_run.count(_request(70, 2)).upper == counter.count(_request(70, 2)).upper
    assert next_run.count(_request(70, 2)).expected == pytest.approx(counter.count(_request(70, 2)).expected, abs=2)


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"providers": [], "upper_factor": 1},
        {"providers": {"a": {"count": 1, "xx": [1], "xy": [], "yy": 0}}, "upper_factor": 1},
        {"providers": {"a": {"count": 1, "xx": [1] * 6, "xy": [1] * 3, "yy": "much"}}, "upper_factor": 1},
    ],
)
def test_a_record_that_is_none_is_refused(state: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="not calibration data"):
        UsageRecords.load(state)


def test_an_empty_record_is_no_correction() -> None:
    assert UsageRecords.load(UsageRecords().dump()).count == 0


def test_each_usage_record_narrows_the_error_of_the_job() -> None:
    counter = TokenCounter(ModelSettings())
    rows = 1000, 150_000.0, 1000 * 150.0**2, 1500
    before = counter.error(*rows)
    _teach(counter, 50, ratio=0, offset=0, picture=0)
    assert 0 < counter.error(*rows) < before / 3


def test_a_server_that_counts_as_the_formula_does_is_trusted_sooner_than_one_that_scatters() -> None:
    rows = 1000, 150_000.0, 1000 * 150.0**2, 0
    errors = []
    for noise in (0.0, 0.3):
        rng, counter = random.Random(2), TokenCounter(ModelSettings())
        for words in range(20, 70):
            estimate = counter.count(_request(words))
            counter.observe(estimate, 0, round(estimate.formula * (1 + noise * rng.uniform(-1, 1))), None)
        errors.append(counter.error(*rows))
    assert errors[0] < errors[1] / 5


def test_a_ratio_far_from_the_prior_is_believed_when_all_usage_records_say_so() -> None:
    counter = TokenCounter(ModelSettings())
    _teach(counter, 50, ratio=0.7, offset=0, picture=0)
    assert counter.usage_records.correction.ratio == pytest.approx(0.7, rel=0.02)


def test_an_estimate_is_a_value() -> None:
    assert TokenEstimate(10, 20, 10.2) == TokenEstimate(10, 20, 10.2)


def _calls(work: Callable[[], object]) -> int:
    """How many functions, Python's and C's, are called by some work: the same on any machine."""
    count = 0

    def note(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def test_a_reply_costs_the_same_however_many_names_its_providers_have() -> None:
    few, many = UsageRecords(), UsageRecords()
    of_few = [_calls(lambda at=at: few.add(50.0, 1, 3.0, f"provider {at % 64}")) for at in range(200)]
    of_many = [_calls(lambda at=at: many.add(50.0, 1, 3.0, f"provider {at}")) for at in range(200)]
    assert max(of_many) <= 1.1 * max(of_few)
    assert max(of_many[128:]) < 3 * max(of_many[:64])


def test_usage_records_under_ever_new_names_are_kept_in_a_bounded_space_and_all_count() -> None:
    usage_records = UsageRecords()
    for number in range(1000):
        usage_records.add(50.0, 1, 9.0, f"provider {number}" + "x" * 10_000)
    size = len(orjson.dumps(usage_records.dump()))
    assert size < 30_000
    again = UsageRecords.load(usage_records.dump())
    again.merge(usage_records)
    for kept, count in ((usage_records, 1000), (again, 2000)):
        assert kept.count == count
        assert kept.correction.apply(50.0, 1) == pytest.approx(9, abs=2)
        assert kept.for_provider("(others)").apply(50.0, 1) == pytest.approx(9, abs=0.5)
    assert len(orjson.dumps(again.dump())) < 1.1 * size


def test_a_record_of_more_providers_than_are_kept_is_read_and_those_that_answered_most_keep_their_names() -> None:
    """Earlier versions kept each name."""
    one = UsageRecords()
    one.add(50.0, 0, 4.0, "Rare")
    sums = one.dump()["providers"]["Rare"]
    often = {"count": 200, "xx": [200 * x for x in sums["xx"]], "xy": [200 * x for x in sums["xy"]], "yy": 3200.0}
    kept = UsageRecords.load(
        {"upper_factor": 1.5, "providers": {**{f"P{n}": sums for n in range(800)}, "Often": often}}
    )
    assert kept.count == 1000
    assert kept.upper_factor == 1.5
    assert len(kept.dump()["providers"]) == 65
    assert kept.for_provider("Often").apply(50.0, 0) == pytest.approx(4, abs=0.2)
