"""A value that does not fit its type, or Python, is its own row's error; the other rows keep theirs."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from parquill.errors import ManifestError
from parquill.init_job import starter_job
from parquill.manifest import Chunk, RowsDigest
from parquill.results import python_values, row_values
from tests.manifests import opened, parquet
from tests.unfit import UNFIT, column


def _chunk(path: Path, **settings: str) -> Chunk:
    (chunk,) = opened(path, **settings).read(("x",))
    return chunk


@pytest.mark.parametrize("name", UNFIT)
def test_only_the_row_of_a_value_that_does_not_fit_says_so(tmp_path: Path, name: str) -> None:
    chunk = _chunk(parquet(tmp_path / "m.parquet", {"x": column(name)}))
    chunk.table.validate(full=True)
    values, faults = chunk.cells("x")
    assert list(faults) == [1]
    assert values[0] is not None and values[2] is not None
    assert "broken" not in faults[1], "no content of a row stands in a message"


def test_a_broken_text_keeps_what_can_be_read_of_it(tmp_path: Path) -> None:
    chunk = _chunk(parquet(tmp_path / "m.parquet", {"x": column("text")}))
    assert chunk.table.column("x").to_pylist() == ["a good text", "a broken \ufffd\ufffd text", "another"]
    assert chunk.cells("x")[1] == {1: "a text that is not UTF-8"}


def test_notices_about_rows_go_with_them_into_their_slices(tmp_path: Path) -> None:
    path = parquet(tmp_path / "m.parquet", {"x": pa.concat_arrays([column("text")] * 3)})
    told = [dict(chunk.unfit["x"]) for chunk in opened(path, rows_per_part=2).read(("x",))]
    why = "a text that is not UTF-8"
    assert told == [{1: why}, {}, {0: why}, {1: why}, {}]


def test_an_unknown_zone_is_reported_for_every_row_that_has_a_time() -> None:
    times = pa.array([0, None, 1], pa.timestamp("us", "Mars/Olympus"))
    values, faults = python_values(times)
    assert (values, list(faults)) == ([None, None, None], [0, 2])
    assert row_values(pa.record_batch([times, pa.array([1, 2, 3])], ["at", "n"]), 0)["n"] == 1


def test_two_fields_of_one_name_are_reported_for_their_rows_and_have_a_digest() -> None:
    twice = pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    assert list(python_values(twice)[1]) == [0]
    digests = set()
    for number in (2, 3):
        digest = RowsDigest(b"")
        pairs = pa.StructArray.from_arrays([pa.array([1]), pa.array([number])], names=["a", "a"])
        digest.add(pa.table({"x": pa.MapArray.from_arrays([0, 1], pa.array(["k"]), pairs)}))
        digests.add(digest.hexdigest())
    assert len(digests) == 2, "another value, another digest, also where Python has none for it"


@pytest.mark.parametrize("name", ["text", "day"])
def test_an_id_that_cannot_be_read_is_refused_with_its_row(tmp_path: Path, name: str) -> None:
    from parquill.planning.scan import scan

    manifest = opened(parquet(tmp_path / "m.parquet", {"x": column(name)}), id_column="x")
    with pytest.raises(ManifestError, match=r"manifest\.id_column: 'x' holds a .* in .*m\.parquet row 1"):
        scan(manifest, ("x",), settings=b"", stamp=lambda _: b"")


def test_a_column_name_that_is_no_text_is_reported_for_the_file(tmp_path: Path) -> None:
    path = parquet(tmp_path / "m.parquet", {"name_of_it": [1]}, store_schema=False)
    path.write_bytes(path.read_bytes().replace(b"name_of_it", b"name_\xff\xfe_it"))
    with pytest.raises(
        ManifestError, match=r"m\.parquet: cannot be read as parquet: the name of a column is not UTF-8"
    ):
        opened(path)


@pytest.mark.parametrize(
    ("line", "read"),
    [
        (b'{"x": "cut \\ud83d"}', "cut \ufffd"),
        (b'{"x": "cut \xf0\x9f"}', "cut \ufffd"),
        (b'{"x": "\\udc00\\ud83d\\ude00"}', "\ufffd\U0001f600"),
    ],
)
def test_half_an_emoji_in_a_line_of_json_is_its_row_s_alone(tmp_path: Path, line: bytes, read: str) -> None:
    path = tmp_path / "m.jsonl"
    path.write_bytes(b'{"x": "one"}\n' + line + b'\n{"x": "\\\\ud83d, an escaped backslash"}\n')
    chunk = _chunk(path)
    assert chunk.cells("x") == (["one", read, "\\ud83d, an escaped backslash"], {1: "a text that is not UTF-8"})


def test_a_broken_cell_of_a_csv_file_is_its_row_s_alone(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_bytes(b"id,x\n1,one\n2,br\xf6ken\n3,three\n")
    chunk = _chunk(path, id_column="id")
    assert chunk.cells("x") == (["one", "br\ufffdken", "three"], {1: "a text that is not UTF-8"})


@pytest.mark.parametrize("name", UNFIT)
def test_a_job_can_be_begun_with_a_manifest_that_holds_such_a_value(tmp_path: Path, name: str) -> None:
    path = parquet(tmp_path / "m.parquet", {"id": ["a", "b", "c"], "x": column(name)})
    assert "manifest:" in starter_job(str(path))


def test_pages_of_a_table_that_python_cannot_hold_are_shown_with_a_note(tmp_path: Path) -> None:
    path = parquet(tmp_path / "m.parquet", {"x": column("year 10000"), "n": [1, 2, 3]})
    (batch,) = pq.read_table(path).to_batches()
    assert row_values(batch, 1) == {"x": "(a timestamp[us] beyond what can be read (years 1 to 9999))", "n": 2}
