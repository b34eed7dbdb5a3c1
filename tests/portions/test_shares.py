"""Shares of limits and budget: their sums never pass the whole, for any number of processes."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from parquill.planning.selection import Rows
from parquill.portions.quotas import Available, divide_quotas, most_quotas
from parquill.portions.row_division import SliceToAsk, divide
from tests.lanes import examples

AMOUNTS = st.none() | st.integers(1, 10**7)
FREE = st.builds(
    Available,
    requests_per_minute=AMOUNTS,
    tokens_per_minute=AMOUNTS,
    requests_today=AMOUNTS,
    max_in_flight=st.just("auto") | st.integers(1, 4096),
    pico=st.none() | st.integers(1, 10**15),
    tokens=AMOUNTS,
)


@settings(max_examples=examples(200))
@given(free=FREE, wanted=st.integers(2, 64))
def test_shares_add_up_to_the_whole_and_each_has_something_of_everything(free: Available, wanted: int) -> None:
    count = most_quotas(free, wanted)
    shares = divide_quotas(free, count)
    columns: list[tuple[Any, list[Any]]] = [
        (free.requests_per_minute, [one.limits.requests_per_minute for one in shares]),
        (free.tokens_per_minute, [one.limits.tokens_per_minute for one in shares]),
        (free.requests_today, [one.limits.requests_per_day for one in shares]),
        (free.max_in_flight, [one.limits.max_in_flight for one in shares]),
        (free.pico, [one.pico if one.budget.usd is not None else None for one in shares]),
        (free.tokens, [one.budget.tokens for one in shares]),
    ]
    assert 1 <= count == len(shares) <= wanted
    for whole, parts in columns:
        if whole in (None, "auto"):
            assert set(parts) == {whole}
        else:
            assert sum(parts) == whole
            assert min(parts) >= 1
            assert max(parts) - min(parts) <= 1


def test_what_is_used_up_is_not_shared() -> None:
    nothing = Available(None, None, 0, "auto", None, None)
    assert most_quotas(nothing, 8) == 0


@st.composite
def slices(draw: st.DrawFn) -> list[tuple[SliceToAsk, int]]:
    """Slices of up to forty rows, some of which no process asks, and how long each is."""
    made = []
    for number in range(draw(st.integers(1, 12))):
        length = draw(st.integers(1, 40))
        without = draw(st.sets(st.integers(0, length - 1), max_size=length - 1))
        made.append((SliceToAsk(f"{number:03d}", length - len(without), tuple(sorted(without))), length))
    return made


@settings(max_examples=examples(200))
@given(found=slices(), wanted=st.integers(2, 64))
def test_every_row_to_send_goes_to_one_portion_in_order_and_portions_are_equal(
    found: list[tuple[SliceToAsk, int]], wanted: int
) -> None:
    total = sum(one.todo for one, _ in found)
    count = min(wanted, total)
    portions = divide([one for one, _ in found], count)
    asked = [
        [(one.part, row) for one, length in found if one.part in portion for row in range(length)
         if row in portion[one.part]]
        for portion in portions
    ]  # fmt: skip
    assert [row for portion in asked for row in portion] == [
        (one.part, row) for one, length in found for row in range(length) if row not in one.without
    ]
    assert max(map(len, asked)) - min(map(len, asked)) <= 1


def test_a_slice_that_is_not_cut_is_asked_whole() -> None:
    found = [SliceToAsk("a", 3, ()), SliceToAsk("b", 3, (1,))]
    assert [dict(portion) for portion in divide(found, 2)] == [{"a": Rows()}, {"b": Rows(without=frozenset({1}))}]
