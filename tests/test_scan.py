"""One pass over the manifest: digests that change with what a part depends on, and ids that are unique."""

from __future__ import annotations

import datetime as dt
import decimal
import itertools
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parquill.errors import ManifestError
from parquill.manifest import Manifest, RowsDigest
from parquill.planning.scan import scan
from tests.lanes import examples
from tests.manifests import opened, parquet, rows, text


def no_stamp(_: str) -> bytes:
    return b""


def digests(
    manifest: Manifest,
    *columns: str,
    given_settings: bytes = b"s",
    stamp: Callable[[str], bytes] = no_stamp,
) -> Mapping[str, str]:
    names = columns or tuple(manifest.columns.schema.names)
    return scan(manifest, names, settings=given_settings, stamp=stamp).digests


def digest(values: Any, **options: Any) -> str:
    """The digest of one file with one column `x`."""
    with tempfile.TemporaryDirectory() as folder:
        path = parquet(Path(folder, "m.parquet"), {"x": values}, **options)
        (found,) = digests(opened(path)).values()
    return found


def refused(manifest: Manifest) -> str:
    with pytest.raises(ManifestError) as caught:
        digests(manifest, "id")
    return str(caught.value)


class TestDigests:
    def test_each_slice_has_one_of_32_hex_digits_under_its_parts_name(self, tmp_path: Path) -> None:
        path = parquet(tmp_path / "m.parquet", {"x": list(range(5))})
        manifest = opened(path, rows_per_part=2)
        found = digests(manifest)
        assert list(found) == [one.part for one in manifest.slices]
        assert len(set(found.values())) == 3
        assert all(len(bytes.fromhex(value)) == 16 for value in found.values())

    def test_they_are_the_same_in_every_process_and_release(self) -> None:
        assert digest(["a", None, "bc"]) == "d5f3597c3c5bd06e7a117b09299891b4"

    def test_only_the_slice_whose_value_changed_has_another(self, tmp_path: Path) -> None:
        values = [f"v{row}" for row in range(9)]
        before = digests(opened(parquet(tmp_path / "m.parquet", {"x": values}), rows_per_part=3))
        values[4] = "other"
        after = digests(opened(parquet(tmp_path / "m.parquet", {"x": values}), rows_per_part=3))
        assert [before[part] == after[part] for part in before] == [True, False, True]

    def test_columns_that_are_not_needed_do_not_count(self, tmp_path: Path) -> None:
        found = []
        for rest in ("u", "v"):
            manifest = opened(parquet(tmp_path / "m.parquet", {"x": ["a"], "rest": [rest]}))
            found.append((digests(manifest, "x"), digests(manifest, "x", "rest")))
        assert found[0][0] == found[1][0]
        assert found[0][1] != found[1][1]

    def test_settings_count(self, tmp_path: Path) -> None:
        manifest = opened(parquet(tmp_path / "m.parquet", {"x": ["a"]}))
        assert digests(manifest, given_settings=b"s") != digests(manifest, given_settings=b"t")

    def test_names_and_types_of_columns_count(self, tmp_path: Path) -> None:
        tables: list[dict[str, Any]] = [
            {"x": pa.array([1], pa.int64())},
            {"x": pa.array([1], pa.int32())},
            {"y": pa.array([1], pa.int64())},
            {"x": pa.array([1.0])},
            {"x": pa.array(["1"])},
            {"x": pa.array([b"1"])},
            {"x": pa.array(["1"], pa.large_string())},
            {"x": pa.array([None], pa.int64())},
            {"x": pa.array([None], pa.int32())},
            {"x": pa.array([None], pa.null())},
        ]
        found = [digests(opened(parquet(tmp_path / "m.parquet", table)))["m.000000.parquet"] for table in tables]
        assert len(set(found)) == len(tables)

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (["ab", "c"], ["a", "bc"]),
            (["a", None], ["a", ""]),
            ([None, "a"], ["a", None]),
            ([["a"], []], [[], ["a"]]),
            ([["a", "b"]], [["a"], ["b"]]),
            ([["a", None]], [["a"]]),
            ([[None]], [None]),
            ([{"a": 1, "b": None}], [{"a": None, "b": 1}]),
            ([{"a": None}, {"a": 1}], [None, {"a": 1}]),
            ([True, False], [False, True]),
            ([0.0], [-0.0]),
            ([1, 2], [2, 1]),
        ],
    )
    def test_values_that_differ_differ_also_where_their_bytes_run_together(self, one: Any, other: Any) -> None:
        assert digest(one) != digest(other)

    def test_what_lies_beneath_a_null_does_not_count(self) -> None:
        valid = pa.array([True, False, True]).buffers()[1]
        found = []
        for hidden in (2, 99):
            values = pa.array([1, hidden, 3]).buffers()[1]
            rows_digest = RowsDigest(b"")
            rows_digest.add(pa.table({"x": pa.Array.from_buffers(pa.int64(), 3, [valid, values])}))
            found.append(rows_digest.hexdigest())
        assert found[0] == found[1]


