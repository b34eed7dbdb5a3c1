"""A cell that is larger than any row needs is its row's error, and nothing but its length is looked at."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parquill.errors import ManifestError
from parquill.manifest import long_lines, text
from parquill.manifest.long_lines import LEFT_OUT, lines
from parquill.results import large_cells, python_values
from tests.lanes import examples
from tests.manifests import opened

BIG = "x" * 100
WORDS: Sequence[Any] = ("a", BIG, None, "b")


@pytest.mark.parametrize(
    ("array", "large"),
    [
        (pa.array(WORDS), {1: 100}),
        (pa.array(WORDS, pa.large_string()), {1: 100}),
        (pa.array(WORDS).cast(pa.string_view()), {1: 100}),
        (pa.array(WORDS).cast(pa.binary()), {1: 100}),
        (pa.array(WORDS).dictionary_encode(), {1: 100}),
        (pa.array([["a", "b"], [BIG, "b"], None, []]), {1: 100}),
        (pa.array([[["a"]], [[], [BIG]], None, []], pa.large_list(pa.list_(pa.string()))), {1: 100}),
        (pa.array([["a", "b"], ["b", BIG], None, ["", ""]], pa.list_(pa.string(), 2)), {1: 100}),
        (pa.array([{"bytes": b"1", "path": "b"}, None, {"bytes": None, "path": BIG}, None]), {2: 100}),
        (pa.array([None] * 40, pa.null()), {}),
        (pa.array([[1] * 100, [2]]), {}),
    ],
    ids=lambda one: str(getattr(one, "type", "")),
)
def test_a_large_cell_is_found_wherever_its_text_stands(array: pa.Array, large: dict[int, int]) -> None:
    for column in (pa.chunked_array([array]), pa.chunked_array([array.slice(0, 1), array.slice(1)])):
        assert large_cells(column, 50) == large
        assert large_cells(column, 100) == {}
        values, _ = python_values(column, large)
        assert values == [None if place in large else value for place, value in enumerate(array.to_pylist())]


def test_small_cells_are_never_large_together() -> None:
    assert large_cells(pa.chunked_array([pa.array(["x" * 40] * 1000)]), 50) == {}


_STRINGS = st.text(st.sampled_from('ab"\\\n\u00e9\U0001f600,{}[]:'), max_size=12)
_ROWS = st.dictionaries(_STRINGS.map(lambda name: name[:3]), _STRINGS | st.lists(_STRINGS, max_size=2), max_size=4)


@settings(max_examples=examples(60), deadline=None)
@given(rows=st.lists(_ROWS, max_size=4), most=st.integers(0, 8), piece=st.integers(1, 9))
def test_long_strings_are_left_out_and_all_else_is_as_it_was(rows: list[dict[str, Any]], most: int, piece: int) -> None:
    """Held against the same left out from the parsed rows, whose written length is what counts."""

    def short(value: Any) -> Any:
        if isinstance(value, str):
            return LEFT_OUT if len(json.dumps(value)) - 2 > most else value
        return [short(one) for one in value]

    raw = io.BytesIO("".join(json.dumps(row) + "\n" for row in rows).encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(long_lines, "_PIECE", piece)
        read = [json.loads(line, object_pairs_hook=list) for line in lines(raw, "m.jsonl", most)]
    wanted = [[(short(name), short(value)) for name, value in row.items()] for row in rows]
    exact = [line for line, row in zip(read, rows, strict=True) if len(json.dumps(row)) + 1 >= piece]
    assert [list(map(tuple, one)) for one in exact] == [
        one for one, row in zip(wanted, rows, strict=True) if len(json.dumps(row)) + 1 >= piece
    ]


def test_only_the_row_of_a_text_that_is_too_large_for_json_lines_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long_lines, "_PIECE", 64)
    monkeypatch.setattr(text, "lines", lambda raw, label: lines(raw, label, 100))
    rows = [{"id": "a", "x": "y"}, {"id": "b", "x": "z" * 500, "n": 1}, {"id": "c", "x": "y" * 99}]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (chunk,) = opened(tmp_path / "m.jsonl").read(["id", "x", "n"])
    values, faults = chunk.cells("x")
    assert values == ["y", None, "y" * 99]
    assert faults == {1: "a text of more than 90 MB"}
    assert chunk.cells("n")[0] == [None, 1, None]


def test_a_line_that_is_long_without_a_long_text_is_refused_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(long_lines, "_PIECE", 64)
    monkeypatch.setattr(long_lines, "_MOST_OF_A_LINE", 1_000)
    with pytest.raises(ManifestError, match=r"m\.jsonl:2: the line is longer than"):
        list(lines(io.BytesIO(b'{"a": 1}\n{"a": [' + b"1," * 2_000 + b"1]}\n"), "m.jsonl"))


def test_a_row_of_csv_that_is_too_long_is_refused_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text, "_LONGEST_CSV_ROW", 1_000)
    (tmp_path / "m.csv").write_text('id,x\na,b\nb,"' + "z" * 5_000 + '"\nc,d\n' + "e,f\n" * 3)
    with pytest.raises(ManifestError, match="a row is longer than 16 MB: write such cells as Parquet or JSON lines"):
        opened(tmp_path / "m.csv")
