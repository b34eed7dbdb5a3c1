"""Parts: every reader takes the folder, a reader never sees half a part, damage is told."""

from __future__ import annotations

import dataclasses
import errno
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from parquill.errors import OutputError, StorageFaultError, StorageFullError
from parquill.results import (
    CostSource,
    PartInfo,
    Status,
    output_schema,
    part_key,
    part_name,
    read_manifest,
    read_part,
    read_part_info,
    result_table,
    write_manifest,
    write_part,
)
from parquill.storage import Disk, Storage
from tests.disks import LATER, Died, DyingDisk, FailingDisk, ForgetfulDisk, small_disk
from tests.test_results import FAILED, MANIFEST, OK, SCHEMA, to_arrow

ABOUT = {"part_id": "p1", "slice_digest": "d1", "settings": "s1", "job": "job", "prices": {"prompt": "0.02"}}
TABLE = result_table(SCHEMA, MANIFEST, [OK, FAILED, dataclasses.replace(OK, provider="emulator")], to_arrow)
NAME = part_name("a", 0)


def as_text(answers: list[Any]) -> pa.Array:
    return pa.array(answers, pa.string())


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage.at(tmp_path)


def test_a_parts_footer_tells_what_it_holds(storage: Storage) -> None:
    info = write_part(storage, NAME, TABLE, ABOUT)
    assert info == PartInfo(
        name="a.000000.parquet",
        part_id="p1",
        rows=3,
        ok=2,
        failed=1,
        not_attempted=0,
        by_error_kind={"timeout": 1},
        requests=6,
        cost_pico=2 * 7_880_000,
        prompt_tokens=620,
        completion_tokens=126,
        emulator_rows=1,
        unknown_cost_rows=1,
        slice_digest="d1",
        settings="s1",
        meta={"job": "job", "prices": {"prompt": "0.02"}},
        bytes=(storage.files()[0]).size,
        sha256=storage.checksum(NAME),
    )
    assert read_part_info(storage, NAME) == dataclasses.replace(info, sha256=None)


def test_a_part_reads_back_with_its_schema_and_rows(storage: Storage) -> None:
    write_part(storage, NAME, TABLE, ABOUT)
    assert read_part(storage, NAME).equals(TABLE)
    assert read_part(storage, NAME).schema.equals(SCHEMA)
    assert read_part(storage, NAME, ["id", "status"]).column_names == ["id", "status"]


def test_every_reader_takes_the_folder_as_it_is_leftovers_and_all(tmp_path: Path) -> None:
    import duckdb
    import pandas as pd
    import polars as pl

    storage = Storage.at(tmp_path)
    write_part(storage, part_name("a", 0), TABLE, ABOUT)
    write_part(storage, part_name("a", 1), result_table(SCHEMA, MANIFEST, [FAILED] * 3, to_arrow), ABOUT)
    with pytest.raises(Died):
        write_part(Storage.at(tmp_path, disk=DyingDisk(4)), part_name("a", 2), TABLE, ABOUT)
    ids = ["a", "b", "c"] * 2
    assert ds.dataset(tmp_path).to_table().sort_by("n").num_rows == 6
    assert pd.read_parquet(tmp_path)["id"].tolist() == ids
    assert pq.read_table(tmp_path).column("id").to_pylist() == ids
    assert pl.read_parquet(tmp_path / "*.parquet")["id"].to_list() == ids
    duck = duckdb.sql(f"SELECT sum(cost_usd) AS cost, count(answer.caption) AS said FROM '{tmp_path}/*.parquet'")
    assert str(duck.fetchall()[0]) == "(Decimal('0.000015760000'), 2)"


def test_a_part_written_again_takes_the_old_ones_place(storage: Storage) -> None:
    write_part(storage, NAME, TABLE, ABOUT)
    write_part(storage, NAME, TABLE.slice(0, 0), ABOUT | {"part_id": "p2"})
    assert read_part_info(storage, NAME).part_id == "p2"
    assert len(storage.files()) == 1


