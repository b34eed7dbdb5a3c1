"""A folder of files: what a user names is found, what is written stands whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from parquill.errors import ManifestError, OutputError, StorageFaultError, StorageFullError
from parquill.storage import ByteSink, Disk, Storage, split_glob
from tests.disks import LATER, Died, DyingDisk, FailingDisk, ForgetfulDisk

STEPS_OF_A_WRITE = ["create", "write", "sync", "rename", "sync_folder"]


def content(storage: Storage) -> dict[str, bytes]:
    return {entry.name: storage.read_bytes(entry.name) for entry in storage.files()}


def test_what_is_written_can_be_read_listed_and_removed(tmp_path: Path) -> None:
    storage = Storage.at(tmp_path / "new" / "folder")
    storage.make_ready()
    written = storage.write_whole("a.json", lambda sink: sink.write(b"one"))
    assert (written.bytes, written.sha256) == (3, hashlib.sha256(b"one").hexdigest())
    assert storage.checksum("a.json") == written.sha256
    assert storage.exists("a.json")
    assert not storage.exists("b.json")
    assert [(entry.name, entry.size) for entry in storage.files()] == [("a.json", 3)]
    storage.remove("a.json")
    storage.remove("a.json")
    assert storage.files() == []


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert Storage.at(tmp_path / "none").files() == []


def test_a_write_takes_its_steps_in_the_order_that_survives_a_power_cut(tmp_path: Path) -> None:
    disk = DyingDisk()
    Storage.at(tmp_path, disk=disk).write_whole("x", lambda sink: sink.write(b"1"))
    assert disk.steps == STEPS_OF_A_WRITE


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", range(len(STEPS_OF_A_WRITE)))
def test_a_process_that_dies_while_writing_leaves_the_old_file_or_the_new(
    tmp_path: Path, step: int, *, after: bool
) -> None:
    Storage.at(tmp_path).write_whole("x", lambda sink: sink.write(b"old"))
    with pytest.raises(Died):
        Storage.at(tmp_path, disk=DyingDisk(step, after=after)).write_whole("x", lambda sink: sink.write(b"new"))
    storage = Storage.at(tmp_path)
    renamed = (step, after) >= (STEPS_OF_A_WRITE.index("rename"), True)
    assert storage.read_bytes("x") == (b"new" if renamed else b"old")
    storage.remove_leftovers(LATER)
    assert content(storage) == {"x": b"new" if renamed else b"old"}


@pytest.mark.parametrize("step", [*range(len(STEPS_OF_A_WRITE)), None])
def test_a_power_cut_leaves_the_old_file_or_the_new_and_the_new_once_the_write_has_returned(
    tmp_path: Path, step: int | None
) -> None:
    for seed in range(20):
        folder = tmp_path / str(seed)
        folder.mkdir()
        disk = ForgetfulDisk()
        Storage.at(folder, disk=disk).write_whole("x", lambda sink: sink.write(b"old" * 100))
        disk.die_at(step)
        try:
            Storage.at(folder, disk=disk).write_whole("x", lambda sink: sink.write(b"new" * 100))
            returned = True
        except Died:
            returned = False
        disk.cut(folder, random.Random(seed))
        found = (folder / "x").read_bytes()
        assert found == b"new" * 100 or (found == b"old" * 100 and not returned)


@pytest.mark.parametrize("step", STEPS_OF_A_WRITE)
def test_a_failing_step_names_the_file_and_leaves_the_old_one(tmp_path: Path, step: str) -> None:
    Storage.at(tmp_path).write_whole("x", lambda sink: sink.write(b"old"))
    broken = Storage.at(tmp_path, disk=FailingDisk(step, OSError(errno.EIO, "Input/output error")))
    with pytest.raises(StorageFaultError, match=r"/x: writing it failed: Input/output error"):
        broken.write_whole("x", lambda sink: sink.write(b"new"))
    found = content(Storage.at(tmp_path))
    assert list(found) == ["x"]
    assert found["x"] == (b"new" if step == "sync_folder" else b"old")


def test_a_full_disk_is_told_from_a_broken_one(tmp_path: Path) -> None:
    full = Storage.at(tmp_path, disk=FailingDisk("write", OSError(errno.ENOSPC, "No space left on device")))
    with pytest.raises(StorageFullError, match=r"/x: no space left.*free some space"):
        full.write_whole("x", lambda sink: sink.write(b"new"))
    assert full.files() == []


def test_what_a_check_refuses_never_appears(tmp_path: Path) -> None:
    def refuse(file: object) -> None:
        raise StorageFaultError("not what was meant")

    with pytest.raises(StorageFaultError, match="not what was meant"):
        Storage.at(tmp_path).write_whole("x", lambda sink: sink.write(b"1"), refuse)
    assert list(tmp_path.iterdir()) == []


def test_leftovers_are_hidden_from_readers_and_go_at_the_next_start(tmp_path: Path) -> None:
    with pytest.raises(Died):
        Storage.at(tmp_path, disk=DyingDisk(3)).write_whole("a.parquet", lambda sink: sink.write(b"1"))
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".")
    assert not left.name.endswith(".parquet")
    (tmp_path / ".part-of-mine").touch()
    assert Storage.at(tmp_path).remove_leftovers(LATER) == 1
    assert [path.name for path in tmp_path.iterdir()] == [".part-of-mine"]


def test_a_write_that_is_under_way_keeps_its_temporary_file_when_the_folder_is_cleared(tmp_path: Path) -> None:
    """An attempts table lost half its files: each write made the folder ready and so removed the others'."""

    def others_start(sink: ByteSink) -> None:
        sink.write(b"1")
        Storage.at(tmp_path).make_ready()
        assert Storage.at(tmp_path).remove_leftovers(LATER) == 0
        clear = f"from parquill.storage import Storage; print(Storage.at({str(tmp_path)!r}).remove_leftovers({LATER}))"
        assert subprocess.run([sys.executable, "-c", clear], capture_output=True, check=True).stdout == b"0\n"

    Storage.at(tmp_path).write_whole("x", others_start)
    assert content(Storage.at(tmp_path)) == {"x": b"1"}


