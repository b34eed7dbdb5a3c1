"""What the emulator does wrong on purpose, and what it charges for it."""

from __future__ import annotations

import asyncio
import hashlib
import json

import aiohttp
import pytest

from parquill.emulator import PROFILES, EmulatorSettings, Misbehaviour, Spread, iter_log
from parquill.emulator.misbehaviour import BILLED, Fates
from parquill.errors import UsageError
from tests.clock import ManualClock
from tests.emulator_calls import TYPED, Caller, Reply, calling

M = Misbehaviour

ERRORS = {
    M.TIMEOUT: 408,
    M.SERVER_ERROR: 500,
    M.BAD_GATEWAY: 502,
    M.UNAVAILABLE: 503,
    M.GATEWAY_TIMEOUT: 504,
    M.EDGE_TIMEOUT: 524,
    M.OVERLOADED: 529,
    M.UPSTREAM_LIMIT: 429,
    M.MODERATED: 403,
    M.GUARDRAIL: 403,
}


async def meet(caller: Caller, kind: M, **more: object) -> Reply:
    caller.emulator.plan(kind)
    return await caller.ask(**{**TYPED, **more})


@pytest.mark.parametrize("kind", ERRORS)
async def test_errors_have_their_status_and_openrouters_body(kind):
    async with calling() as caller:
        reply = await meet(caller, kind)
    assert reply.status == reply.error["code"] == ERRORS[kind]
    assert reply.error["message"] and reply.headers["X-Generation-Id"]


async def test_a_moderated_request_names_reasons_and_a_guardrail_its_patterns():
    async with calling() as caller:
        moderated = await meet(caller, M.MODERATED, messages=[{"role": "user", "content": "bad " * 99}])
        guarded = await meet(caller, M.GUARDRAIL)
    assert moderated.error["metadata"]["reasons"] and len(moderated.error["metadata"]["flagged_input"]) <= 100
    assert guarded.error["metadata"]["patterns"]


async def test_a_200_may_hold_an_error_in_many_forms():
    async with calling() as caller:
        assert (await meet(caller, M.ERROR_IN_200)).error["code"] == 502
        assert isinstance((await meet(caller, M.ERROR_STRING)).error, str)
        assert "detail" in (await meet(caller, M.ERROR_DETAIL)).json
        assert (await meet(caller, M.ERROR_LIST)).json[0]["error"]["code"] == 503
        assert not (await meet(caller, M.EMPTY_CHOICES)).json["choices"]
        partial = (await meet(caller, M.PARTIAL_ERROR)).json["choices"][0]
        assert partial["finish_reason"] == "error" and partial["message"]["content"] and partial["error"]
        empty = (await meet(caller, M.NULL_CONTENT)).json
        assert empty["choices"][0]["message"]["content"] is None and empty["usage"]["completion_tokens"] == 0
        assert caller.emulator.stats().billed_pico == round(empty["usage"]["cost"] * 10**12)


async def test_bodies_can_be_pages_or_halves():
    async with calling() as caller:
        page = await meet(caller, M.HTML)
        half = await meet(caller, M.TRUNCATED_BODY)
    assert page.status == 502 and page.raw.startswith(b"<html>") and "text/html" in page.headers["Content-Type"]
    assert half.status == 200
    with pytest.raises(json.JSONDecodeError):
        half.json  # noqa: B018 - reading it is the point


async def test_usage_can_be_missing_or_negative_and_is_charged_all_the_same():
    async with calling() as caller:
        good = (await caller.ask(**TYPED)).json["usage"]["cost"]
        assert "usage" not in (await meet(caller, M.NO_USAGE)).json
        assert (await meet(caller, M.NEGATIVE_USAGE)).json["usage"]["cost"] < 0
        assert caller.emulator.stats().billed_pico == round(3 * good * 10**12)


async def test_loops_run_until_max_tokens_and_are_charged_for_them():
    async with calling() as caller:
        for kind in (M.WHITESPACE_LOOP, M.PHRASE_LOOP):
            body = (await meet(caller, kind, max_tokens=200)).json
            assert body["choices"][0]["finish_reason"] == "length"
            assert body["usage"]["completion_tokens"] == 200
        assert not body["choices"][0]["message"]["content"].isspace()


async def test_json_can_be_wrapped_fenced_or_have_a_comma_too_many():
    async with calling() as caller:
        good = (await caller.ask(**TYPED)).text
        prose = (await meet(caller, M.PROSE_AROUND)).text
        fenced = (await meet(caller, M.FENCED)).text
        comma = (await meet(caller, M.TRAILING_COMMA)).text
    assert good in prose and not prose.startswith("{")
    assert fenced == f"```json\n{good}\n```"
    assert comma == good[:-1] + ",}"


async def test_plain_text_is_never_fenced():
    async with calling() as caller:
        caller.emulator.plan(M.FENCED)
        assert (await caller.ask()).text.startswith("[simulated]")
        assert caller.emulator.stats().by_kind == {}


@pytest.mark.parametrize("kind", [M.RESET_EARLY, M.RESET_LATE])
async def test_connections_are_reset_before_or_in_the_middle_of_the_body(kind, tmp_path):
    async with calling(log_path=tmp_path / "bill") as caller:
        with pytest.raises(aiohttp.ClientError):
            await meet(caller, kind)
        assert (await caller.ask()).status == 200
    first = next(iter_log(tmp_path / "bill"))
    assert first.kind == kind and (first.cost_pico > 0) == (kind == M.RESET_LATE)


