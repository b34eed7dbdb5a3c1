"""Manifests: which files are one, whether their columns will do, and every row once, in order."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parquill.errors import ManifestError
from tests.lanes import examples
from tests.manifests import opened, parquet, rows, text


def refused(path: Path | str, **keys: Any) -> str:
    with pytest.raises(ManifestError) as caught:
        opened(path, **keys)
    return str(caught.value)


class TestFiles:
    def test_a_path_names_one_file(self, tmp_path: Path) -> None:
        parquet(tmp_path / "other.parquet", {"a": [9]})
        manifest = opened(parquet(tmp_path / "m.parquet", {"a": [1, 2]}))
        assert (rows(manifest, "a"), manifest.rows) == ([1, 2], 2)
        assert manifest.folder == str(tmp_path)

    def test_a_relative_path_starts_where_one_stands(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        parquet(tmp_path / "m.parquet", {"a": [1]})
        monkeypatch.chdir(tmp_path)
        assert rows(opened("m.parquet"), "a") == [1]
        assert rows(opened("./m.parquet"), "a") == [1]

    def test_a_folder_is_all_its_files_at_any_depth_but_hidden_and_private_ones(self, tmp_path: Path) -> None:
        for number, name in enumerate(["a.parquet", "b/c.parquet", "b/d/e.parquet"]):
            parquet(tmp_path / name, {"a": [number]})
        for name in (".a.parquet", "_x.parquet", "b/_temporary/x.parquet", ".git/x.parquet"):
            parquet(tmp_path / name, {"a": [99]})
        text(tmp_path / "readme.txt", "not a manifest")
        for path in (tmp_path, f"{tmp_path}/"):
            assert rows(opened(path), "a") == [0, 1, 2]

    @pytest.mark.parametrize(
        ("pattern", "found"),
        [("*.parquet", [0]), ("*/*.parquet", [1]), ("**/*.parquet", [0, 1, 2]), ("[ab].parquet", [0]), ("?/c*", [1])],
    )
    def test_a_glob_names_files(self, tmp_path: Path, pattern: str, found: list[int]) -> None:
        for number, name in enumerate(["a.parquet", "b/c.parquet", "b/d/e.parquet"]):
            parquet(tmp_path / name, {"a": [number]})
        assert rows(opened(f"{tmp_path}/{pattern}"), "a") == found

    @pytest.mark.parametrize("path", ["nothing", "nothing/*.parquet", "m.txt", ""])
    def test_where_nothing_is_found_the_path_is_told(self, tmp_path: Path, path: str) -> None:
        text(tmp_path / "m.txt", "x")
        message = refused(f"{tmp_path}/{path}")
        assert message.startswith(f"{tmp_path}/{path}: no manifest there")
        assert ".parquet, .jsonl, .csv" in message

    def test_the_output_is_no_part_of_a_manifest_that_lies_around_it(self, tmp_path: Path) -> None:
        parquet(tmp_path / "m.parquet", {"a": [1]})
        parquet(tmp_path / "out" / "part.parquet", {"a": [99]})
        assert rows(opened(tmp_path, output=tmp_path / "out"), "a") == [1]
        assert rows(opened(tmp_path, output=tmp_path / "ou"), "a") == [1, 99]

    def test_parts_sorted_by_name_follow_the_rows(self, tmp_path: Path) -> None:
        names = ["b", "a", "a-1", "a.b", "a b", "é", "A", "a/b", "a/_b2", "a0", "B/x", "漢字", "~", "day=1/x"]
        for number, name in enumerate(names):
            parquet(tmp_path / f"{name}.parquet", {"a": [number, number]})
        manifest = opened(f"{tmp_path}/**/*.parquet", rows_per_part=1)
        parts = [one.part for one in manifest.slices]
        assert parts == sorted(parts, key=str.encode)
        assert len(set(parts)) == 2 * (len(names) - 1)  # names with a leading underscore are private
        assert [one.position for one in manifest.slices] == list(range(len(parts)))

    def test_a_file_that_is_added_leaves_the_parts_of_the_others_as_they_are(self, tmp_path: Path) -> None:
        for name in ("a", "c"):
            parquet(tmp_path / f"{name}.parquet", {"a": [1, 2, 3]})
        before = {one.part: (one.start, one.rows) for one in opened(tmp_path, rows_per_part=2).slices}
        parquet(tmp_path / "b.parquet", {"a": [4]})
        after = {one.part: (one.start, one.rows) for one in opened(tmp_path, rows_per_part=2).slices}
        assert before.items() <= after.items()
        assert len(after) == len(before) + 1


class TestPartitions:
    def test_folders_named_key_value_are_a_column_of_texts(self, tmp_path: Path) -> None:
        parquet(tmp_path / "day=2026-01-02" / "lang=de" / "x.parquet", {"a": [1, 2]})
        parquet(tmp_path / "day=2026-01-01" / "lang=a%20b" / "x.parquet", {"a": [3]})
        parquet(tmp_path / "day=__HIVE_DEFAULT_PARTITION__" / "lang=fr" / "x.parquet", {"a": [4]})
        assert set(rows(opened(tmp_path), "a", "day", "lang")) == {
            (1, "2026-01-02", "de"),
            (2, "2026-01-02", "de"),
            (3, "2026-01-01", "a b"),
            (4, None, "fr"),
        }

    def test_they_can_be_read_alone_and_from_every_kind_of_file(self, tmp_path: Path) -> None:
        parquet(tmp_path / "k=1" / "x.parquet", {"a": [1, 2]})
        for name in ("k=2", "k=3"):
            (tmp_path / name).mkdir()
        text(tmp_path / "k=2" / "x.jsonl", '{"a": 3}', '{"b": 4}')
        text(tmp_path / "k=3" / "x.csv", "a,b", "5,6")
        assert rows(opened(tmp_path), "k") == ["1", "1", "2", "2", "3"]

    def test_a_column_of_the_file_wins_over_its_folder(self, tmp_path: Path) -> None:
        parquet(tmp_path / "k=1" / "x.parquet", {"k": ["own"]})
        assert rows(opened(tmp_path), "k") == ["own"]


class TestSlices:
    def test_each_file_is_cut_into_slices_of_its_own(self, tmp_path: Path) -> None:
        parquet(tmp_path / "a.parquet", {"a": list(range(5))})
        parquet(tmp_path / "b.parquet", {"a": list(range(4))})
        slices = opened(tmp_path, rows_per_part=2).slices
        assert [(one.source.name, one.number, one.start, one.rows, one.position) for one in slices] == [
            ("a.parquet", 0, 0, 2, 0),
            ("a.parquet", 1, 2, 2, 2),
            ("a.parquet", 2, 4, 1, 4),
            ("b.parquet", 0, 0, 2, 5),
            ("b.parquet", 1, 2, 2, 7),
        ]
        assert slices[1].part == "a.000001.parquet"

    def test_a_file_without_rows_has_none(self, tmp_path: Path) -> None:
        parquet(tmp_path / "a.parquet", {"a": pa.array([], pa.int64())})
        parquet(tmp_path / "b.parquet", {"a": [1]})
        text(tmp_path / "c.csv", "a")
        assert [one.part for one in opened(tmp_path).slices] == ["b.000000.parquet"]

    def test_a_manifest_without_rows_is_refused(self, tmp_path: Path) -> None:
        path = parquet(tmp_path / "m.parquet", {"a": pa.array([], pa.int64())})
        assert refused(path) == f"{path}: the manifest is empty: it has no rows"


class TestReading:
    def test_every_kind_of_value_comes_back_as_it_is(self, tmp_path: Path) -> None:
        day = dt.datetime(2026, 1, 2, 3, 4, 5, 6, dt.UTC)
        columns = {
            "t": pa.array([day, None], pa.timestamp("us", "UTC")),
            "d": pa.array([None, day.date()]),
            "l": pa.array([[1, None], None], pa.list_(pa.int8())),
            "s": pa.array([{"path": "x", "bytes": b"y"}, None]),
            "c": pa.array(["x", None]).dictionary_encode(),
            "b": pa.array([b"\x00\xff", b""]),
            "n.m": pa.array([1.5, float("inf")]),
        }
        table = pa.table(columns)
        manifest = opened(parquet(tmp_path / "m.parquet", table))
        (chunk,) = manifest.read(table.schema.names)
        assert chunk.table.equals(table)

    def test_only_the_slices_that_are_wanted_are_read(self, tmp_path: Path) -> None:
        for name in ("a", "b"):
            parquet(tmp_path / f"{name}.parquet", {"x": [f"{name}{row}" for row in range(7)]}, row_group_size=3)
        manifest = opened(tmp_path, rows_per_part=2)
        wanted = [manifest.slices[number].part for number in (1, 3, 6)]
        assert rows(manifest, "x", wanted=wanted) == ["a2", "a3", "a6", "b4", "b5"]
        assert rows(manifest, "x", wanted=[]) == []

    def test_reading_nothing_still_counts_the_rows(self, tmp_path: Path) -> None:
        parquet(tmp_path / "a.parquet", {"x": [1, 2]})
        assert [chunk.table.num_rows for chunk in opened(tmp_path).read(())] == [2]

    def test_a_long_text_that_stands_in_every_row_does_not_swell_a_chunk(self, tmp_path: Path) -> None:
        """It is stored once, and its file looks small."""
        path = parquet(tmp_path / "m.parquet", {"x": pa.array(["long " * 1500]).take(pa.array([0] * 8192))})
        assert path.stat().st_size < 100_000
        sizes = [chunk.table.nbytes for chunk in opened(path).read(("x",))]
        assert max(sizes) < 20 * 2**20
        assert sum(sizes) > 8192 * 7_500

    def test_wide_rows_are_read_few_at_a_time_and_only_the_columns_asked_for_count(self, tmp_path: Path) -> None:
        path = parquet(tmp_path / "m.parquet", {"id": list(range(20)), "pic": [bytes([n]) * 2**20 for n in range(20)]})
        manifest = opened(path)
        assert max(chunk.table.nbytes for chunk in manifest.read(("id", "pic"))) < 17 * 2**20
        assert len(list(manifest.read(("id",)))) == 1

    @pytest.mark.parametrize("damage", ["head", "tail", "empty", "middle"])
    def test_a_file_that_is_damaged_is_told(self, tmp_path: Path, damage: str) -> None:
        path = parquet(tmp_path / "m.parquet", {"x": [f"value {row}" for row in range(1000)]}, use_dictionary=False)
        raw = path.read_bytes()
        half = len(raw) // 3
        spoilt = {
            "head": b"XXXX" + raw,
            "tail": raw[:half],
            "empty": b"",
            "middle": raw[:20] + b"\xff" * half + raw[20 + half :],
        }
        path.write_bytes(spoilt[damage])
        with pytest.raises(ManifestError, match=f"^{path}: cannot be read as parquet: .+"):
            rows(opened(path), "x")

    @settings(max_examples=examples(60))
    @given(
        counts=st.lists(st.integers(0, 30), min_size=1, max_size=3).filter(any),
        groups=st.integers(1, 12),
        per_part=st.integers(1, 12),
        data=st.data(),
    )
    def test_every_row_is_read_once_and_in_order_however_files_and_row_groups_are_cut(
        self,
        tmp_path_factory: pytest.TempPathFactory,
        counts: list[int],
        groups: int,
        per_part: int,
        data: st.DataObject,
    ) -> None:
        folder = tmp_path_factory.mktemp("m")
        first = 0
        for number, count in enumerate(counts):
            values = pa.array(range(first, first + count), pa.int64())
            parquet(folder / f"{number}.parquet", {"x": values}, row_group_size=groups)
            first += count
        manifest = opened(folder, rows_per_part=per_part)
        parts = [one.part for one in manifest.slices]
        assert sum(one.rows for one in manifest.slices) == manifest.rows == sum(counts)
        wanted = data.draw(st.none() | st.sets(st.sampled_from(parts)))
        expected = [one for one in manifest.slices if wanted is None or one.part in wanted]
        read = []
        for chunk in manifest.read(("x",), wanted):
            place = chunk.slice.position + chunk.start
            assert chunk.table.column("x").to_pylist() == list(range(place, place + chunk.table.num_rows))
            assert 0 < chunk.table.num_rows <= chunk.slice.rows - chunk.start
            read += [(chunk.slice.part, chunk.start + row) for row in range(chunk.table.num_rows)]
        assert read == [(one.part, row) for one in expected for row in range(one.rows)]


def test_the_samples_own_manifest_can_be_opened() -> None:
    sample = Path(__file__).parents[1] / "data" / "samples" / "manifest.parquet"
    manifest = opened(sample, id_column="id", image_columns=["image_url"])
    assert manifest.rows == pq.read_metadata(sample).num_rows
