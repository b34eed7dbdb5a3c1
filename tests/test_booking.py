"""The one booking rule: the table of docs/booking.md, row by row, and what holds for every reply."""

from __future__ import annotations

import itertools
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parquill.booking import Booking, Reason, Request, book
from parquill.emulator import Misbehaviour
from parquill.prices import Price, PriceSource, Rates, choose_price, parse_endpoints, parse_models
from parquill.replies import Exchange, classify
from parquill.results import CostSource
from tests.emulator_calls import MODEL, TYPED, calling

TABLE = Path(__file__).parents[1] / "docs" / "booking.md"
ROW = re.compile(r"^\| (.+?) \| `(.+)` \| ([\d.]+) \| (\w+) \| (\w+) \|$", re.M)
CHOICE = '{"index": 0, "finish_reason": "stop", "message": {"content": "a cat"}}'

RATES = Rates(prompt=10**12, completion=2 * 10**12)
PRICE = Price(RATES, RATES, PriceSource.JOB)
REQUEST = Request(worst_pico=PRICE.worst_pico(100, 50), images=0)


def exchange(said: str) -> Exchange:
    """Read a reply as the table writes it: how it broke, or a status and a body."""
    if said == "not sent":
        return Exchange(0, {}, b"", 1, "connection", sent=False, detail="nothing listens")
    if said in ("timeout", "connection", "certificate"):
        return Exchange(0, {}, b"", 1, said, sent=said != "certificate", detail="gone")  # type: ignore[arg-type]  # a fault by its name
    status, _, body = said.partition(" ")
    return Exchange(int(status), {}, body.replace("[C]", f"[{CHOICE}]").encode(), 1)


def booked(said: str | Exchange, price: Price | None = PRICE) -> Booking:
    return book(REQUEST, classify(exchange(said) if isinstance(said, str) else said), price)


CASES = [pytest.param(*row[1:], id=row[0]) for row in ROW.findall(TABLE.read_text(encoding="utf-8"))]