def test_a_part_needs_to_say_which_slice_and_settings_it_is_of(storage: Storage) -> None:
    with pytest.raises(ValueError, match="lack part_id, settings"):
        write_part(storage, NAME, TABLE, {"slice_digest": "d"})


def steps_of_a_part(folder: Path) -> int:
    disk = DyingDisk()
    write_part(Storage.at(folder, disk=disk), "other.parquet", TABLE, ABOUT)
    Storage.at(folder).remove("other.parquet")
    return len(disk.steps)


def test_a_reader_sees_the_old_part_or_the_new_one_wherever_the_writer_dies(tmp_path: Path) -> None:
    steps = steps_of_a_part(tmp_path)
    for step in (0, 1, 2, steps // 2, *range(steps - 5, steps)):
        write_part(Storage.at(tmp_path), NAME, TABLE, ABOUT)
        with pytest.raises(Died):
            write_part(Storage.at(tmp_path, disk=DyingDisk(step)), NAME, TABLE, ABOUT | {"part_id": "p2"})
        storage = Storage.at(tmp_path)
        assert read_part(storage, NAME).equals(TABLE)
        storage.remove_leftovers(LATER)
        assert [entry.name for entry in storage.files()] == [NAME]


def test_a_part_stands_after_a_power_cut_once_it_was_written(tmp_path: Path) -> None:
    for seed in range(10):
        disk = ForgetfulDisk()
        folder = tmp_path / str(seed)
        folder.mkdir()
        write_part(Storage.at(folder, disk=disk), NAME, TABLE, ABOUT)
        disk.cut(folder, random.Random(seed))
        assert read_part(Storage.at(folder), NAME).equals(TABLE)


class LyingDisk(Disk):
    """Says that it wrote, and did not."""

    def write(self, file: Any, data: bytes) -> None:
        super().write(file, bytes(len(data)))


def test_a_part_that_does_not_read_back_never_appears(tmp_path: Path) -> None:
    with pytest.raises(StorageFaultError, match=r"a\.000000\.parquet"):
        write_part(Storage.at(tmp_path, disk=LyingDisk()), NAME, TABLE, ABOUT)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_sync_is_a_fault_that_names_the_part(tmp_path: Path) -> None:
    broken = Storage.at(tmp_path, disk=FailingDisk("sync", OSError(errno.EIO, "Input/output error")))
    with pytest.raises(StorageFaultError, match=r"a\.000000\.parquet: writing it failed: Input/output error"):
        write_part(broken, NAME, TABLE, ABOUT)


def test_a_part_that_finds_no_room_leaves_the_old_one_and_fits_later(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", "1m") as folder:
        storage = Storage.at(folder)
        write_part(storage, NAME, TABLE, ABOUT)
        schema = output_schema(pa.field("id", pa.string()), [pa.field("n", pa.binary())], pa.string())
        manifest = pa.table({"id": ["a"], "n": [random.Random(1).randbytes(2_000_000)]})
        large = result_table(schema, manifest, [FAILED], as_text)
        with pytest.raises(StorageFullError, match=r"a\.000000\.parquet: no space left on the disk"):
            write_part(storage, NAME, large, ABOUT)
        assert [entry.name for entry in storage.files()] == [NAME]
        assert read_part(storage, NAME).equals(TABLE)


def test_a_file_that_is_no_part_of_ours_is_named(storage: Storage, tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1]}), tmp_path / "theirs.parquet")
    with pytest.raises(OutputError, match=r"theirs\.parquet: this file was not written by Parquill"):
        read_part_info(storage, "theirs.parquet")


@pytest.mark.parametrize("footer", [b"null", b"[1]", b'{"rows": 3}', b"\xff"])
def test_a_footer_that_only_looks_like_ours_is_refused(storage: Storage, tmp_path: Path, footer: bytes) -> None:
    pq.write_table(pa.table({"x": [1]}).replace_schema_metadata({b"parquill": footer}), tmp_path / "odd.parquet")
    with pytest.raises(OutputError, match="not written by Parquill"):
        read_part_info(storage, "odd.parquet")


