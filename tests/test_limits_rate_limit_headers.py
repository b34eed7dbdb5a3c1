"""Limits that good answers tell in headers: what is read, when it is believed, what it does."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parquill.budget import Budget
from parquill.job import LimitSettings
from parquill.limits import Gate, HeaderLimit, Need, Outcome, Reply, Told, read_quotas
from parquill.limits.rate_limit_headers import Belief
from tests.clock import ManualClock, settle

pytestmark = pytest.mark.usefixtures("jumping")

NOW = 1_790_000_000.0
NEED = Need(tokens=100, worst_pico=0, worst_tokens=0)


def headers(limit: object, left: object = None, reset: str | None = None, of: str = "requests") -> Mapping[str, str]:
    said = {f"x-ratelimit-limit-{of}": str(limit)}
    if left is not None:
        said[f"x-ratelimit-remaining-{of}"] = str(left)
    if reset is not None:
        said[f"x-ratelimit-reset-{of}"] = reset
    return said


def requests_of(said: Mapping[str, str]) -> HeaderLimit | None:
    told = read_quotas(said, NOW)
    return told and told.requests


@pytest.mark.parametrize(
    ("said", "quota"),
    [
        (headers(60, 59), HeaderLimit(60, 1)),  # LiteLLM: no reset
        (headers(5000, 4999, "12ms"), HeaderLimit(5000, 1)),  # OpenAI: a bucket that fills in a minute
        (headers(600, 550, "5s"), HeaderLimit(600, 50)),
        (headers(1000, 400, "33.2s"), HeaderLimit(1000, 600)),  # a fixed minute
        (headers(100, 40, str(int(NOW) + 30)), HeaderLimit(100, 60)),  # the same, as a moment
        (headers(60), HeaderLimit(60)),
        (headers(60, -3), HeaderLimit(60)),
        (headers(60, 61), HeaderLimit(60)),
    ],
)
def test_a_limit_per_minute_is_read_in_every_form(said: Mapping[str, str], quota: HeaderLimit) -> None:
    assert requests_of(said) == quota


@pytest.mark.parametrize(
    "said",
    [
        headers(14_400, 14_370, "2m59.56s"),  # Groq: requests are counted by the day
        headers(1000, 999, "1m26.4s"),
        headers(10_000, 1, "6h0m0s"),
    ],
)
def test_a_limit_that_is_whole_again_after_more_than_a_minute_is_none_per_minute(said: Mapping[str, str]) -> None:
    quota = requests_of(said)
    assert quota is not None and quota.limit == math.inf


@pytest.mark.parametrize(
    "said",
    [
        headers(14_400, 14_398, "12s"),  # a day's, hardly used yet
        headers(10, 9, "0.7s"),  # may be a second's
        headers(60, 60, "0s"),
        *(headers(value) for value in (0, -1, "", "many", "1e3", "60.5", "²", "9" * 14, "9" * 400)),
        {"x-ratelimit-limit": "60"},
        {"llm_provider-x-ratelimit-limit-requests": "60"},
        {},
    ],
)
def test_what_does_not_show_a_limit_per_minute_is_nothing_said(said: Mapping[str, str]) -> None:
    assert read_quotas(said, NOW) is None


NAMES = [f"x-ratelimit-{what}-{of}" for what in ("limit", "remaining", "reset") for of in ("requests", "tokens")]


@given(st.dictionaries(st.sampled_from(NAMES), st.text(max_size=20) | st.integers().map(str)))
def test_no_header_whatever_breaks_the_reading(said: Mapping[str, str]) -> None:
    told = read_quotas(said, NOW)
    for quota in () if told is None else (told.requests, told.tokens):
        assert quota is None or (quota.limit >= 1 and (quota.used is None or 0 <= quota.used <= 10**12))


def test_a_limit_is_believed_when_three_answers_in_a_row_say_it() -> None:
    belief = Belief()
    assert [belief.hear(0.0, limit, 1) for limit in (60, 60, 90, 60, 60, 60, 60)] == [False] * 5 + [True, False]
    assert belief.limit == 60


def test_a_limit_that_the_endpoint_lets_be_passed_by_far_is_never_believed_again() -> None:
    belief = Belief()
    heard = [belief.hear(number * 0.1, 10, 1) for number in range(40)]
    assert [at for at, changed in enumerate(heard) if changed] == [2, 30]
    assert belief.limit == math.inf


def test_a_limit_of_which_it_shows_later_that_it_is_a_days_is_dropped() -> None:
    belief = Belief()
    for limit in (1000, 1000, 1000, math.inf, math.inf, math.inf):
        belief.hear(0.0, limit, 1)
    assert belief.limit == math.inf


async def answered(gate: Gate, told: Told, count: int, *, tokens: int = 100) -> None:
    tickets = [await gate.reserve(NEED) for _ in range(count)]
    for ticket in tickets:
        await gate.admit(ticket)
    for ticket in tickets:
        gate.settle(ticket, cost_pico=0, tokens=tokens, reply=Reply(Outcome.OK, told=told))


async def sent_in(gate: Gate, clock: ManualClock, seconds: float) -> int:
    """How many of a long queue leave within a time; the rest is sent home."""

    async def send() -> None:
        ticket = await gate.reserve(NEED)
        await gate.admit(ticket)
        gate.settle(ticket, cost_pico=0, tokens=100, reply=Reply(Outcome.OK))

    waiting = [asyncio.create_task(send()) for _ in range(200)]
    await settle()
    await clock.advance(seconds)
    done = sum(task.done() for task in waiting)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    return done


async def test_a_told_limit_of_requests_is_held_with_what_was_sent_before() -> None:
    clock = ManualClock()
    gate = Gate(LimitSettings(max_in_flight=32), Budget(), clock)
    await answered(gate, Told(HeaderLimit(60), None), 20)
    assert gate.statistics().requests_per_minute == 60
    assert await sent_in(gate, clock, 59.0) == 40


async def test_what_others_have_used_of_a_told_limit_is_left_to_them() -> None:
    clock = ManualClock()
    gate = Gate(LimitSettings(max_in_flight=32), Budget(), clock)
    await answered(gate, Told(HeaderLimit(60, used=50), None), 20)
    assert await sent_in(gate, clock, 59.0) == 10


async def test_a_told_limit_of_tokens_is_held_with_what_was_sent_before() -> None:
    clock = ManualClock()
    gate = Gate(LimitSettings(max_in_flight=32), Budget(), clock)
    await answered(gate, Told(None, HeaderLimit(6000, used=2000)), 20)
    assert gate.statistics().tokens_per_minute == 6000
    assert 36 <= await sent_in(gate, clock, 59.0) <= 40
    assert gate.fits(Need(10_000, 0, 0)) is None, "what a header says fails no row"


async def test_refusals_tell_limits_too_when_others_have_used_the_minute_up() -> None:
    clock = ManualClock()
    gate = Gate(LimitSettings(max_in_flight=32), Budget(), clock)
    tickets = [await gate.reserve(NEED) for _ in range(3)]
    for ticket in tickets:
        await gate.admit(ticket)
    told = Told(HeaderLimit(60, used=60), HeaderLimit(6000, used=100))
    for ticket in tickets:
        gate.settle(ticket, cost_pico=0, tokens=0, reply=Reply(Outcome.THROTTLED, wait=1.0, told=told))
    assert gate.statistics().requests_per_minute == 60
    assert await sent_in(gate, clock, 59.0) == 0, "the server counts a full minute already"
    assert await sent_in(gate, clock, 30.0) > 20


async def test_limits_that_the_job_names_are_not_read_from_headers() -> None:
    clock = ManualClock()
    gate = Gate(LimitSettings(requests_per_minute=100, tokens_per_minute=10_000), Budget(), clock)
    for _ in range(3):
        await answered(gate, Told(HeaderLimit(60), HeaderLimit(600)), 1)
        await clock.advance(1.0)
    statistics = gate.statistics()
    assert (statistics.requests_per_minute, statistics.tokens_per_minute) == (100, 10_000)


async def test_a_told_limit_may_change_and_may_be_taken_back() -> None:
    clock = ManualClock()
    gate = Gate(LimitSettings(), Budget(), clock)
    for limit, shown in ((600, 600), (300, 300), (math.inf, None)):
        for _ in range(3):
            await answered(gate, Told(HeaderLimit(limit), HeaderLimit(limit * 100)), 1)
            await clock.advance(1.0)
        statistics = gate.statistics()
        assert statistics.requests_per_minute == shown
        assert statistics.tokens_per_minute == (shown and shown * 100)
