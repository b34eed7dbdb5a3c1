"""Shares of limits and budget: their sums never pass the whole, for any number of processes."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from parquill.portions.rows import SliceToAsk, divide
from parquill.portions.shares import Free, most_shares, share_out

AMOUNTS = st.none() | st.integers(1, 10**7)
FREE = st.builds(
    Free,
    requests_per_minute=AMOUNTS,
    tokens_per_minute=AMOUNTS,
    requests_today=AMOUNTS,
    max_in_flight=st.just("auto") | st.integers(1, 4096),
    pico=st.none() | st.integers(1, 10**15),
    tokens=AMOUNTS,
)


@settings(max_examples=200, deadline=None)
@given(free=FREE, wanted=st.integers(2, 64))
def test_shares_add_up_to_the_whole_and_each_has_something_of_everything(free: Free, wanted: int) -> None:
    count = most_shares(free, wanted)
    shares = share_out(free, count)
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
    nothing = Free(None, None, 0, "auto", None, None)
    assert most_shares(nothing, 8) == 0


@settings(max_examples=200, deadline=None)
@given(todo=st.lists(st.integers(1, 1000), min_size=2, max_size=60), wanted=st.integers(2, 64))
def test_every_slice_goes_to_one_portion_in_order_and_no_portion_is_empty(todo: list[int], wanted: int) -> None:
    slices = [SliceToAsk(f"{number:03d}", rows, ()) for number, rows in enumerate(todo)]
    count = min(wanted, len(slices))
    portions = divide(slices, count)
    assert len(portions) == count
    assert [part for portion in portions for part in portion] == [one.part for one in slices]
    rows = {one.part: one.todo for one in slices}
    longest = max(sum(rows[part] for part in portion) for portion in portions)
    assert longest <= sum(todo) / count + 2 * max(todo)