KINDS: list[tuple[pa.DataType, Sequence[Any]]] = [
    (pa.int16(), [1, None, -5, 0]),
    (pa.float64(), [1.5, None, float("nan"), -0.0]),
    (pa.float16(), [1.5, None]),
    (pa.bool_(), [True, None, False]),
    (pa.string(), ["a", None, "", "é😀"]),
    (pa.large_string(), ["a", None, "", "é😀"]),
    (pa.string_view(), ["a", None, "", "a text that is longer than a view holds"]),
    (pa.binary(), [b"\x00", None, b"", b"ab"]),
    (pa.binary(2), [b"ab", None, b"cd"]),
    (pa.dictionary(pa.int32(), pa.string()), ["a", None, "b", "a"]),
    (pa.date32(), [dt.date(2026, 1, 2), None]),
    (pa.timestamp("us", "UTC"), [dt.datetime(2026, 1, 2, tzinfo=dt.UTC), None]),
    (pa.decimal128(18, 3), [decimal.Decimal("1.500"), None]),
    (pa.list_(pa.string()), [["a", None], None, [], ["bc"]]),
    (pa.large_list(pa.int8()), [[1], None, []]),
    (pa.list_(pa.int64(), 2), [[1, 2], None, [3, None]]),
    (pa.list_view(pa.string()), [["a"], None, ["b", "c"]]),
    (pa.struct([("path", pa.string()), ("bytes", pa.binary())]), [{"path": "a", "bytes": None}, None]),
    (pa.list_(pa.struct([("a", pa.list_(pa.string()))])), [[{"a": ["x"]}, None], None, []]),
    (pa.map_(pa.string(), pa.int64()), [[("k", 1)], None, []]),
    (pa.null(), [None, None]),
]