def test_the_whole_table_is_read() -> None:
    lines = [line for line in TABLE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    assert len(CASES) == len(lines) - 1 >= 40


@pytest.mark.parametrize(("reply", "usd", "source", "reason"), CASES)
def test_each_reply_is_booked_as_the_table_says(reply: str, usd: str, source: str, reason: str) -> None:
    booking = booked(reply)
    assert booking.cost_pico is not None
    assert (Decimal(booking.cost_pico).scaleb(-12), booking.source, booking.reason) == (Decimal(usd), source, reason)
    unpriced = booked(reply, None)
    told = reason in ("told", "nothing")
    assert (unpriced.cost_pico, unpriced.source) == ((booking.cost_pico, source) if told else (None, "unknown"))


def test_the_part_that_the_users_own_provider_bills_is_told_apart() -> None:
    usage: dict[str, Any] = {"prompt_tokens": 20, "completion_tokens": 5, "cost": 2e-6}
    usage |= {"is_byok": True, "cost_details": {"upstream_inference_cost": 3e-5}}
    body = f'200 {{"choices": [C], "usage": {json.dumps(usage)}}}'
    assert (booked(body).cost_pico, booked(body).upstream_pico) == (32_000_000, 30_000_000)
    assert booked(body.replace("true", "false")).upstream_pico is None


def test_tokens_of_a_reply_that_names_no_provider_cost_what_the_most_expensive_one_asks() -> None:
    offers = parse_endpoints(
        {
            "data": {
                "endpoints": [
                    {"provider_name": name, "tag": name, "pricing": {"prompt": price, "completion": price}}
                    for name, price in (("Cheap", "0.000001"), ("Dear", "0.000009"))
                ]
            }
        }
    )
    price = choose_price(None, offers, None, None, endpoint_is_openrouter=True, provider={})
    assert price is not None
    body: dict[str, Any] = {"choices": [json.loads(CHOICE)], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}
    costs = {}
    for provider in ("Cheap", "Dear", None, "Elsewhere"):
        raw = json.dumps({**body, "provider": provider}).encode()
        costs[provider] = booked(Exchange(200, {}, raw, 1), price).cost_pico
    assert costs == {"Cheap": 2_000_000, "Dear": 18_000_000, None: 18_000_000, "Elsewhere": 18_000_000}


TOKENS = st.integers(0, 400)
PICO = st.integers(0, 10**9)


@st.composite
def billed_replies(draw: st.DrawFn) -> tuple[Exchange, int, bool]:
    """Draw a reply as an endpoint makes it: with what its own log billed, and whether the reply tells that.

    The log prices prompt, completion and thinking by the list; the reply then hides, moves or misspells some of it.
    """
    prompt, completion, thinking = draw(st.integers(1, 100)), draw(st.integers(1, 50)), draw(st.just(0) | TOKENS)
    own_key, fee = draw(st.booleans()), draw(st.just(0) | PICO)
    listed = prompt * 10**6 + (completion + thinking) * 2 * 10**6
    total = prompt + completion + thinking
    style = draw(st.sampled_from(["inside", "total", "details"])) if thinking else "inside"
    shown = completion + thinking if style == "inside" else completion
    usage: dict[str, Any] = {"prompt_tokens": prompt, "completion_tokens": shown}
    if style == "total" or draw(st.booleans()):
        usage["total_tokens"] = total
    if style == "details":
        usage["completion_tokens_details"] = {"reasoning_tokens": completion + thinking}
        usage["completion_tokens"] = 0
    told = draw(st.booleans())
    billed = listed
    if told:
        usage["cost"] = float(Decimal(fee if own_key else listed).scaleb(-12))
        usage["is_byok"] = own_key
        usage["cost_details"] = {"upstream_inference_cost": float(Decimal(listed).scaleb(-12))}
        billed = listed + fee if own_key else listed
    elif "total_tokens" in usage and style == "inside" and draw(st.booleans()):
        del usage[draw(st.sampled_from(["prompt_tokens", "completion_tokens"]))]
    bounded = completion + thinking <= 50 and billed == listed  # max_tokens was kept, and there is no fee on top
    hidden = bounded and draw(st.booleans())
    finish = draw(st.sampled_from(["stop", "length", "error", "SAFETY", None, "odd"]))
    text = draw(st.sampled_from(["a cat", "", None, "half \ud83d"]))
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text}}
    body: dict[str, Any] = {"id": "gen-1", "model": "m", "choices": draw(st.sampled_from([[choice], [], None]))}
    body |= draw(st.sampled_from([{}, {"timings": float("nan")}, {"status": "queued"}]))
    if not hidden:
        body["usage"] = usage
    if draw(st.booleans()):
        body = {"result": body, "success": True} if body["choices"] else body
    raw = json.dumps(body)
    if draw(st.booleans()) and body.get("choices") and "result" not in body:
        raw = _streamed(body)
    data = draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + raw.encode() + draw(st.sampled_from([b"", b"\0", b"\n{}"]))
    if hidden and draw(st.booleans()):
        data = data[: len(data) // 2]
    return Exchange(draw(st.sampled_from([200, 201, 202])), {}, data, 1), billed, told and not hidden


def _streamed(body: dict[str, Any]) -> str:
    (choice,) = body["choices"]
    text = choice["message"]["content"] or ""
    head = {"id": body["id"], "model": body["model"]}
    deltas: list[dict[str, Any]] = [{"index": 0, "delta": {"content": piece}} for piece in (text[:2], text[2:])]
    deltas[1]["finish_reason"] = choice["finish_reason"]
    events = [{**head, "choices": [delta]} for delta in deltas]
    if "usage" in body:
        events.append({**head, "choices": [], "usage": body["usage"]})
    return ": wait\n\n" + "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"


@given(billed_replies())
def test_never_less_is_booked_than_the_endpoints_log_billed_and_exactly_that_where_it_told(
    drawn: tuple[Exchange, int, bool],
) -> None:
    reply, billed, told = drawn
    booking = booked(reply)
    assert booking.cost_pico is not None
    assert booking.cost_pico >= billed
    if told:
        assert booking.cost_pico == billed


async def test_no_reply_of_the_emulator_is_booked_below_its_bill_and_none_otherwise_where_it_tells() -> None:
    """Every kind of misbehaviour, plain and with JSON, read as a reply and as an unrequested event stream."""
    async with calling(stall_seconds=0.01, drip_seconds=0.001) as caller:
        listed = parse_models((await caller.get("/models")).json, MODEL)
        price = choose_price(None, [], listed, None, endpoint_is_openrouter=False, provider={})
        assert price is not None
        request = Request(price.worst_pico(1000, 256), images=0)
        for kind, streamed, typed in itertools.product((None, *Misbehaviour), (False, True), ({}, TYPED)):
            before = caller.emulator.stats().billed_pico
            caller.emulator.plan(kind)
            try:
                answer = await caller.ask(f"{kind} {streamed}", stream=streamed, **typed)
                seen = Exchange(answer.status, answer.headers, answer.raw, 1)
            except aiohttp.ClientError:
                seen = Exchange(0, {}, b"", 1, "connection")
            booking = book(request, classify(seen), price)
            billed = caller.emulator.stats().billed_pico - before
            assert booking.cost_pico is not None
            assert booking.cost_pico >= billed, kind
            if booking.reason is Reason.TOLD:
                assert booking.cost_pico == billed, kind


@pytest.mark.parametrize("counts", [(None, 5), (20, None), (None, None)])
def test_tokens_of_which_a_part_is_unknown_are_unknown_in_all(counts: tuple[int | None, int | None]) -> None:
    assert Booking(0, CostSource.ENDPOINT, *counts).tokens is None
    assert Booking(0, CostSource.ENDPOINT, 20, 5).tokens == 25
