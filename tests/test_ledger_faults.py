"""What was awaited is there after a kill, a power cut, a failed sync and a full disk."""

from __future__ import annotations

import asyncio
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from parquill.errors import StorageFullError
from parquill.ledger import Ledger
from tests.disks import enlarge, small_disk

ROWS_IN_FLIGHT = 32

WORK = f"""
import asyncio, os, sys
from pathlib import Path
from parquill.errors import ParquillError
from parquill.ledger import Ledger

async def main():
    ledger = Ledger.open(Path(sys.argv[1]), job="job")
    run = await ledger.begin_run(realm="real", model="m", settings="s", cap_pico=None)
    slice_id = (await ledger.slice("a.000000.parquet", "digest")).id
    tell = lambda what, row: os.write(1, f"{{what}} {{row}}\\n".encode())

    async def rows(first):
        for row in range(first, 100_000, {ROWS_IN_FLIGHT}):
            attempt, durable = ledger.intend(
                run=run, slice_id=slice_id, row=row, number=1, fingerprint=bytes(16),
                worst_pico=900, worst_tokens=70, sent_at=0)
            await durable
            tell("sent", row)
            await ledger.record(
                run=run, slice_id=slice_id, row=row, fingerprint=bytes(16), ok=True,
                payload=b"answer %d" % row, attempt=attempt, cost_pico=7, prompt_tokens=0, completion_tokens=0)
            tell("answered", row)

    try:
        await asyncio.gather(*(rows(first) for first in range({ROWS_IN_FLIGHT})))
    except ParquillError as error:
        await asyncio.gather(*asyncio.all_tasks() - {{asyncio.current_task()}}, return_exceptions=True)
        os.write(1, f"fault {{type(error).__name__}} {{error}}\\n".encode())
        os._exit(0)

asyncio.run(main())
"""


def told(lines: Iterator[bytes] | list[bytes]) -> tuple[set[int], set[int], str]:
    """What the process said: rows sent, rows answered, and its fault."""
    sent, answered, fault = set(), set(), ""
    for line in lines:
        if not line.endswith(b"\n"):
            break
        what, _, rest = line.decode().strip().partition(" ")
        if what == "fault":
            fault = rest
        else:
            (sent if what == "sent" else answered).add(int(rest))
    return sent, answered, fault


async def check_after(path: Path, sent: set[int], answered: set[int]) -> None:
    ledger = Ledger.open(path, job="job")
    recovery = await ledger.recover({})
    held = await ledger.open_rows(1)
    assert {row: held[row] for row in answered} == {row: b"answer %d" % row for row in answered}
    in_doubt = {row for rows in recovery.by_slice.values() for row in rows}
    assert sent <= held.keys() | in_doubt
    assert not held.keys() & in_doubt
    assert len(in_doubt) <= ROWS_IN_FLIGHT
    books = await ledger.books({})
    assert books.balanced
    assert (books.ledger_pico, books.in_doubt_pico) == (7 * len(held), 900 * len(in_doubt))
    ledger.close()


