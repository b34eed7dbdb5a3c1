"""Manifests as JSON lines and CSV: types that every row allows, and values that come back as they were."""

from __future__ import annotations

import csv
import json
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parquill.errors import ManifestError
from tests.lanes import examples
from tests.manifests import opened, parquet, rows, text

MANY = 9_000
"""Lines of JSON that fill more than one of the chunks that files are read in."""
LONG = "x" * 20_000
"""A thousand of these fill more than one of the blocks that a CSV is read in."""


def refused(path: Path, **keys: Any) -> str:
    with pytest.raises(ManifestError) as caught:
        opened(path, **keys)
    return str(caught.value)


def lines(path: Path, *values: Any) -> Path:
    return text(path, *(json.dumps(value, ensure_ascii=False) for value in values))


class TestJsonLines:
    def test_each_line_is_a_row_and_values_keep_their_kind(self, tmp_path: Path) -> None:
        first = {"id": 7, "t": "é 😀\n", "x": 1.5, "b": True, "l": ["a", None], "s": {"k": [1]}, "day": "2026-01-02"}
        path = lines(tmp_path / "m.jsonl", first, dict.fromkeys(first))
        manifest = opened(path, id_column="id")
        assert rows(manifest) == [tuple(first.values()), (None,) * 7]
        assert manifest.columns.key.type == pa.int64()
        assert manifest.columns.schema.field("day").type == pa.string()

    def test_an_id_may_be_a_text(self, tmp_path: Path) -> None:
        path = lines(tmp_path / "m.jsonl", {"id": "007"}, {"id": "8"})
        assert rows(opened(path, id_column="id"), "id") == ["007", "8"]

    def test_columns_and_kinds_that_come_late_count_as_much_as_early_ones(self, tmp_path: Path) -> None:
        early: dict[str, Any] = {"n": 1, "empty": None, "s": {"a": 1}, "l": []}
        late = {"n": 1.5, "empty": "x", "s": {"b": "y"}, "l": ["z"], "new": 2}
        path = lines(tmp_path / "m.jsonl", *[early] * MANY, late)
        manifest = opened(path)
        assert manifest.rows == MANY + 1
        read = rows(manifest, "n", "empty", "s", "l", "new", wanted=[manifest.slices[0].part, manifest.slices[-1].part])
        assert read[0] == (1.0, None, {"a": 1, "b": None}, [], None)
        assert read[-1] == (1.5, "x", {"a": None, "b": "y"}, ["z"], 2)

    def test_blank_lines_a_byte_order_mark_and_a_missing_last_line_break_do_no_harm(self, tmp_path: Path) -> None:
        path = tmp_path / "m.jsonl"
        path.write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n\r\n  \n {"a": 2} \n{"a": 3}')
        assert rows(opened(path), "a") == [1, 2, 3]

    def test_columns_may_be_missing_in_any_row(self, tmp_path: Path) -> None:
        path = lines(tmp_path / "m.jsonl", {"a": 1}, {}, {"b": "x"})
        assert rows(opened(path), "a", "b") == [(1, None), (None, None), (None, "x")]

    @pytest.mark.parametrize(
        ("line", "column", "words"),
        [('{"a": }', 7, "not valid JSON"), ("[1]", None, "one JSON object"), ('{"a": 1} x', 10, "not valid JSON")],
    )
    def test_a_line_that_is_no_object_is_told_with_its_number(
        self, tmp_path: Path, line: str, column: int | None, words: str
    ) -> None:
        path = text(tmp_path / "m.jsonl", '{"a": 1}', "", line)
        message = refused(path)
        assert message.startswith(f"{path}:3:{f'{column}:' if column else ''} ")
        assert words in message

    @pytest.mark.parametrize("other", ["x", True, [1], {"b": 1}, 2**63])
    def test_rows_that_do_not_agree_about_a_column_are_told_wherever_they_are(self, tmp_path: Path, other: Any) -> None:
        near = lines(tmp_path / "near.jsonl", {"a": 1}, {"a": other})
        assert refused(near).startswith(f"{near}: column 'a': rows do not agree: ")
        if other != 2**63:
            far = lines(tmp_path / "far.jsonl", *[{"a": 1}] * 8192, {"a": other})
            assert refused(far).startswith(f"{far}: rows do not agree: ")

    def test_a_file_without_rows_is_an_empty_manifest(self, tmp_path: Path) -> None:
        assert "it has no rows" in refused(text(tmp_path / "m.jsonl", ""))

    def test_pictures_may_be_lists(self, tmp_path: Path) -> None:
        path = lines(tmp_path / "m.jsonl", {"pics": ["a.png", "b.png"]}, {"pics": []}, {"pics": None})
        assert rows(opened(path, image_columns=["pics"]), "pics") == [["a.png", "b.png"], [], None]


