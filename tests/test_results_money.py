"""Money columns and merged rows: what is null counts as nothing, and every row has one result."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from parquill.results import merge_rows, result_table
from parquill.results.table import MONEY, money_array, pico_values
from tests.test_results import FAILED, MANIFEST, OK, SCHEMA, to_arrow


def test_what_stands_under_a_null_counts_as_nothing() -> None:
    """A null's place may hold anything: here it holds money."""
    values = money_array([5, 7, 11, 13])
    mask = pa.py_buffer(np.packbits(np.array([1, 0, 1, 0], bool), bitorder="little"))
    column = pa.Array.from_buffers(MONEY, 4, [mask, values.buffers()[1]])
    assert pico_values(column).tolist() == [5, 0, 11, 0]
    assert pico_values(column[1:3]).tolist() == [0, 11]
    assert pico_values(pa.chunked_array([column, values])).tolist() == [5, 0, 11, 0, 5, 7, 11, 13]
    assert pico_values(values[2:]).tolist() == [11, 13]
    assert pico_values(pa.chunked_array([], MONEY)).tolist() == []


@pytest.mark.parametrize("pico", [10**18, -(10**18), 2**70, -(2**70)])
def test_a_million_dollars_for_a_row_are_refused(pico: int) -> None:
    with pytest.raises(ValueError, match="a million dollars"):
        money_array([0, pico])


def test_negative_and_missing_amounts_are_kept() -> None:
    amounts = [10**18 - 1, -(10**18 - 1), None, 0]
    assert [None if one is None else int(one.scaleb(12)) for one in money_array(amounts).to_pylist()] == amounts


KEPT = result_table(SCHEMA, MANIFEST, [OK, OK, OK], to_arrow)


@pytest.mark.parametrize(
    ("kept", "kept_at", "fresh", "fresh_at"),
    [
        (2, [0, 1], 0, []),
        (2, [0], 2, [1, 2]),
        (2, [0, 1], 1, []),
        (3, [0, 1, 2], 1, [1]),
        (2, [0, 0], 1, [2]),
        (2, [0, 1], 1, [1]),
    ],
)
def test_rows_that_do_not_fill_a_part_exactly_are_refused(
    kept: int, kept_at: list[int], fresh: int, fresh_at: list[int]
) -> None:
    with pytest.raises(ValueError, match=r"do not fill|has no result"):
        merge_rows(SCHEMA, MANIFEST, KEPT.slice(0, kept), kept_at, [FAILED] * fresh, fresh_at, to_arrow)


def test_kept_and_fresh_rows_take_their_places() -> None:
    merged = merge_rows(SCHEMA, MANIFEST, KEPT.slice(0, 2), [2, 0], [FAILED], [1], to_arrow)
    assert merged.column("status").to_pylist() == ["ok", "failed", "ok"]
    assert merged.num_rows == MANIFEST.num_rows == 3