def test_leftovers_younger_than_the_start_stay(tmp_path: Path) -> None:
    (tmp_path / f".part-{'0' * 32}.tmp").touch()
    os.utime(tmp_path / f".part-{'0' * 32}.tmp", (1000, 1000))
    assert Storage.at(tmp_path).remove_leftovers(1000) == 0
    assert Storage.at(tmp_path).remove_leftovers(1000.001) == 1


def test_without_locks_only_leftovers_older_than_a_day_go(tmp_path: Path) -> None:
    class Lockless(Disk):
        def is_written(self, path: Path) -> bool | None:
            return None

    (tmp_path / f".part-{'0' * 32}.tmp").touch()
    os.utime(tmp_path / f".part-{'0' * 32}.tmp", (1000, 1000))
    storage = Storage.at(tmp_path, disk=Lockless())
    assert storage.remove_leftovers(1000 + 86_400) == 0
    assert storage.remove_leftovers(1001 + 86_400) == 1


def test_a_folder_that_cannot_be_written_to_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"file/out: this folder cannot be written to: Not a directory"):
        Storage.at(tmp_path / "file" / "out").make_ready()
    read_only = Storage.at(tmp_path, disk=FailingDisk("create", OSError(errno.EROFS, "Read-only file system")))
    with pytest.raises(OutputError, match="Read-only file system"):
        read_only.make_ready()


def test_reading_faults_are_the_callers_kind_and_name_the_place(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"/none\.parquet: there is no such file"):
        Storage.at(tmp_path, fault=ManifestError).open("none.parquet")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match=r"/folder: cannot be read"):
        Storage.at(tmp_path).read_bytes("folder")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.parquet", ["a.parquet", "b.parquet"]),
        ("**/*.parquet", ["a.parquet", "b.parquet", "d/e.parquet", "d/f/g.parquet"]),
        ("d/*.parquet", ["d/e.parquet"]),
        ("[!b].parquet", ["a.parquet"]),
        ("?.csv", ["c.csv"]),
        ("d/**/g.parquet", ["d/f/g.parquet"]),
        ("a+.parquet", []),
    ],
)
def test_patterns_find_files_by_their_names(tmp_path: Path, pattern: str, expected: list[str]) -> None:
    for name in ("a.parquet", "b.parquet", "c.csv", "d/e.parquet", "d/f/g.parquet"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [entry.name for entry in Storage.at(tmp_path).glob(pattern)] == expected


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("data/in", ("data/in", None)),
        ("data/*/x.parquet", ("data", "*/x.parquet")),
        ("*.parquet", (".", "*.parquet")),
        ("/*.parquet", ("/", "*.parquet")),
        ("s3://bucket/in/*.parquet", ("s3://bucket/in", "*.parquet")),
        ("s3://bucket/*.parquet?region=eu-1", ("s3://bucket?region=eu-1", "*.parquet")),
        ("s3://bucket/in?region=eu-1", ("s3://bucket/in?region=eu-1", None)),
    ],
)
def test_a_place_is_cut_at_its_first_wildcard(location: str, expected: tuple[str, str | None]) -> None:
    assert split_glob(location) == expected


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("ftp://host/x", r"ftp:// is not known; use a local path, s3://, gs:// or az://"),
        ("az://container/x", "write az://ACCOUNT@CONTAINER/path"),
        ("s3://key:hush@bucket/x?nonsense=1", r"s3://\*\*\*@bucket/x.*cannot be used"),
        ("s3://key:a/hush+=@bucket/x?nonsense=1", r"s3://\*\*\*@bucket/x.*cannot be used"),
        ("az://account:a/hush+==@box/x?nonsense=1", r"az://\*\*\*@box/x.*nonsense is not known"),
        ("az://account@box/x?enable_tls=false", r"without TLS only an account's key"),
    ],
)
def test_a_place_that_cannot_be_is_refused_without_showing_its_secrets(location: str, message: str) -> None:
    with pytest.raises(ManifestError, match=message) as caught:
        Storage.at(location, fault=ManifestError)
    assert "hush" not in str(caught.value)


def test_remote_places_show_no_credentials() -> None:
    storage = Storage.at("s3://key:hush@bucket/out/?region=eu-1")
    assert storage.where("x") == "s3://***@bucket/out/x"
    assert not storage.is_local
    assert (storage.local_path, storage.free_bytes()) == (None, None)


def test_free_room_is_known_before_the_folder_is_there(tmp_path: Path) -> None:
    free = Storage.at(tmp_path / "a" / "b").free_bytes()
    assert free is not None
    assert free > 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_the_real_disk_reports_that_it_is_full() -> None:
    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(OSError, match="No space left"):
        Disk().write(full, b"x" * 10)
