"""What lies beside an output may come from another user: links, other people's files, orders, nonsense."""

from __future__ import annotations

import json
import os
import random
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from parquill.clock import SystemClock
from parquill.errors import OutputError, ParquillError
from parquill.estimation import estimate_job
from parquill.job import Job, load_job, state_home
from parquill.planning.selection import EVERY
from parquill.portions import share_here
from parquill.portions.work_order import WorkOrder, order_of
from parquill.report.write import write_report
from parquill.running import run_job
from parquill.storage import check_private
from parquill.summary import RunSummary
from parquill.verification import verify_job
from parquill.workspace import Workspace

KEPT = "years of work"


def job_in(folder: Path, **output: Any) -> Job:
    pq.write_table(pa.table({"id": ["a", "b", "c", "d"], "t": list("wxyz")}), folder / "m.parquet")
    return load_job(
        {
            "name": "planted",
            "manifest": {"path": str(folder / "m.parquet"), "id_column": "id"},
            "prompt": {"user_column": "t"},
            "output": {"path": str(folder / "out"), "keep_attempts": True, **output},
            "model": {"endpoint": "emulator"},
        }
    )


def beside(job: Job) -> Path:
    return Workspace.of(job.output.path, state_home()).folder


def names_in(folder: Path) -> list[Path]:
    return sorted(path.relative_to(folder) for path in folder.rglob("*"))


async def everything(job: Job) -> RunSummary:
    summary = await run_job(job)
    await estimate_job(job)
    await write_report(job)
    assert verify_job(job).holds
    return summary