def test_a_part_whose_rows_are_not_its_footers_is_refused(storage: Storage, tmp_path: Path) -> None:
    write_part(storage, NAME, TABLE, ABOUT)
    pq.write_table(pq.ParquetFile(tmp_path / NAME).read().slice(0, 1), tmp_path / NAME)
    with pytest.raises(OutputError, match="tells of 3 rows, it holds 1"):
        read_part_info(storage, NAME)


def test_a_part_cut_anywhere_is_damaged_never_shorter(storage: Storage, tmp_path: Path) -> None:
    write_part(storage, NAME, TABLE, ABOUT)
    whole = (tmp_path / NAME).read_bytes()
    for length in range(0, len(whole), 97):
        (tmp_path / NAME).write_bytes(whole[:length])
        with pytest.raises(OutputError, match=r"a\.000000\.parquet: this part is damaged and cannot be read"):
            read_part_info(storage, NAME)


def test_a_changed_byte_in_the_data_is_damage(storage: Storage, tmp_path: Path) -> None:
    write_part(storage, NAME, TABLE, ABOUT)
    whole = bytearray((tmp_path / NAME).read_bytes())
    at = pq.read_metadata(tmp_path / NAME).row_group(0).column(0).data_page_offset + 40
    whole[at] ^= 0x40
    (tmp_path / NAME).write_bytes(whole)
    with pytest.raises(OutputError, match="this part is damaged"):
        read_part(storage, NAME)


def test_large_parts_have_row_groups_of_bounded_size(storage: Storage, tmp_path: Path) -> None:
    rows = 70_000
    schema = output_schema(pa.field("id", pa.int64()), [], pa.string())
    manifest = pa.table({"id": range(rows)})
    write_part(storage, NAME, result_table(schema, manifest, [FAILED] * rows, as_text), ABOUT)
    assert pq.read_metadata(tmp_path / NAME).num_row_groups == 2


def test_the_list_of_parts_reads_back(storage: Storage) -> None:
    parts = [write_part(storage, part_name("a", number), TABLE, ABOUT) for number in (1, 0)]
    write_manifest(storage, "manifest.json", parts, {"job": "job"})
    read, listing = read_manifest(storage, "manifest.json")
    assert read == {part.name: part for part in parts}
    assert list(read) == ["a.000000.parquet", "a.000001.parquet"]
    assert (listing["job"], listing["sums"]["rows"], listing["sums"]["cost_pico"]) == ("job", 6, 4 * 7_880_000)


def test_a_damaged_or_newer_list_of_parts_is_told(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"format": 1, "parts": [{"name": "a"}]}')
    with pytest.raises(OutputError, match="this list of parts is damaged; remove it"):
        read_manifest(storage, "manifest.json")
    (tmp_path / "manifest.json").write_text('{"format": 2, "parts": []}')
    with pytest.raises(OutputError, match=r"newer Parquill \(format 2\); update"):
        read_manifest(storage, "manifest.json")


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("manifest.parquet", "manifest"),
        ("2026/day=11/a-b_c.parquet", "2026+day=11+a-b_c"),
        ("_hidden.parquet", "~5Fhidden"),
        ("a b+c~d.parquet", "a~20b~2Bc~7Ed"),
        ("fotos/märz.parquet", "fotos+m~C3~A4rz"),
        ("people.jsonl", "people~2Ejsonl~"),
        ("a.csv.parquet", "a~2Ecsv"),
    ],
)
def test_keys_spell_a_source_files_path(path: str, key: str) -> None:
    assert part_key(path) == key


def test_a_source_file_has_a_bounded_number_of_slices() -> None:
    assert part_name("a", 999_999) == "a.999999.parquet"
    with pytest.raises(OutputError, match=r"1,000,000 parts at most; use a larger output\.rows_per_part"):
        part_name("a", 1_000_000)


def test_statuses_and_sources_are_the_contracts_words() -> None:
    assert [str(status) for status in Status] == ["ok", "failed", "not_attempted"]
    assert CostSource.REUSED == "reused"
