"""The emulator's limits and accounts: what it refuses, with which words and headers."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from parquill.emulator import Misbehaviour, Spread
from parquill.emulator.account import Account
from parquill.money import PICO
from tests.clock import ManualClock
from tests.emulator_calls import MODEL, Caller, calling

USD = Decimal("0.000001")


async def statuses(caller: Caller, count: int, **more: object) -> list[int]:
    return [(await caller.ask(f"{number}", **more)).status for number in range(count)]


async def test_a_fixed_minute_begins_when_the_emulator_starts_and_ends_60_seconds_later():
    clock = ManualClock()
    async with calling(clock, requests_per_minute=3) as caller:
        await clock.advance(50)
        assert await statuses(caller, 5) == [200, 200, 200, 429, 429]
        await clock.advance(9.9)
        assert await statuses(caller, 1) == [429]
        await clock.advance(0.1)
        assert await statuses(caller, 4) == [200, 200, 200, 429]


async def test_the_phase_of_a_fixed_minute_can_be_shifted():
    clock = ManualClock()
    async with calling(clock, requests_per_minute=1, window_phase=45) as caller:
        assert await statuses(caller, 2) == [200, 429]
        await clock.advance(15)
        assert await statuses(caller, 2) == [200, 429]


async def test_a_sliding_minute_frees_each_request_60_seconds_after_it_came():
    clock = ManualClock()
    async with calling(clock, requests_per_minute=2, window="sliding") as caller:
        assert await statuses(caller, 1) == [200]
        await clock.advance(30)
        assert await statuses(caller, 2) == [200, 429]
        await clock.advance(30)
        assert await statuses(caller, 2) == [200, 429]


async def test_its_own_429_has_rate_limit_headers_with_the_reset_in_epoch_milliseconds():
    clock = ManualClock(wall=1_790_000_000.0)
    async with calling(clock, requests_per_minute=1) as caller:
        await clock.advance(20)
        await caller.ask()
        reply = await caller.ask()
    assert reply.status == reply.error["code"] == 429
    assert reply.headers["X-RateLimit-Limit"] == "1" and reply.headers["X-RateLimit-Remaining"] == "0"
    assert reply.headers["X-RateLimit-Reset"] == str(1_790_000_060 * 1000)
    assert reply.error["metadata"]["headers"]["X-RateLimit-Reset"] == reply.headers["X-RateLimit-Reset"]
    assert "Retry-After" not in reply.headers


async def test_an_upstream_429_has_retry_after_and_the_providers_words():
    clock = ManualClock()
    async with calling(clock, requests_per_minute=1, limit_form="upstream") as caller:
        await clock.advance(50.5)
        await caller.ask()
        reply = await caller.ask()
    assert reply.headers["Retry-After"] == "10" and "X-RateLimit-Reset" not in reply.headers
    assert reply.error["message"] == "Provider returned error"
    assert "rate-limited upstream" in reply.error["metadata"]["raw"]
    assert reply.error["metadata"]["limit_source"] == "upstream_provider_shared_pool"


async def test_a_good_reply_carries_no_limit_headers():
    async with calling(requests_per_minute=9) as caller:
        assert not [name for name in (await caller.ask()).headers if "ratelimit" in name.lower()]


async def test_a_good_reply_tells_the_limits_as_openai_and_litellm_do_where_that_is_asked_for():
    clock = ManualClock()
    async with calling(clock, requests_per_minute=9, tokens_per_minute=2_500, limit_headers="openai") as caller:
        await clock.advance(20)
        said = (await caller.ask()).headers
        assert (said["x-ratelimit-limit-requests"], said["x-ratelimit-remaining-requests"]) == ("9", "8")
        assert said["x-ratelimit-limit-tokens"] == "2500"
        assert 0 < int(said["x-ratelimit-remaining-tokens"]) < 2_500
        assert said["x-ratelimit-reset-requests"] == "40.000s"
    async with calling(clock, requests_per_minute=9, limit_headers="litellm") as caller:
        said = (await caller.ask()).headers
        assert said["x-ratelimit-limit-requests"] == "9"
        assert not {"x-ratelimit-reset-requests", "x-ratelimit-limit-tokens"} & {name.lower() for name in said}


async def test_tokens_are_counted_as_used_or_as_worst_case():
    for counted, weight in (("used", 60), ("worst", 1010)):
        clock = ManualClock()
        async with calling(clock, tokens_per_minute=2_500, tokens_counted=counted) as caller:
            passed = (await statuses(caller, 60, max_tokens=1000)).count(200)
        assert 2_500 / weight / 1.5 < passed <= 2_500 / weight * 1.5, (counted, passed)


async def test_a_failed_request_uses_up_the_limit_as_a_good_one_does():
    clock = ManualClock()
    async with calling(clock, requests_per_minute=2) as caller:
        caller.emulator.plan(Misbehaviour.SERVER_ERROR, Misbehaviour.BAD_GATEWAY)
        assert await statuses(caller, 3) == [500, 502, 429]


async def test_refused_requests_count_only_when_asked_to():
    for count_rejected, after in ((False, [200]), (True, [429])):
        clock = ManualClock()
        async with calling(clock, requests_per_minute=1, window="sliding", count_rejected=count_rejected) as caller:
            await caller.ask()
            await clock.advance(40)
            await caller.ask()
            await clock.advance(20)
            assert await statuses(caller, 1) == after


async def test_limits_can_change_while_it_runs():
    async with calling(requests_per_minute=1) as caller:
        assert await statuses(caller, 2) == [200, 429]
        caller.emulator.set_limits(requests_per_minute=3)
        assert await statuses(caller, 3) == [200, 200, 429]
        caller.emulator.set_limits(requests_per_minute=None)
        assert await statuses(caller, 2) == [200, 200]


async def test_free_models_have_a_minute_and_a_day():
    clock = ManualClock(wall=1_790_035_200.0 + 3600)
    free = {"models": [f"{MODEL}:free"], "model": None}
    async with calling(clock, models=(MODEL, f"{MODEL}:free"), free_requests_per_day=25) as caller:
        assert (await statuses(caller, 21, **free)).count(200) == 20
        minute = await caller.ask(**free)
        assert "free-models-per-min" in minute.error["message"]
        await clock.advance(60)
        assert await statuses(caller, 4, **free) == [200, 200, 200, 429]
        day = await caller.ask(**free)
        assert day.error["metadata"]["limit_source"] == "openrouter_free_tier_daily"
        assert "Add 10 credits" in day.error["message"] and day.headers["X-RateLimit-Reset"] == "1790121600000"
        assert (await caller.get("/key")).json["data"]["free_model_daily_requests"]["remaining"] == 0
        assert (await caller.ask()).status == 200
        await clock.advance(86_400)
        assert await statuses(caller, 1, **free) == [200]
        assert caller.emulator.stats().billed_pico > 0


async def test_requests_beyond_the_concurrency_are_429s_and_the_peak_is_kept():
    clock = ManualClock()
    async with calling(clock, max_concurrent=3, latency=Spread(5.0)) as caller:
        running = [asyncio.create_task(caller.ask(f"{number}")) for number in range(5)]
        done, waiting = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        while len(done) < 2:
            more, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            done |= more
        assert [task.result().status for task in done] == [429, 429]
        assert caller.emulator.stats().running == 3
        await clock.advance(5)
        assert [reply.status for reply in await asyncio.gather(*waiting)] == [200, 200, 200]
        assert caller.emulator.stats().running == 0


async def test_litellms_429s_and_its_tokens_that_count_with_the_answer():
    clock = ManualClock()
    form = {"limit_form": "litellm", "tokens_counted": "answered", "limit_headers": "litellm"}
    async with calling(clock, max_concurrent=2, tokens_per_minute=50, latency=Spread(5.0), **form) as caller:
        running = [asyncio.create_task(caller.ask(f"{number}")) for number in range(3)]
        (refused,), waiting = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        reply = refused.result()
        assert (reply.status, reply.error["type"]) == (429, "throttling_error")
        assert "max_parallel_requests=2 requests in flight" in reply.error["message"]
        assert not {"retry-after", "llm_provider-retry-after"} & {name.lower() for name in reply.headers}
        await clock.advance(5)
        answered = await asyncio.gather(*waiting)
        assert [reply.status for reply in answered] == [200, 200], "both were let in before either had counted"
        used = sum(reply.json["usage"]["total_tokens"] for reply in answered)
        left = min(int(reply.headers["x-ratelimit-remaining-tokens"]) for reply in answered)
        assert left == max(0, 50 - used)
        late = await caller.ask("late")
        assert (late.status, late.headers["llm_provider-retry-after"]) == (429, "60")
        assert "No deployments available" in late.error["message"]


async def test_without_a_known_key_it_is_a_401():
    async with calling(api_keys=("sk-good",)) as caller:
        assert caller.emulator.api_key == "sk-good"
        for key, status in (("sk-good", 200), ("sk-bad", 401), (None, 401)):
            reply = await caller.ask(key=key)
            assert reply.status == status
            assert (await caller.get("/key", key=key)).status == status
        caller.emulator.revoke_key()
        assert (await caller.ask(key="sk-good")).error["message"] == "Invalid credentials"


async def test_any_key_will_do_and_none_is_needed_when_none_is_named():
    async with calling() as caller:
        assert (await caller.ask(key="whatever")).status == 200
        assert (await caller.ask(key=None)).status == 200
        assert (await caller.get("/key", key=None)).status == 200
        caller.emulator.revoke_key()
        assert (await caller.ask(key=None)).status == 401


async def test_spent_credit_is_a_final_402_and_more_credit_goes_on():
    async with calling(credit_usd=100 * USD) as caller:
        seen = await statuses(caller, 100, max_tokens=64)
        assert seen[0] == 200 and seen[-1] == 402 and sorted(seen) == seen
        spent = caller.emulator.stats().billed_pico
        assert spent <= int(100 * USD * PICO)
        caller.emulator.set_credit(Decimal(spent) / PICO)
        reply = await caller.ask()
        assert reply.error["message"].startswith("Insufficient credits") and "Retry-After" not in reply.headers
        caller.emulator.set_credit(None)
        assert (await caller.ask()).status == 200


async def test_one_request_that_is_dearer_than_the_credit_names_what_can_be_afforded():
    async with calling(credit_usd=10 * USD) as caller:
        reply = await caller.ask(max_tokens=10_000)
    assert reply.status == 402 and reply.error["metadata"]["reason"] == "weight_exceeds_budget"
    assert "can only afford" in reply.error["message"]


async def test_the_in_flight_budget_is_a_passing_402_that_settles():
    clock = ManualClock()
    async with calling(clock, in_flight_budget_usd=30 * USD, latency=Spread(5.0)) as caller:
        first = asyncio.create_task(caller.ask(max_tokens=500))
        while not caller.emulator.stats().running:
            await asyncio.sleep(0)
        second = await caller.ask(max_tokens=500)
        assert second.status == 402 and second.headers["Retry-After"] == "1"
        assert second.error["metadata"]["limit_source"] == "openrouter_in_flight_budget"
        await clock.advance(5)
        assert (await first).status == 200
        third = asyncio.create_task(caller.ask(max_tokens=500))
        while not caller.emulator.stats().running:
            await asyncio.sleep(0)
        await clock.advance(5)
        assert (await third).status == 200


async def test_a_spent_key_is_a_402_and_a_spent_guardrail_a_403():
    for setting, status, source in (
        ("key_limit_usd", 402, "openrouter_key_limit"),
        ("guardrail_usd", 403, "openrouter_guardrail_budget"),
    ):
        async with calling(**{setting: USD}) as caller:
            assert (await caller.ask()).status == 200
            reply = await caller.ask()
            key = (await caller.get("/key")).json["data"]
        assert reply.status == status and reply.error["metadata"]["limit_source"] == source
        left = key["limit_remaining"] if status == 402 else key["effective_budget"]["remaining_usd"]
        assert left < 0


async def test_key_credits_and_generation_agree_with_the_bill():
    async with calling(credit_usd=Decimal(5), management_key=True) as caller:
        body = (await caller.ask()).json
        key = (await caller.get("/key")).json["data"]
        credit = (await caller.get("/credits")).json["data"]
        generation = (await caller.get(f"/generation?id={body['id']}")).json["data"]
    assert key["usage"] == credit["total_usage"] == generation["total_cost"] == body["usage"]["cost"]
    assert credit["total_credits"] == 5.0 and key["label"].startswith("key-")
    assert generation["native_tokens_prompt"] == body["usage"]["prompt_tokens"]
    assert generation["provider_name"] == "emulator"


async def test_credits_want_a_management_key():
    async with calling() as caller:
        assert (await caller.get("/credits")).status == 403


async def test_a_generation_is_not_known_at_once_nor_when_it_never_was():
    clock = ManualClock()
    async with calling(clock, generation_delay=3) as caller:
        path = f"/generation?id={(await caller.ask()).json['id']}"
        assert (await caller.get(path)).status == 404
        await clock.advance(3)
        assert (await caller.get(path)).status == 200
        assert (await caller.get("/generation?id=gen-0")).status == 404


def test_what_is_said_of_a_key_never_contains_it():
    from parquill.emulator import EmulatorSettings

    account = Account(lambda: EmulatorSettings(api_keys=("sk-or-v1-secret",)), ManualClock())
    assert "secret" not in account.authorize("Bearer sk-or-v1-secret")


async def test_an_unknown_limit_is_refused():
    async with calling() as caller:
        with pytest.raises(Exception, match="requests_per_hour"):
            caller.emulator.set_limits(requests_per_hour=3)