@pytest.mark.parametrize("lines", [1, 300, 1500])
async def test_a_killed_process_loses_nothing_that_it_awaited(tmp_path: Path, lines: int) -> None:
    path = tmp_path / "ledger.sqlite"
    with subprocess.Popen([sys.executable, "-c", WORK, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        first = [process.stdout.readline() for _ in range(lines)]
        process.kill()
        sent, answered, _ = told([*first, *process.stdout.readlines()])
    await check_after(path, sent, answered)


def strace_may_inject() -> bool:
    if shutil.which("strace") is None:
        return False
    tried = subprocess.run(
        ["strace", "-qq", "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO", "true"],
        capture_output=True,
        check=False,
    )
    return tried.returncode == 0


@pytest.mark.skipif(not strace_may_inject(), reason="strace cannot inject faults into system calls here")
async def test_a_failed_sync_is_never_tried_again_and_reaches_every_row(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    inject = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e"]
    ended = subprocess.run(
        [*inject, "inject=fdatasync:error=EIO:when=30", sys.executable, "-c", WORK, str(path)],
        capture_output=True,
        check=True,
    )
    sent, answered, fault = told(ended.stdout.splitlines(keepends=True))
    assert fault.startswith("StorageFaultError ")
    assert f"{path}: the ledger could not be written (disk I/O error, SQLITE_IOERR_FSYNC)" in fault
    assert answered
    await check_after(path, sent, answered)


def record(ledger: Ledger, row: int, payload: bytes) -> object:
    return ledger.record(
        run=1,
        slice_id=1,
        row=row,
        fingerprint=bytes(16),
        ok=True,
        payload=payload,
        attempt=None,
        cost_pico=0,
        prompt_tokens=0,
        completion_tokens=0,
    )


async def opened(path: Path) -> Ledger:
    ledger = Ledger.open(path, job="job")
    await ledger.begin_run(realm="real", model="m", settings="s", cap_pico=None)
    await ledger.slice("a.000000.parquet", "digest")
    return ledger


async def test_a_power_cut_loses_at_most_what_was_not_awaited(tmp_path: Path) -> None:
    """The log's tail beyond the last awaited commit may be missing, torn or garbage."""
    path, log = tmp_path / "ledger.sqlite", tmp_path / "ledger.sqlite-wal"
    ledger = await opened(path)
    durable_at: list[int] = []
    for row in range(12):
        waiting = record(ledger, row, b"x" * 300 * row)
        ledger.flush()
        await waiting  # type: ignore[misc] - a Durable
        durable_at.append(log.stat().st_size)
    database, tail = path.read_bytes(), log.read_bytes()
    ledger.close()
    chance = random.Random(7)
    for trial in range(60):
        awaited = chance.randrange(12)
        cut = chance.randrange(durable_at[awaited], len(tail) + 1)
        torn = tail[:cut] + chance.randbytes(chance.choice([0, 100, 9000]))
        copy = tmp_path / f"{trial}.sqlite"
        copy.write_bytes(database)
        Path(f"{copy}-wal").write_bytes(torn)
        found = Ledger.open(copy, job="job")
        rows = await found.open_rows(1)
        found.close()
        assert list(rows)[: awaited + 1] == list(range(awaited + 1))
        assert rows == {row: b"x" * 300 * row for row in rows}


async def test_a_full_disk_stops_the_ledger_keeps_what_was_awaited_and_goes_on_when_there_is_room(
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path / "small", "1m") as folder:
        ledger = await opened(folder / "ledger.sqlite")
        answered = []
        with pytest.raises(StorageFullError, match=r"ledger\.sqlite: no space left on the disk"):
            for row in range(1000):
                waiting = record(ledger, row, bytes(20_000))
                ledger.flush()
                await waiting  # type: ignore[misc] - a Durable
                answered.append(row)
        with pytest.raises(StorageFullError):
            record(ledger, 1000, b"")
        ledger.close()
        assert len(answered) > 10
        enlarge(folder, "8m")
        ledger = Ledger.open(folder / "ledger.sqlite", job="job")
        assert list(await ledger.open_rows(1))[: len(answered)] == answered
        await record(ledger, 1000, b"more")  # type: ignore[misc] - a Durable
        ledger.close()


@pytest.mark.parametrize("new", [False, True])
async def test_a_ledger_is_not_opened_on_a_disk_without_any_room(tmp_path: Path, *, new: bool) -> None:
    with small_disk(tmp_path / "small", "1m") as folder:
        if not new:
            Ledger.open(folder / "ledger.sqlite", job="job").close()
        with (folder / "ballast").open("wb", buffering=0) as ballast, pytest.raises(OSError, match="No space left"):
            while True:
                ballast.write(bytes(4096))
        with pytest.raises(StorageFullError, match=r"ledger\.sqlite: "):
            await asyncio.to_thread(Ledger.open, folder / "ledger.sqlite", job="job")
