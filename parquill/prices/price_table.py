"""The price table that comes with the project: `data/prices.json`, dated entry by entry.

    {"unit": "USD per token", "models": [{"id", "prompt", "completion", "request"?, "image"?,
     "context_length"?, "max_completion_tokens"?, "as_of": "YYYY-MM-DD", "source"}]}

Used for OpenRouter when it does not state a price itself, and to show the same work at other
prices. A table ages: entries older than `STALE_DAYS` are used but said to be old.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from parquill.errors import UsageError
from parquill.prices.price import Price, PriceSource
from parquill.prices.rates import parse_rates

STALE_DAYS = 90


@dataclass(frozen=True, slots=True)
class CostRow:
    """The same work at one model's price: cost in pico-USD, and how old that price is."""

    model: str
    cost_pico: int
    as_of: dt.date | None


def read_table(path: Path) -> dict[str, Price]:
    """Read the table: model id to price. An absent file is an empty table.

    Raises `UsageError` naming the file and the entry that cannot be used.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UsageError(f"{path}: the price table cannot be read: {error.strerror}") from error
    try:
        models = orjson.loads(raw)["models"]
        return {str(entry["id"]): _price(entry) for entry in models}
    except (KeyError, TypeError, ValueError) as error:
        detail = f"the key {error} is missing" if isinstance(error, KeyError) else str(error)
        raise UsageError(f"{path}: not a price table: {detail}") from error


def table_price(path: Path, model: str) -> Price | None:
    """The table's price of `model`, or None where it has none. Raises `UsageError` as `read_table`."""
    return read_table(path).get(model)


def staleness(price: Price, today: dt.date) -> str | None:
    """Say how old a table's price is once it is older than `STALE_DAYS`; None while it is fresh."""
    if price.source is not PriceSource.TABLE or price.as_of is None:
        return None
    age = (today - price.as_of).days
    if age <= STALE_DAYS:
        return None
    return f"the price comes from the table and was last checked on {price.as_of}, {age} days ago; set model.price"


def compare(
    prompt_tokens: int, completion_tokens: int, table: Mapping[str, Price], *, requests: int = 0, images: int = 0
) -> list[CostRow]:
    """The same work at every price of the table, the cheapest first.

    Tokens are totals over all rows; another model's tokenizer would count them differently, by
    10 to 30 % for prose, which no price table can say.
    """
    rows: list[CostRow] = []
    for model, price in table.items():
        rates = price.rates
        atto = rates.prompt * prompt_tokens + rates.completion * completion_tokens
        atto += rates.request * requests + rates.image * images
        rows.append(CostRow(model, atto // 10**6, price.as_of))
    return sorted(rows, key=lambda row: (row.cost_pico, row.model))


def _price(entry: Mapping[str, Any]) -> Price:
    rates = parse_rates(entry)
    if rates is None:
        raise ValueError(f"{entry['id']!r} has no readable prices `prompt` and `completion`")
    return Price(
        rates=rates,
        ceiling=rates,
        source=PriceSource.TABLE,
        as_of=dt.date.fromisoformat(entry["as_of"]),
        context_length=_limit(entry, "context_length"),
        max_completion_tokens=_limit(entry, "max_completion_tokens"),
    )


def _limit(entry: Mapping[str, Any], key: str) -> int | None:
    value: Sequence[Any] | int | None = entry.get(key)
    if value is not None and not isinstance(value, int):
        raise ValueError(f"{entry['id']!r}: {key} is not a whole number")
    return value