async def test_a_stall_is_charged_and_ends_without_a_reply(tmp_path):
    clock = ManualClock()
    async with calling(clock, log_path=tmp_path / "bill", stall_seconds=30) as caller:
        caller.emulator.plan(M.STALL)
        asking = asyncio.create_task(caller.ask())
        while not caller.emulator.stats().billed_pico:
            await asyncio.sleep(0)
        assert not asking.done()
        await clock.advance(30)
        with pytest.raises(aiohttp.ClientError):
            await asking
    (entry,) = iter_log(tmp_path / "bill")
    assert (entry.status, entry.kind) == (0, "stall") and entry.cost_pico > 0


async def test_a_slow_drip_brings_the_whole_answer_in_the_end():
    async with calling(drip_seconds=0.05) as caller:
        good, slow = await caller.ask(), await meet(caller, M.SLOW_DRIP, response_format=None)
    assert slow.json["choices"][0]["finish_reason"] == good.json["choices"][0]["finish_reason"]


async def test_only_the_kinds_that_are_said_to_be_billed_are(tmp_path):
    clock = ManualClock()
    async with calling(clock, log_path=tmp_path / "bill", drip_seconds=0.0, stall_seconds=0.0) as caller:
        for kind in Misbehaviour:
            asking = asyncio.create_task(meet(caller, kind))
            while not asking.done():
                await clock.advance(0)
                await asyncio.wait([asking], timeout=0.001)
            asking.exception()
    entries = list(iter_log(tmp_path / "bill"))
    assert [entry.kind for entry in entries] == list(Misbehaviour)
    assert {entry.kind for entry in entries if entry.cost_pico} == BILLED


async def test_a_client_that_leaves_is_charged_all_the_same():
    clock = ManualClock()
    async with calling(clock, latency=Spread(9.0)) as caller:
        asking = asyncio.create_task(caller.ask())
        while not caller.emulator.stats().billed_pico:
            await asyncio.sleep(0)
        asking.cancel()
        await clock.advance(9)
        while caller.emulator.stats().running:
            await asyncio.sleep(0)
        assert caller.emulator.stats().answered == 1


async def test_a_fallback_model_answers_when_the_first_ones_provider_fails(tmp_path):
    async with calling(log_path=tmp_path / "bill") as caller:
        reply = await meet(caller, M.OVERLOADED, models=["google/gemma-3-12b-it"])
    assert reply.status == 200 and reply.json["model"] == "google/gemma-3-12b-it"
    assert [entry.model for entry in iter_log(tmp_path / "bill")] == ["google/gemma-3-12b-it"]


async def test_streams_can_break_too():
    async with calling() as caller:
        partial = (await meet(caller, M.PARTIAL_ERROR, stream=True)).raw.decode()
        half = (await meet(caller, M.TRUNCATED_BODY, stream=True)).raw.decode()
        error = (await meet(caller, M.ERROR_IN_200, stream=True)).raw.decode()
        with pytest.raises(aiohttp.ClientError):
            await meet(caller, M.RESET_LATE, stream=True)
    assert '"finish_reason":"error"' in partial and "[DONE]" not in partial
    assert "[DONE]" not in half and "Provider returned error" in error


async def test_fates_follow_the_seed_and_not_the_order_of_arrival():
    bodies = [hashlib.sha256(bytes([number])).digest() for number in range(200)]
    odds = PROFILES["broken"]["misbehaviour"]

    def fates(order: list[bytes], seed: int = 5) -> dict[bytes, list[M | None]]:
        drawn, decided = Fates(seed), {}
        for body in order:
            decided.setdefault(body, []).append(drawn.decide(body, odds).kind)
        return decided

    forward, backward = fates(bodies + bodies), fates((bodies + bodies)[::-1])
    assert forward == backward != fates(bodies + bodies, seed=6)
    firsts = [kinds[0] for kinds in forward.values()]
    assert 0.3 < sum(kind is not None for kind in firsts) / len(firsts) < 0.6
    sticky = {body for body, kinds in forward.items() if kinds[0] == M.MODERATED}
    assert all(forward[body][1] == M.MODERATED for body in sticky)
    assert firsts != [kinds[1] for kinds in forward.values()]


async def test_planned_fates_come_in_order_and_then_end():
    async with calling() as caller:
        caller.emulator.plan(M.SERVER_ERROR, None, M.BAD_GATEWAY)
        assert [(await caller.ask()).status for _ in range(4)] == [500, 200, 502, 200]


def test_every_profile_is_valid_and_an_unknown_one_names_them():
    for name in PROFILES:
        assert EmulatorSettings.of_profile(name, seed=3).seed == 3
    assert EmulatorSettings.of_profile("calm") == EmulatorSettings()
    assert set(EmulatorSettings.of_profile("broken").misbehaviour) == set(Misbehaviour)
    with pytest.raises(UsageError, match="calm, busy, stormy, broken"):
        EmulatorSettings.of_profile("clam")


async def test_odds_can_change_while_it_runs():
    async with calling() as caller:
        caller.emulator.set_misbehaviour({M.SERVER_ERROR: 1.0})
        assert (await caller.ask()).status == 500
        caller.emulator.set_misbehaviour({})
        assert (await caller.ask()).status == 200


async def test_a_later_run_on_the_same_log_goes_on_with_the_fates(tmp_path):
    odds = dict.fromkeys((M.SERVER_ERROR, M.BAD_GATEWAY, M.OVERLOADED, M.TIMEOUT), 0.1)

    async def seen(path, tries: int) -> list[int]:
        async with calling(log_path=path, misbehaviour=odds) as caller:
            return [(await caller.ask()).status for _ in range(tries)]

    whole = await seen(tmp_path / "one", 40)
    assert await seen(tmp_path / "two", 15) + await seen(tmp_path / "two", 25) == whole
    assert len(set(whole)) > 2
