"""The folder beside an output: one place for each file, one process at a time."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from parquill.errors import OutputError
from parquill.storage import Disk
from parquill.workspace import Workspace
from tests.clock import ManualClock

HOLD_AND_DIE = """
import os, sys
from pathlib import Path
from parquill.workspace import Workspace
lock = Workspace.of(sys.argv[1], Path("unused")).lock()
lock.__enter__()
if sys.argv[2] == "fork" and os.fork() == 0:
    os.close(1)
    sys.stdin.read()
    os._exit(0)
print("held", flush=True)
if sys.argv[2] == "wait":
    sys.stdin.read()
os.kill(os.getpid(), 9)
"""


def other_process(output: Path, mode: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLD_AND_DIE, str(output), mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def test_a_local_output_has_its_workspace_beside_it(tmp_path: Path) -> None:
    workspace = Workspace.of(f"{tmp_path}/out/x/", tmp_path / "state")
    assert workspace.folder == tmp_path / "out" / "x.parquill"
    assert workspace.ledger == workspace.folder / "ledger.sqlite"


def test_a_relative_output_stays_where_it_is_when_the_working_directory_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    workspace = Workspace.of("out/x", tmp_path / "state")
    monkeypatch.chdir("/")
    assert workspace.folder == tmp_path / "out" / "x.parquill"


def test_remote_outputs_have_workspaces_of_their_own_that_show_no_credentials(tmp_path: Path) -> None:
    one = Workspace.of("s3://key:hush@bucket/out", tmp_path)
    same = Workspace.of("s3://key:hush@bucket/out/", tmp_path)
    other = Workspace.of("s3://key:hush@bucket/out?endpoint_override=127.0.0.1:9000", tmp_path)
    assert one == same
    assert one.folder != other.folder
    assert one.folder.parent == tmp_path
    assert re.fullmatch(r"s3-bucket-out-[0-9a-f]{16}", one.folder.name)
    assert "hush" not in repr(one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("s3://key:hush@bucket/out", "s3://new:to/ken@bucket/out?region=eu-1"),
        ("s3://key:hush@bucket/a@b", "s3://bucket/a@b"),
        ("gs://anonymous@bucket/out", "gs://bucket/out"),
        ("az://account:k/ey==@box/out", "az://account@box/out?sv=2026-01-01&sig=abc"),
    ],
)
def test_another_key_opens_the_same_workspace(tmp_path: Path, one: str, other: str) -> None:
    """A token that is changed between two starts must not hide the ledger, and what it says was paid."""
    assert Workspace.of(one, tmp_path).folder == Workspace.of(other, tmp_path).folder


def test_accounts_and_servers_have_workspaces_of_their_own(tmp_path: Path) -> None:
    places = ["az://a@box/out", "az://b@box/out", "s3://box/out", "s3://box/out?endpoint_override=127.0.0.1:9"]
    assert len({Workspace.of(place, tmp_path).folder for place in places}) == 4


def test_a_second_run_is_refused_with_the_first_ones_process_and_start(tmp_path: Path) -> None:
    workspace = Workspace.of(f"{tmp_path}/out", tmp_path)
    with workspace.lock(ManualClock(wall=1_790_000_000)):
        with pytest.raises(OutputError) as caught, workspace.lock():
            pytest.fail("two runs have one output")
        assert f"in use by process {os.getpid()} on " in str(caught.value)
        assert "2026-09-21T14:13:20+00:00" in str(caught.value)
    with workspace.lock():
        pass


def test_only_the_process_that_has_the_workspace_removes_what_interrupted_writes_left(tmp_path: Path) -> None:
    workspace = Workspace.of(f"{tmp_path}/out", tmp_path)
    folders = [workspace.folder, workspace.attempts, workspace.drift, workspace.runs, workspace.portions]

    def leave() -> list[Path]:
        left = [folder / f".part-{'0' * 32}.tmp" for folder in folders]
        for path in left:
            path.parent.mkdir(exist_ok=True)
            path.touch()
            os.utime(path, (1000, 1000))
        return left

    with workspace.lock():
        left = leave()
        with pytest.raises(OutputError), workspace.lock():
            pytest.fail("two runs have one output")
        workspace.make_ready()  # as a report or an estimate does beside a run
        assert all(path.exists() for path in left)
    with workspace.lock():
        assert not any(path.exists() for path in left)


def test_another_process_is_kept_out_too(tmp_path: Path) -> None:
    with other_process(tmp_path / "out", "wait") as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(OutputError, match=f"in use by process {other.pid} "):
            Workspace.of(f"{tmp_path}/out", tmp_path).lock().__enter__()
        other.communicate()


def test_the_lock_of_a_dead_process_is_taken_over_though_its_file_still_names_it(tmp_path: Path) -> None:
    with other_process(tmp_path / "out", "die") as other:
        other.communicate()
    workspace = Workspace.of(f"{tmp_path}/out", tmp_path)
    assert f'"pid":{other.pid}' in (workspace.folder / "lock").read_text()
    with workspace.lock():
        pass


def test_a_child_that_outlives_its_parent_does_not_keep_the_lock(tmp_path: Path) -> None:
    with other_process(tmp_path / "out", "fork") as other:
        assert other.stdout is not None
        assert other.stdout.read() == b"held\n"
        other.wait()
        with Workspace.of(f"{tmp_path}/out", tmp_path).lock():
            pass


def test_a_lock_file_without_a_name_in_it_still_locks(tmp_path: Path) -> None:
    workspace = Workspace.of(f"{tmp_path}/out", tmp_path)
    with workspace.lock():
        (workspace.folder / "lock").write_bytes(b"")
        with pytest.raises(OutputError, match="in use by another process"):
            workspace.lock().__enter__()


def test_a_run_without_room_is_refused_before_it_starts(tmp_path: Path) -> None:
    class SmallDisk(Disk):
        def free_bytes(self, path: Path) -> int:
            return 1_500_000_000

    workspace = Workspace.of(f"{tmp_path}/out", tmp_path)
    workspace.check_free(1_500_000_000, SmallDisk())
    with pytest.raises(OutputError, match=r"may need 2\.4 GB here, 1\.5 GB are free"):
        workspace.check_free(2_400_000_000, SmallDisk())


def test_a_workspace_that_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out.parquill").touch()
    with pytest.raises(OutputError, match="is a link or no folder"):
        Workspace.of(f"{tmp_path}/out", tmp_path).make_ready()
