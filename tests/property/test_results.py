"""Names, encodings and merges, for any path, any answer and any order of rows."""

from __future__ import annotations

import dataclasses
import itertools
import os

import hypothesis.strategies as st
import pyarrow as pa
from hypothesis import given, settings

from parquill.chat import ImageFigures
from parquill.results import (
    CostSource,
    ItemResult,
    Status,
    merge_rows,
    output_schema,
    part_key,
    part_name,
    result_table,
    results_of,
)
from tests.lanes import examples

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
texts = st.none() | st.text(max_size=8)
counts = st.none() | st.integers(0, 10**9)
sizes = st.none() | st.integers(0, 2**31 - 1)
figures = st.builds(ImageFigures, sizes, sizes, sizes, sizes, texts, texts)
results = st.builds(
    ItemResult,
    status=st.sampled_from(Status),
    fingerprint=st.none() | st.binary(min_size=16, max_size=16),
    error_kind=texts,
    error_message=texts,
    answer=json_values,
    answer_text=texts,
    attempts=st.integers(0, 1000),
    model=texts,
    provider=texts,
    generation_id=texts,
    finish_reason=texts,
    prompt_tokens=counts,
    completion_tokens=counts,
    cached_tokens=counts,
    cost_pico=st.none() | st.integers(0, 10**18 - 1),
    cost_source=st.none() | st.sampled_from(CostSource),
    estimated_pico=st.none() | st.integers(0, 10**18 - 1),
    latency_ms=st.none() | st.integers(0, 10**6),
    repairs=st.lists(st.text(max_size=5), max_size=2).map(tuple),
    finished_at=st.none() | st.integers(0, 2 * 10**15),
    images=st.none() | st.lists(st.none() | figures, max_size=3).map(tuple),
)
SCHEMA = output_schema(pa.field("row", pa.int64()), [], pa.string())


def text_array(answers: list[object]) -> pa.Array:
    return pa.array(answers, pa.string())


@given(results)
def test_a_result_is_the_same_after_the_ledger(result: ItemResult) -> None:
    assert ItemResult.decode(result.encode()) == result


@given(st.lists(results, max_size=6))
def test_a_result_is_the_same_after_the_table(many: list[ItemResult]) -> None:
    said = [dataclasses.replace(result, answer=str(result.answer)) for result in many]
    assert results_of(result_table(SCHEMA, pa.table({"row": range(len(said))}), said, text_array)) == said


@settings(max_examples=examples(50))
@given(st.data(), st.integers(0, 12))
def test_a_merge_puts_every_row_where_it_belongs(data: st.DataObject, rows: int) -> None:
    places = data.draw(st.permutations(range(rows)))
    cut = data.draw(st.integers(0, rows))
    blank = ItemResult(Status.OK, None, *[None] * 4, 0, *[None] * 11, (), None)  # type: ignore[arg-type] - fields in order
    said = [dataclasses.replace(blank, answer=str(place)) for place in places]
    old = result_table(SCHEMA, pa.table({"row": range(cut)}), said[:cut], text_array)
    manifest = pa.table({"row": range(rows)})
    merged = merge_rows(SCHEMA, manifest, old, places[:cut], said[cut:], places[cut:], text_array)
    assert merged.column("answer").to_pylist() == [str(row) for row in range(rows)]
    assert merged.column("row").to_pylist() == list(range(rows))


odd_steps = ["a", "A", "_a", "~", "+", "a+b", "a.parquet", ".", "a~2B", "é" * 80, "é" * 80 + "x"]
letters = st.characters(exclude_characters="/\0", exclude_categories=["Cs"])
steps = st.text(letters, min_size=1, max_size=6) | st.sampled_from(odd_steps)
paths = st.builds(
    lambda parts, ending: "/".join(parts) + ending,
    st.lists(steps, min_size=1, max_size=3),
    st.sampled_from(["", ".parquet", ".csv", "~", ".csv.parquet"]),
)


@given(st.lists(paths, min_size=2, max_size=8, unique=True))
def test_no_two_paths_share_a_name_and_every_name_fits(many: list[str]) -> None:
    names = [part_name(part_key(path), 999_999) for path in many]
    assert len(set(names)) == len(names)
    for name in names:
        assert len(os.fsencode(name)) <= 255
        assert name.isascii()
        assert "/" not in name
        assert name[0] not in "._"


@given(st.lists(paths, min_size=1, max_size=6, unique=True), st.integers(1, 1200))
def test_names_sort_by_file_and_then_by_slice(many: list[str], slices: int) -> None:
    files = sorted(many, key=lambda path: part_key(path) + ".")
    numbers = sorted({0, slices // 2, slices, 999_999})
    names = [part_name(part_key(path), number) for path, number in itertools.product(files, numbers)]
    assert names == sorted(names)
