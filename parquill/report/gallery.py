"""The gallery: sampled rows as cards, each with its pictures, prompt, typed answer and cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from parquill.money import dollars
from parquill.report.figures import Collected
from parquill.report.format import Shown, cut_text, pico_of, plain, seconds_words, shown, shown_answer
from parquill.report.shown_rows import ODDITIES, Card
from parquill.report.thumbnails import Thumbnail
from parquill.text import count

PromptFor = Callable[[Mapping[str, Any]], str | None]
"""A row of the output -> the text that was asked, or None where it cannot be told."""

_PROMPT, _KEPT = 1_500, 400
_MOST_KEPT = 6


@dataclass(frozen=True, slots=True)
class ShownCard:
    """A card of the gallery; `groups` are the keys of the filters it belongs to."""

    key: str
    groups: tuple[str, ...]
    reasons: tuple[str, ...]
    pictures: tuple[Thumbnail, ...]
    answer: tuple[Shown, ...]
    kept: tuple[Shown, ...]
    prompt: str | None
    facts: tuple[str, ...]
    repairs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Filter:
    """A choice of cards: its key, what it is called, how many cards it has."""

    key: str
    label: str
    cards: int


def cards(
    chosen: Sequence[Card],
    collected: Collected,
    thumbnails: Mapping[int, tuple[Thumbnail, ...]],
    prompt_for: PromptFor | None,
) -> list[ShownCard]:
    """Return the gallery."""
    return [_card(card, collected, thumbnails.get(card.row.number, ()), prompt_for) for card in chosen]


def _card(card: Card, collected: Collected, pictures: tuple[Thumbnail, ...], prompt_for: PromptFor | None) -> ShownCard:
    row = card.row.values
    prompt = prompt_for(row) if prompt_for else None
    kept = [shown(name, row[name], most=_KEPT) for name in collected.kept_columns[:_MOST_KEPT] if row[name] is not None]
    return ShownCard(
        key=plain(row[collected.key_column]),
        groups=tuple(dict.fromkeys(_group_of(reason) for reason in card.reasons)),
        reasons=tuple(ODDITIES.get(reason, reason) for reason in card.reasons if reason != "random"),
        pictures=pictures,
        answer=shown_answer(row["answer"], row["answer_text"]),
        kept=tuple(kept),
        prompt=cut_text(prompt, _PROMPT) if prompt else None,
        facts=_facts(row),
        repairs=tuple(row["answer_repairs"] or ()),
    )


def _group_of(reason: str) -> str:
    """Strata of one column share a filter: there may be two dozen values."""
    return reason if reason in ODDITIES or reason == "random" else f"by {reason.partition(': ')[0]}"


def filters(chosen: Sequence[ShownCard]) -> list[Filter]:
    """Return the choices of cards, all of them first."""
    sizes = Counter(group for card in chosen for group in card.groups)
    ordered = [*ODDITIES, *sorted(sizes.keys() - ODDITIES.keys() - {"random"}), "random"]
    named = [Filter(key, ODDITIES.get(key, key), sizes[key]) for key in ordered if sizes[key]]
    return [Filter("", "all", len(chosen)), *named]


def _facts(row: Mapping[str, Any]) -> tuple[str, ...]:
    tokens = f"{count(row['prompt_tokens'] or 0)} tokens in, {count(row['completion_tokens'] or 0)} out"
    if row["cost_source"] == "reused":
        return ("reused: cost nothing",)
    cost = dollars(pico_of(row["cost_usd"])) if row["cost_usd"] is not None else "cost unknown"
    facts = [tokens, cost, seconds_words(row["latency_ms"]) if row["latency_ms"] else "", row["provider"] or ""]
    if (row["attempts"] or 0) > 1:
        facts.append(f"{row['attempts']} attempts")
    return tuple(filter(None, facts))
