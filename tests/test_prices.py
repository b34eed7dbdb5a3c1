"""Prices: read exactly from what endpoints say, chosen in the contract's order, bounded by the most expensive."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from parquill.errors import UsageError
from parquill.job import PriceSettings
from parquill.prices import (
    EndpointOffer,
    Price,
    PriceSource,
    Rates,
    allowed_offers,
    choose_price,
    compare,
    max_price,
    parse_endpoints,
    parse_models,
    read_table,
    staleness,
    table_price,
    with_fallbacks,
)

GEMMA = "google/gemma-3-4b-it"
TABLE = Path(__file__).parents[1] / "data" / "prices.json"
NANO = 10**9  # atto-USD: $1 per million tokens is 1,000 of them


def _endpoint(prompt: Any = "0.00000002", completion: Any = "0.00000004", **more: Any) -> dict[str, Any]:
    pricing = {"prompt": prompt, "completion": completion, "request": "0", "image": "0", "discount": 0}
    return {
        "provider_name": "DeepInfra",
        "tag": "deepinfra/bf16",
        "context_length": 131072,
        "max_completion_tokens": 16384,
        "quantization": "bf16",
        "status": 0,
        "uptime_last_30m": 99.9,
        **more,
        "pricing": pricing | more.get("pricing", {}),
    }


def _body(*endpoints: dict[str, Any]) -> dict[str, Any]:
    return {"data": {"id": GEMMA, "endpoints": list(endpoints)}}


def _choose(*endpoints: dict[str, Any], provider: dict[str, Any] | None = None, **more: Any) -> Price | None:
    arguments: dict[str, Any] = {"job_price": None, "models_entry": None, "table": None, "endpoint_is_openrouter": True}
    offers = parse_endpoints(_body(*endpoints))
    return choose_price(offers=offers, provider=provider or {}, **(arguments | more))


def _chosen(*endpoints: dict[str, Any], **more: Any) -> Price:
    price = _choose(*endpoints, **more)
    assert price is not None
    return price


def test_an_endpoint_is_read_whole() -> None:
    [offer] = parse_endpoints(_body(_endpoint()))
    assert offer.rates == offer.ceiling == Rates(20 * NANO, 40 * NANO)
    assert (offer.provider, offer.tag, offer.quantization, offer.uptime) == (
        "DeepInfra",
        "deepinfra/bf16",
        "bf16",
        99.9,
    )
    assert (offer.context_length, offer.max_completion_tokens, offer.healthy) == (131072, 16384, True)


@pytest.mark.parametrize(
    ("written", "atto"),
    [
        ("0.00000001703", 17_030_000_000),
        ("5e-8", 50 * NANO),
        (0.00000005, 50 * NANO),
        ("0", 0),
        ("1e-18", 1),
        (" 0.5 ", 5 * 10**17),
    ],
)
def test_prices_are_exact_however_they_are_written(written: object, atto: int) -> None:
    [offer] = parse_endpoints(_body(_endpoint(prompt=written)))
    assert offer.rates.prompt == atto


def test_what_is_finer_than_an_atto_dollar_is_rounded_up() -> None:
    [offer] = parse_endpoints(_body(_endpoint(prompt="0.0000000000000000011")))
    assert offer.rates.prompt == 2


@pytest.mark.parametrize(
    "written", ["-1", None, "", "free", "NaN", "inf", True, [], "1e999999999", "1e-999999999", -0.5]
)
def test_an_offer_without_a_readable_price_is_no_offer(written: object) -> None:
    assert parse_endpoints(_body(_endpoint(prompt=written), _endpoint())) == parse_endpoints(_body(_endpoint()))


@pytest.mark.parametrize(
    "body", [None, [], {}, {"data": None}, {"data": {"endpoints": None}}, {"data": {"endpoints": [1, {}]}}]
)
def test_a_body_of_another_shape_holds_no_offers(body: object) -> None:
    assert parse_endpoints(body) == []
    assert parse_models(body, GEMMA) is None


def test_missing_fees_are_none_and_fees_that_vary_make_the_price_unknown() -> None:
    bare = _endpoint()
    del bare["pricing"]["request"], bare["pricing"]["image"]
    assert parse_endpoints(_body(bare))[0].rates == Rates(20 * NANO, 40 * NANO)
    assert parse_endpoints(_body(_endpoint(pricing={"request": "-1"}))) == []


def test_a_discount_lowers_what_is_expected_but_not_what_is_reserved() -> None:
    price = _chosen(_endpoint("0.00000004", "0.00000008", pricing={"discount": 0.25}))
    assert price.rates == Rates(30 * NANO, 60 * NANO)
    assert price.ceiling == Rates(40 * NANO, 80 * NANO)


def test_long_prompts_cost_what_their_override_says() -> None:
    overrides = [
        {"min_prompt_tokens": 1000, "prompt": "0.00000005"},
        {"min_prompt_tokens": 2000, "prompt": "0.00000009"},
    ]
    price = _chosen(_endpoint(pricing={"overrides": overrides}))
    assert [price.cost_pico(tokens, 0) for tokens in (1000, 1001, 2001)] == [20_000_000, 50_050_000, 180_090_000]
    assert price.worst_pico(100, 0) == 9_000_000


def test_an_override_by_the_hour_raises_the_ceiling_only() -> None:
    override = {"utc_start": "0800", "utc_end": "1800", "min_prompt_tokens": 1, "completion": "0.0000001"}
    price = _chosen(_endpoint(pricing={"overrides": [override]}))
    assert price.cost_pico(0, 10) == 400_000
    assert price.worst_pico(0, 10) == 1_000_000


def test_tokens_of_pictures_with_a_price_of_their_own_raise_the_ceiling() -> None:
    price = _chosen(_endpoint(pricing={"image_token": "0.00000006", "internal_reasoning": "0.0000002"}))
    assert price.ceiling == Rates(60 * NANO, 200 * NANO)
    assert price.rates == Rates(20 * NANO, 40 * NANO)


def test_fees_for_requests_and_pictures_are_part_of_the_cost() -> None:
    price = _chosen(_endpoint("0", "0", pricing={"request": "0.001", "image": "0.0005"}))
    assert price.cost_pico(500, 500, images=3) == 2_500_000_000
    assert price.worst_pico(0, 0, images=1) == 1_500_000_000


def test_the_catalogue_is_read_by_id_and_by_slug() -> None:
    entry = {
        "id": GEMMA,
        "canonical_slug": "google/gemma-3-4b-it-20250313",
        "context_length": 131072,
        "pricing": {"prompt": "0.00000005", "completion": "0.0000001"},
        "top_provider": {"max_completion_tokens": 8192},
    }
    body = {"data": [{"id": "other"}, "noise", entry]}
    for name in (GEMMA, "google/gemma-3-4b-it-20250313"):
        offer = parse_models(body, name)
        assert offer is not None
        assert (offer.rates, offer.max_completion_tokens, offer.provider) == (Rates(50 * NANO, 100 * NANO), 8192, None)
    assert parse_models(body, "other") is None
    assert parse_models(body, "missing") is None


TABLED = Price(Rates(7, 7), Rates(7, 7), PriceSource.TABLE, as_of=dt.date(2026, 1, 1))


def test_the_jobs_own_price_comes_first_and_keeps_the_endpoints_limits() -> None:
    own = PriceSettings(prompt=Decimal("0.00000001"), completion=Decimal("0.00000003"))
    price = _chosen(_endpoint(), job_price=own, table=TABLED)
    assert price.source is PriceSource.JOB
    assert price.rates == price.ceiling == Rates(10 * NANO, 30 * NANO)
    assert price.context_length == 131072
    alone = _chosen(job_price=own)
    assert (alone.rates, alone.context_length) == (price.rates, None)


def test_then_the_endpoints_then_the_catalogues_then_the_tables() -> None:
    entry = EndpointOffer(Rates(5, 5), Rates(5, 5))
    assert _chosen(_endpoint(), models_entry=entry, table=TABLED).rates.prompt == 20 * NANO
    assert _chosen(models_entry=entry, table=TABLED).rates == Rates(5, 5)
    assert _chosen(table=TABLED) is TABLED


def test_the_table_is_for_openrouter_only_and_else_the_price_is_unknown() -> None:
    assert _choose(table=TABLED, endpoint_is_openrouter=False) is None
    assert _choose() is None


def test_of_several_providers_the_most_expensive_is_reserved() -> None:
    cheap, dear = _endpoint(provider_name="A"), _endpoint("0.0000001", "0.00000002", provider_name="B", tag="b")
    price = _chosen(cheap, dear)
    assert price.ceiling == Rates(100 * NANO, 40 * NANO)
    assert price.provider == "A"


def test_routing_by_price_squared_is_what_is_expected() -> None:
    """60 and 120 nano-USD a token pair: 4 of 5 requests go to the cheaper one."""
    price = _chosen(_endpoint(), _endpoint("0.00000004", "0.00000008", provider_name="B", tag="b"))
    assert price.rates == Rates(24 * NANO, 48 * NANO)


@pytest.mark.parametrize(
    ("provider", "prompt"),
    [({"sort": "price"}, 20), ({"order": ["B"]}, 40), ({"order": ["nobody", "b"]}, 40), ({"sort": "latency"}, 30)],
)
def test_other_routing_changes_what_is_expected(provider: dict[str, Any], prompt: int) -> None:
    price = _chosen(_endpoint(), _endpoint("0.00000004", "0.00000008", provider_name="B", tag="b"), provider=provider)
    assert price.rates.prompt == prompt * NANO
    assert price.ceiling.prompt == 40 * NANO


def test_a_free_provider_is_what_is_expected() -> None:
    assert _chosen(_endpoint(), _endpoint("0", "0", tag="free")).rates == Rates(0, 0)


def test_a_provider_in_trouble_is_not_expected_but_still_reserved() -> None:
    price = _chosen(_endpoint(), _endpoint("0.0000001", "0.0000002", tag="b", status=-2))
    assert price.rates.prompt == 20 * NANO
    assert price.ceiling.prompt == 100 * NANO
    assert _chosen(_endpoint(status=-2)).rates.prompt == 20 * NANO


@pytest.mark.parametrize(
    ("provider", "tags"),
    [
        ({}, ["deepinfra/bf16", "deepinfra/turbo", "nebius"]),
        ({"only": ["deepinfra"]}, ["deepinfra/bf16", "deepinfra/turbo"]),
        ({"only": ["DeepInfra/turbo"]}, ["deepinfra/turbo"]),
        ({"ignore": ["deepinfra"]}, ["nebius"]),
        ({"order": ["nebius"]}, ["deepinfra/bf16", "deepinfra/turbo", "nebius"]),
        ({"order": ["nebius"], "allow_fallbacks": False}, ["nebius"]),
        ({"quantizations": ["fp8"]}, ["deepinfra/turbo"]),
        ({"max_price": {"prompt": "0.025", "completion": 1}}, ["deepinfra/bf16"]),
        ({"only": ["nobody"]}, []),
    ],
)
def test_only_providers_that_a_request_may_reach_count(provider: dict[str, Any], tags: list[str]) -> None:
    offers = parse_endpoints(
        _body(
            _endpoint(),
            _endpoint("0.00000003", tag="deepinfra/turbo", quantization="fp8"),
            _endpoint("0.00000009", tag="nebius", provider_name="Nebius", quantization=None),
        )
    )
    assert [offer.tag for offer in allowed_offers(offers, provider)] == tags


def test_context_and_output_limits_are_the_largest_and_unknown_where_one_states_none() -> None:
    price = _chosen(_endpoint(context_length=32768), _endpoint(tag="b", max_completion_tokens=None))
    assert (price.context_length, price.max_completion_tokens) == (131072, None)


def test_an_answer_is_priced_at_the_provider_that_gave_it() -> None:
    price = _chosen(_endpoint(), _endpoint("0.00000004", "0.00000008", provider_name="Nebius", tag="nebius/fp8"))
    assert price.for_provider("Nebius").cost_pico(100, 0) == 4_000_000
    assert price.for_provider("DeepInfra").cost_pico(100, 0) == 2_000_000
    assert price.for_provider("unheard of") == price.for_provider(None) == price
    assert price.for_provider("Nebius").ceiling == price.ceiling


def test_the_ceiling_is_named_to_the_router_in_dollars_per_million() -> None:
    assert max_price(_chosen(_endpoint("0.00000001703", "0.0000000681536"))) == {
        "prompt": "0.01703",
        "completion": "0.0681536",
    }
    assert max_price(_chosen(_endpoint("0", "0.000002"))) == {"prompt": "0", "completion": "2"}


def test_fallback_models_raise_the_ceiling_and_nothing_else() -> None:
    price = _chosen(_endpoint())
    raised = with_fallbacks(price, [_chosen(_endpoint("0.0000001", "0")), _chosen(_endpoint("0", "0.0000009"))])
    assert raised.ceiling == Rates(100 * NANO, 900 * NANO)
    assert raised.rates == price.rates
    assert with_fallbacks(price, []) == price


def test_costs_round_half_to_even_and_worst_cases_up() -> None:
    half = Price(Rates(500_000, 0), Rates(500_000, 1), PriceSource.JOB)
    assert [half.cost_pico(tokens, 0) for tokens in (1, 2, 3, 5)] == [0, 1, 2, 2]
    assert [half.worst_pico(tokens, 0) for tokens in (0, 1, 2)] == [0, 1, 1]
    assert half.worst_pico(0, 1) == 1


def test_the_projects_table_is_readable_dated_and_has_the_default_model() -> None:
    table = read_table(TABLE)
    price = table[GEMMA]
    assert price.rates == Rates(50 * NANO, 100 * NANO)
    assert len(table) >= 5
    assert all(entry.as_of is not None and entry.source is PriceSource.TABLE for entry in table.values())
    assert all(entry["source"] for entry in orjson.loads(TABLE.read_bytes())["models"])
    assert table_price(TABLE, GEMMA) == price
    assert table_price(TABLE, "missing/model") is None


def test_a_missing_table_is_empty(tmp_path: Path) -> None:
    assert read_table(tmp_path / "none.json") == {}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[", "not a price table"),
        ("{}", "the key 'models' is missing"),
        ('{"models": [{"id": "a/b", "prompt": "1e-9"}]}', "'a/b' has no readable prices"),
        ('{"models": [{"id": "a/b", "prompt": "1e-9", "completion": "1e-9"}]}', "the key 'as_of' is missing"),
        ('{"models": [{"id": "a/b", "prompt": "0", "completion": "0", "as_of": "soon"}]}', "not a price table"),
        (
            '{"models": [{"id": "a", "prompt": "0", "completion": "0", "as_of": "2026-01-01", "context_length": "x"}]}',
            "whole number",
        ),
    ],
)
def test_a_damaged_table_says_what_is_wrong(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "prices.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=complaint) as caught:
        read_table(path)
    assert str(path) in str(caught.value)


def test_a_table_older_than_ninety_days_is_said_to_be_old() -> None:
    assert staleness(TABLED, dt.date(2026, 4, 1)) is None
    said = staleness(TABLED, dt.date(2026, 4, 2))
    assert said is not None
    assert "2026-01-01, 91 days ago" in said
    assert staleness(_chosen(_endpoint()), dt.date(2030, 1, 1)) is None


def test_the_same_work_is_shown_at_every_price_the_cheapest_first() -> None:
    rows = compare(1_000_000, 100_000, read_table(TABLE), requests=1000, images=500)
    assert [row.cost_pico for row in rows] == sorted(row.cost_pico for row in rows)
    by_model = {row.model: row for row in rows}
    assert by_model[GEMMA].cost_pico == 60 * 10**9  # $0.05 + $0.01
    assert len(rows) == len(read_table(TABLE))