@pytest.fixture(params=[0o022, 0o000, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


async def test_parts_follow_the_umask_and_all_else_is_for_its_owner_alone(tmp_path: Path, umask: int) -> None:
    job = job_in(tmp_path)
    await everything(job)
    assert stat.S_IMODE(beside(job).stat().st_mode) == 0o700
    for path in beside(job).rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    parts = [path for path in (tmp_path / "out").iterdir() if path.suffix == ".parquet"]
    assert [stat.S_IMODE(part.stat().st_mode) for part in parts] == [0o666 & ~umask]


async def test_a_shared_output_keeps_the_permissions_that_the_umask_gives(tmp_path: Path) -> None:
    before = os.umask(0o002)
    try:
        job = job_in(tmp_path, shared=True)
        await everything(job)
        modes = {stat.S_IMODE(path.stat().st_mode) for path in (beside(job), *beside(job).rglob("*"))}
        assert modes <= {0o775, 0o664, 0o600, 0o644}
        beside(job).chmod(0o777)
        await everything(job)
        assert stat.S_IMODE(beside(job).stat().st_mode) == 0o777
    finally:
        os.umask(before)


async def test_an_older_looser_folder_is_closed_and_goes_on_with_no_request(tmp_path: Path) -> None:
    job = job_in(tmp_path)
    await everything(job)
    for path in (beside(job), *beside(job).rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)
    assert (await everything(job)).requests == 0
    assert {stat.S_IMODE(path.stat().st_mode) for path in beside(job).rglob("*")} <= {0o700, 0o600}
    assert stat.S_IMODE(beside(job).stat().st_mode) == 0o700


async def test_no_file_beside_an_output_is_written_or_read_through_a_link(tmp_path: Path) -> None:
    job = job_in(tmp_path)
    await everything(job)
    names = names_in(beside(job))
    assert {"lock", "ledger.sqlite", "emulator.jsonl", "estimate.json", "report.html", "runs"} <= {*map(str, names)}
    for shared in (False, True):
        for number, name in enumerate([*names, Path("portions"), Path("drift"), Path("ledger.sqlite-wal")]):
            folder = tmp_path / f"{shared}-{number}"
            folder.mkdir()
            other, victim = job_in(folder, shared=shared), folder / "important"
            victim.write_text(KEPT)
            link = beside(other) / name
            link.parent.mkdir(parents=True)
            link.symlink_to(victim)
            for attempt in (run_job, estimate_job, write_report):
                with pytest.raises(OutputError, match="link or no plain file"):
                    await attempt(other)
            with pytest.raises(OutputError, match="link or no plain file"):
                verify_job(other)
            assert victim.read_text() == KEPT


async def test_a_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    job, other_outputs = job_in(tmp_path), tmp_path / "elsewhere"
    other_outputs.mkdir()
    beside(job).symlink_to(other_outputs)
    with pytest.raises(OutputError, match="is a link or no folder"):
        await run_job(job)
    assert list(other_outputs.iterdir()) == []


def test_a_file_with_another_name_is_refused_where_others_could_have_put_it(tmp_path: Path) -> None:
    folder, victim = tmp_path / "x.parquill", tmp_path / "important"
    folder.mkdir(mode=0o700)
    victim.write_text(KEPT)
    os.link(victim, folder / "lock")
    check_private(folder, shared=False)  # a copy made of hard links, by ourselves
    folder.chmod(0o777)
    with pytest.raises(OutputError, match="a hard link"):
        check_private(folder, shared=False)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("what", ["folder", "file"])
async def test_what_belongs_to_another_user_is_refused_unless_the_job_says_that_it_is_shared(
    tmp_path: Path, what: str
) -> None:
    job, shared = job_in(tmp_path), job_in(tmp_path, shared=True)
    await run_job(job)
    os.chown(beside(job) if what == "folder" else beside(job) / "runs", 2001, 2001)
    with pytest.raises(OutputError, match=r"belongs to the user 2001.*output.shared: true"):
        await run_job(job)
    assert (await run_job(shared)).requests == 0


def planted(mine: Job, **changed: Any) -> Path:
    """An order in the way of a run that died, and a portion that seems to have begun."""
    order = WorkOrder("x", "unused", 1, order_of(mine), {"m.000000.parquet": EVERY}, emulated=True)
    kept = beside(mine) / "portions"
    kept.mkdir(parents=True, exist_ok=True)
    path = kept / "x.json"
    path.write_text(json.dumps({**json.loads(order.dump()), **changed}))
    return path


async def test_an_order_names_no_folder_to_remove_or_to_change_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, photos = job_in(tmp_path), tmp_path / "photos"
    photos.mkdir()
    (photos / "a.txt").write_text(KEPT)
    stood: list[Path] = []
    monkeypatch.setattr(os, "chdir", lambda path: stood.append(Path(path)))
    path = planted(job, place=str(photos), folder=str(photos), base_url="http://127.0.0.1:9/")
    assert (await run_job(job)).rows.ok == 4
    assert (photos / "a.txt").read_text() == KEPT
    assert not path.exists()
    assert stood == []


@pytest.mark.parametrize("number", range(2))
async def test_an_order_names_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    job = job_in(tmp_path)
    (tmp_path / "pwn.py").write_text(f"open({str(tmp_path / 'pwned')!r}, 'w').close()")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    settings = order_of(job)
    settings["output"]["schema"] = "pwn:Model"
    settings["manifest"] = {"path": str(tmp_path / "another.parquet")}
    settings["model"]["endpoint"] = "http://127.0.0.1:9/${HOME}/v1"
    planted(job, job=settings)
    if number:  # it seems to have died over its portion
        ledger = beside(job) / "portions" / "x" / "out.parquill"
        ledger.mkdir(parents=True)
        (ledger / "ledger.sqlite").touch()
    assert (await run_job(job)).rows.ok == 4
    assert not (tmp_path / "pwned").exists()


async def test_processes_of_a_run_take_the_model_of_its_own_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shapes_of_this_test.py").write_text(
        "import pydantic\nfrom typing import Annotated\n"
        "class Shape(pydantic.BaseModel):\n"
        "    name: Annotated[str, pydantic.AfterValidator(lambda name: f'<{name}>')]\n    count: int\n"
    )
    monkeypatch.chdir(tmp_path)
    job = load_job(job_in(tmp_path, schema="shapes_of_this_test:Shape"), {"run.workers": 2})
    summary = await run_job(job, spread=share_here(job))
    assert summary.rows.ok == 4
    assert verify_job(job).holds
    names = ds.dataset(job.output.path, format="parquet").to_table(columns=["answer"])["answer"].to_pylist()
    assert all(one["name"].startswith("<") and not one["name"].startswith("<<") for one in names)
    plain = load_job(job, {"run.workers": 1})
    assert (await run_job(plain)).requests == 0


NONSENSE: list[Any] = [None, 0, -1, 1e400, "", "x", [], {}, [[]], {"id": "../../etc"}, True, 10**40, "\ud800"]


def spoilt(value: Any, chance: random.Random) -> Any:
    """The same JSON with one place of it replaced."""
    if isinstance(value, dict) and value and chance.random() < 0.9:
        key = chance.choice(sorted(value))
        return {**value, key: spoilt(value[key], chance)}
    if isinstance(value, list) and value and chance.random() < 0.9:
        at = chance.randrange(len(value))
        return [*value[:at], spoilt(value[at], chance), *value[at + 1 :]]
    return chance.choice(NONSENSE)


@pytest.mark.parametrize("seed", range(12))
async def test_a_spoilt_file_beside_an_output_is_an_error_of_ours_or_none(tmp_path: Path, seed: int) -> None:
    chance, job = random.Random(seed), job_in(tmp_path)
    await everything(job)
    planted(job)
    files = list(beside(job).rglob("*.json"))
    assert {"manifest.json", "estimate.json", "x.json"} <= {path.name for path in files}
    for path in files:
        text = json.dumps(spoilt(json.loads(path.read_bytes()), chance))
        path.write_text(text if chance.random() < 0.8 else text[: chance.randrange(len(text) + 1)])
    for attempt in (estimate_job, run_job, write_report):
        try:
            await attempt(job)
        except ParquillError as fault:
            assert str(tmp_path) in str(fault)
    try:
        verify_job(job, clock=SystemClock())
    except ParquillError as fault:
        assert str(tmp_path) in str(fault)