class TestCsv:
    def test_whole_numbers_fractions_and_texts_are_told_apart_by_all_their_values(self, tmp_path: Path) -> None:
        path = text(tmp_path / "m.csv", "n,x,zip,t", "1,1,007,a", "-20,2.5e3,1,", ",,2,NA")
        manifest = opened(path)
        assert rows(manifest) == [(1, 1.0, "007", "a"), (-20, 2500.0, "1", None), (None, None, "2", "NA")]

    def test_a_value_that_comes_late_counts_as_much_as_an_early_one(self, tmp_path: Path) -> None:
        path = text(tmp_path / "m.csv", "n,e,long", *[f"1,,{LONG}"] * 1000, "x,y,z")
        manifest = opened(path)
        assert manifest.columns.schema == pa.schema([("n", pa.string()), ("e", pa.string()), ("long", pa.string())])
        assert rows(manifest, "n", "e")[-2:] == [("1", None), ("x", "y")]

    @pytest.mark.parametrize("value", ["1e3", "0", "-0.5", "123456789012345678", "-7", "1.0"])
    def test_numbers_are_what_is_written_as_one(self, tmp_path: Path, value: str) -> None:
        (found,) = rows(opened(text(tmp_path / "m.csv", "a", value)), "a")
        assert not isinstance(found, str)
        assert found == json.loads(value)

    @pytest.mark.parametrize(
        "value", ["007", "+7", "1_000", "1,5", ".5", "5.", "0x1F", "true", "2026-01-02", "NaN", " 7"]
    )
    def test_everything_else_is_a_text_as_it_stands(self, tmp_path: Path, value: str) -> None:
        assert rows(opened(text(tmp_path / "m.csv", "a", f'"{value}"')), "a") == [value]

    def test_an_id_is_a_text_whatever_it_looks_like(self, tmp_path: Path) -> None:
        manifest = opened(text(tmp_path / "m.csv", "id,n", "7,7", "8,8"), id_column="id")
        assert (manifest.columns.key.type, rows(manifest)) == (pa.string(), [("7", 7), ("8", 8)])

    def test_an_empty_cell_is_null_and_an_empty_text_is_one(self, tmp_path: Path) -> None:
        path = text(tmp_path / "m.csv", "a,b,c", 'x,"",', ",y,")
        assert rows(opened(path)) == [("x", "", None), (None, "y", None)]

    def test_quotes_hold_commas_and_line_breaks_also_where_blocks_meet(self, tmp_path: Path) -> None:
        value = 'a "b", c\nd'
        path = tmp_path / "m.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([["t", "long"], *[[value, f"{LONG}\n,"]] * 1000])
        manifest = opened(path)
        assert set(rows(manifest, "t")) == {value}
        assert manifest.rows == 1000

    def test_a_cell_may_hold_a_whole_picture(self, tmp_path: Path) -> None:
        url = "data:image/png;base64," + "A" * 3_000_000
        path = text(tmp_path / "m.csv", "pic", f'"{url}"', '"b.png"')
        assert rows(opened(path, image_columns=["pic"]), "pic") == [url, "b.png"]

    def test_only_a_header_is_an_empty_file_with_columns(self, tmp_path: Path) -> None:
        assert "it has no rows" in refused(text(tmp_path / "m.csv", "a,b"))
        text(tmp_path / "n.csv", "a,b", "1,2")
        assert rows(opened(tmp_path, image_columns=[]), "a") == [1]

    @pytest.mark.parametrize(
        ("content", "words"),
        [("", "Empty CSV"), ("a,b\n1\n", "Expected 2 columns"), ("\udcff\nx\n", "name of a column")],
    )
    def test_what_is_no_csv_is_told(self, tmp_path: Path, content: str, words: str) -> None:
        path = tmp_path / "m.csv"
        path.write_bytes(content.encode("utf-8", "surrogateescape"))
        with pytest.raises(ManifestError, match=f"^{path}: cannot be read as csv: .*{words}"):
            opened(path)


def test_files_of_different_formats_are_one_manifest(tmp_path: Path) -> None:
    parquet(tmp_path / "a.parquet", {"id": ["1"], "n": [1]})
    lines(tmp_path / "b.jsonl", {"id": "2", "n": 2, "new": "x"})
    text(tmp_path / "c.csv", "n,id", "3,3")
    manifest = opened(tmp_path, id_column="id")
    assert rows(manifest, "id", "n", "new") == [("1", 1, None), ("2", 2, "x"), ("3", 3, None)]
    assert [one.part for one in manifest.slices] == [
        "a.000000.parquet",
        "b~2Ejsonl~.000000.parquet",
        "c~2Ecsv~.000000.parquet",
    ]


CELLS = st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=6)
ROWS = st.fixed_dictionaries({"a": CELLS, "b": st.none() | st.integers(1 - 10**18, 10**18 - 1)})


@settings(max_examples=examples(25))
@given(st.lists(ROWS, min_size=1, max_size=20), st.integers(1, 7))
def test_what_is_written_is_read_whatever_it_is_and_however_it_is_cut(values: list[Any], per_part: int) -> None:
    """In a CSV only the id column is sure to be text: the others may look like numbers."""
    with tempfile.TemporaryDirectory() as folder:
        json_path = lines(Path(folder, "m.jsonl"), *values)
        csv_path = Path(folder, "m.csv")
        with csv_path.open("w", newline="", encoding="utf-8") as file:
            file.write("a,b\n")
            for value in values:
                quoted = "" if value["a"] is None else '"' + value["a"].replace('"', '""') + '"'
                file.write(f"{quoted},{'' if value['b'] is None else value['b']}\n")
        expected = [(value["a"], value["b"]) for value in values]
        assert rows(opened(json_path, rows_per_part=per_part), "a", "b") == expected
        by_text = opened(csv_path, rows_per_part=per_part, id_column="a")
        assert rows(by_text, "a", "b") == expected
