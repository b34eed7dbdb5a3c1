"""The section on how the run was made: settings, price, providers, versions, output modes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from parquill.money import dollars
from parquill.report.chart_data import Bar, bars
from parquill.report.figures import OutputFigures, Pictures
from parquill.report.format import cut_text, millions, plain
from parquill.report.runs import Nights
from parquill.text import count, percent

_MOST_SETTINGS, _SETTING = 300, 600


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider's share of the work."""

    name: str
    model: str
    rows: str
    share: str
    tokens: str
    cost: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Tables of names and values, and counts."""

    settings: tuple[tuple[str, str], ...]
    price: tuple[tuple[str, str], ...]
    versions: tuple[tuple[str, str], ...]
    pictures: tuple[tuple[str, str], ...]
    providers: tuple[Provider, ...]
    finishes: tuple[Bar, ...]
    repairs: tuple[Bar, ...]
    sources: tuple[Bar, ...]


def facts(figures: OutputFigures, nights: Nights) -> Facts:
    """Return them; what only a record knows is empty where there is none."""
    record = nights.current
    return Facts(
        settings=_pairs(record.settings if record else {}),
        price=_pairs(record.price if record else {}),
        versions=_pairs(record.versions if record else {}),
        pictures=_pictures(figures.pictures),
        providers=_providers(figures),
        finishes=bars(figures.finishes),
        repairs=bars(figures.repairs, of=figures.all.rows),
        sources=bars(figures.sources),
    )


def _pictures(pictures: Pictures) -> tuple[tuple[str, str], ...]:
    if not pictures.count:
        return ()
    sizes = (("fetched or read", pictures.fetched), ("sent", pictures.sent))
    return ("opened here", count(pictures.count)), *((name, f"{size / 1e6:,.1f} MB") for name, size in sizes)


def _providers(figures: OutputFigures) -> tuple[Provider, ...]:
    total = max(1, sum(sums.rows for sums in figures.by_provider.values()))
    ordered = sorted(figures.by_provider.items(), key=lambda item: (-item[1].rows, item[0]))
    return tuple(
        Provider(
            provider, model, count(sums.rows), percent(sums.rows / total),
            millions(sums.prompt_tokens + sums.completion_tokens), dollars(sums.cost_pico),
        )
        for (provider, model), sums in ordered
    )  # fmt: skip


def _pairs(tree: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    pairs = [(key, cut_text(plain(value), _SETTING)) for key, value in _flat("", tree)]
    return tuple(pairs[:_MOST_SETTINGS])


def _flat(prefix: str, tree: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(f"{prefix}{key}.", value)
        else:
            yield f"{prefix}{key}", value