@pytest.mark.parametrize(("kind", "values"), KINDS, ids=[str(kind) for kind, _ in KINDS])
@settings(max_examples=examples(12))
@given(data=st.data())
def test_equal_values_give_equal_digests_however_they_are_cut(
    kind: pa.DataType, values: Sequence[Any], data: st.DataObject
) -> None:
    picked = data.draw(st.lists(st.sampled_from(values), min_size=1, max_size=12))
    whole = pa.array(picked, kind)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(picked)), max_size=4)))
    bounds = [0, *cuts, len(picked)]
    pieces = [whole.slice(first, last - first) for first, last in itertools.pairwise(bounds)]
    found = set()
    for arrays in ([whole], pieces, [pa.array(picked[: len(picked) // 2], kind), whole.slice(len(picked) // 2)]):
        rows_digest = RowsDigest(b"")
        for array in arrays:
            rows_digest.add(pa.table({"x": array}))
        found.add(rows_digest.hexdigest())
    assert len(found) == 1
    changed = data.draw(st.lists(st.sampled_from(values), min_size=1, max_size=12))
    other = RowsDigest(b"")
    other.add(pa.table({"x": pa.array(changed, kind)}))
    assert (other.hexdigest() in found) == (repr(changed) == repr(picked))


@settings(max_examples=examples(25))
@given(
    st.lists(st.none() | st.text(max_size=3), min_size=1, max_size=20),
    st.integers(1, 20),
    st.booleans(),
    st.sampled_from(["snappy", "none", "zstd"]),
)
def test_a_file_that_is_laid_out_anew_keeps_its_digest(
    values: list[str | None], group: int, dictionary: bool, compression: str
) -> None:
    array = pa.array(values, pa.string())
    anew = digest(array, row_group_size=group, use_dictionary=dictionary, compression=compression)
    assert anew == digest(array)


class TestPictures:
    def test_the_state_of_each_local_picture_counts(self, tmp_path: Path) -> None:
        manifest = opened(parquet(tmp_path / "m.parquet", {"pic": ["a.png", "b.png"]}), image_columns=["pic"])
        states = {"a.png": b"1", "b.png": b"2"}
        before = digests(manifest, stamp=lambda text: states[text])
        assert digests(manifest, stamp=lambda text: states[text]) == before
        states["b.png"] = b"3"
        assert digests(manifest, stamp=lambda text: states[text]) != before
        states.update({"a.png": b"2", "b.png": b"1"})
        assert digests(manifest, stamp=lambda text: states[text]) != before

    def test_states_that_run_together_are_told_apart(self, tmp_path: Path) -> None:
        manifest = opened(parquet(tmp_path / "m.parquet", {"pic": ["a", "b"]}), image_columns=["pic"])
        one, other = {"a": b"1|", "b": b"2"}, {"a": b"1", "b": b"|2"}
        assert digests(manifest, stamp=one.__getitem__) != digests(manifest, stamp=other.__getitem__)

    def test_what_is_not_here_is_not_looked_at(self, tmp_path: Path) -> None:
        asked: list[str] = []

        def stamp(text: str) -> bytes:
            asked.append(text)
            return b""

        far = ["http://a.example/x", "HTTPS://a.example/x", "data:image/png;base64,AA==", None]
        values = [*far, "a.png", "s3://b/c", ""]
        path = parquet(tmp_path / "m.parquet", {"pic": values, "doc": ["d.pdf"] * 7, "other": ["o"] * 7})
        digests(opened(path, image_columns=["pic"], document_columns=["doc"]), stamp=stamp)
        assert asked == ["a.png", "s3://b/c", "", *["d.pdf"] * 7]

    @pytest.mark.parametrize(
        ("kind", "values"),
        [
            (pa.string(), ["a", None, "b"]),
            (pa.large_string(), ["a", None, "b"]),
            (pa.dictionary(pa.int32(), pa.string()), ["a", None, "b"]),
            (pa.list_(pa.string()), [["a", None], None, [], ["b"]]),
            (pa.list_view(pa.string()), [["a"], None, ["b"]]),
            (pa.list_(pa.string(), 2), [["a", "b"]]),
            (pa.struct([("bytes", pa.binary()), ("path", pa.string())]), [{"path": "a"}, None, {"path": "b"}]),
            (pa.list_(pa.struct([("path", pa.string())])), [[{"path": "a"}, None, {"path": "b"}], None]),
            (pa.binary(), [b"x", None]),
            (pa.struct([("bytes", pa.binary())]), [{"bytes": b"x"}]),
            (pa.null(), [None]),
        ],
        ids=str,
    )
    def test_pictures_are_found_in_every_form(self, tmp_path: Path, kind: pa.DataType, values: list[Any]) -> None:
        asked: list[str] = []

        def stamp(text: str) -> bytes:
            asked.append(text)
            return b""

        path = parquet(tmp_path / "m.parquet", {"pic": pa.array(values, kind)})
        digests(opened(path, image_columns=["pic"]), stamp=stamp)
        holds_bytes_only = pa.types.is_binary(kind) or pa.types.is_null(kind) or str(kind) == "struct<bytes: binary>"
        assert asked == ([] if holds_bytes_only else ["a", "b"])


class TestIds:
    def test_unique_ids_pass_whatever_their_type(self, tmp_path: Path) -> None:
        # hash(-1) is hash(-2), and so are 0 and 2**61 - 1 for Python: equal hashes alone refuse nothing
        columns = [
            pa.array([-1, -2, 0, 2**61 - 1]),
            pa.array(["a", "b", "", "A"]),
            pa.array([b"a", b"b"]),
            pa.array([dt.date(2026, 1, 1), dt.date(2026, 1, 2)]),
        ]
        for ids in columns:
            assert len(digests(opened(parquet(tmp_path / "m.parquet", {"id": ids}), id_column="id"))) == 1

    def test_a_null_id_is_refused_with_file_and_row(self, tmp_path: Path) -> None:
        parquet(tmp_path / "a.parquet", {"id": ["x", "y"]})
        parquet(tmp_path / "b.parquet", {"id": ["z", None, "w", None]}, row_group_size=1)
        assert refused(opened(tmp_path, id_column="id", rows_per_part=2)) == (
            f"manifest.id_column: 'id' is null in {tmp_path}/b.parquet row 1; {tmp_path}/b.parquet row 3: "
            "every row needs an id of its own"
        )

    def test_of_many_nulls_ten_are_shown_and_the_rest_is_counted(self, tmp_path: Path) -> None:
        path = parquet(tmp_path / "m.parquet", {"id": pa.array([None] * 2500, pa.int64())}, row_group_size=7)
        message = refused(opened(path, id_column="id"))
        assert message.count("parquet row ") == 10
        assert "row 9 (and 2,490 more)" in message

    def test_a_repeated_id_is_refused_with_its_rows_within_a_file_and_across_files(self, tmp_path: Path) -> None:
        parquet(tmp_path / "a.parquet", {"id": ["x", "y", "x"]}, row_group_size=1)
        parquet(tmp_path / "b.parquet", {"id": ["z", "y"]})
        assert refused(opened(tmp_path, id_column="id", rows_per_part=2)) == (
            f"manifest.id_column: 'id' repeats 'x' in {tmp_path}/a.parquet row 0, {tmp_path}/a.parquet row 2; "
            f"'y' in {tmp_path}/a.parquet row 1, {tmp_path}/b.parquet row 1: every row needs an id of its own"
        )

    def test_of_many_repeats_ten_values_with_three_rows_each_are_shown(self, tmp_path: Path) -> None:
        path = parquet(tmp_path / "m.parquet", {"id": [number % 40 for number in range(400)]})
        message = refused(opened(path, id_column="id"))
        assert message.count("parquet row ") == 30
        assert "(and 30 more)" in message
        assert "39 in" not in message

    def test_csv_ids_that_look_like_equal_numbers_are_different_names(self, tmp_path: Path) -> None:
        manifest = opened(text(tmp_path / "m.csv", "id", "7", "07", "7.0"), id_column="id")
        assert len(digests(manifest)) == 1
        assert rows(manifest, "id") == ["7", "07", "7.0"]

    @settings(max_examples=examples(40))
    @given(st.lists(st.integers(0, 12), min_size=1, max_size=14), st.integers(1, 5), st.integers(1, 5))
    def test_exactly_the_manifests_whose_ids_repeat_are_refused(
        self, ids: list[int], group: int, per_part: int
    ) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = parquet(Path(folder, "m.parquet"), {"id": ids}, row_group_size=group)
            manifest = opened(path, id_column="id", rows_per_part=per_part)
            if len(set(ids)) == len(ids):
                assert len(digests(manifest)) == len(manifest.slices)
            else:
                message = refused(manifest)
                repeated = [value for value in dict.fromkeys(ids) if ids.count(value) > 1]
                first = [row for row, value in enumerate(ids) if value == repeated[0]][:3]
                assert f"repeats {repeated[0]} in {', '.join(f'{path} row {row}' for row in first)}" in message
