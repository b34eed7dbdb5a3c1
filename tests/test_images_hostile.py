"""Hostile and broken files: a typed fault of their row each, in bounded memory; the next picture is fine."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import uvloop

from parquill.errors import ErrorKind, RowError
from parquill.images.decoder_pool import DecodePool
from tests.hostile_files import HOSTILE, JPEG, noise, saved

WORKER_MEMORY = 300 * 2**20


@pytest.fixture
async def pool() -> AsyncIterator[DecodePool]:
    pool = DecodePool(workers=1)
    yield pool
    await pool.close()


async def shrink(pool: DecodePool, data: bytes) -> int:
    (piece,) = await pool.run("picture", data, ErrorKind.IMAGE_INVALID, max_side=896)
    return piece.width


def workers() -> list[psutil.Process]:
    found = psutil.Process().children()
    return [
        child for child in found if child.status() != psutil.STATUS_ZOMBIE and "sandbox" in " ".join(child.cmdline())
    ]


async def busy_worker(pool: DecodePool, data: bytes) -> tuple[psutil.Process, asyncio.Future[int]]:
    """A worker that stands still while it holds `data`."""
    await shrink(pool, JPEG)
    (process,) = workers()
    process.suspend()
    task = asyncio.ensure_future(shrink(pool, data))
    for _ in range(5):  # until the file is on its way
        await asyncio.sleep(0)
    return process, task


def most_memory(process: psutil.Process) -> int:
    lines = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024


async def test_every_hostile_file_is_a_typed_fault_in_one_worker_of_bounded_memory(pool: DecodePool) -> None:
    assert len(HOSTILE) >= 40
    await shrink(pool, JPEG)
    (first,) = workers()
    for name, (make, kind) in HOSTILE.items():
        with pytest.raises(RowError) as fault:
            await shrink(pool, make())
        assert fault.value.kind is kind, (name, fault.value.message)
        assert "0x" not in fault.value.message, name
    assert await shrink(pool, JPEG) == 640
    assert workers() == [first], "no file took the worker down"
    assert most_memory(first) < WORKER_MEMORY


async def test_a_polyglot_is_only_ever_read_as_the_picture_it_begins_as(pool: DecodePool) -> None:
    """A ZIP, a page or a script behind a picture's end is not sent on."""
    (piece,) = await pool.run("picture", JPEG + b"<script>PK\x03\x04canary", ErrorKind.IMAGE_INVALID, max_side=896)
    assert b"canary" not in piece.payload
    assert piece.payload.startswith(b"data:image/jpeg;base64,")


async def test_a_file_whose_worker_is_killed_is_tried_by_the_next_one(pool: DecodePool) -> None:
    first, task = await busy_worker(pool, JPEG)
    first.kill()
    assert await task == 640
    assert workers() != [first]


async def test_a_worker_that_was_killed_while_idle_is_replaced(pool: DecodePool) -> None:
    await shrink(pool, JPEG)
    (first,) = workers()
    first.kill()
    first.wait()
    assert await shrink(pool, JPEG) == 640


async def test_a_file_that_kills_two_workers_is_invalid_and_the_next_file_is_not(pool: DecodePool) -> None:
    process, task = await busy_worker(pool, JPEG)
    killed = {process}
    process.send_signal(signal.SIGSEGV)
    process.resume()
    while not task.done():
        for process in {*workers()} - killed:
            killed.add(process)
            process.send_signal(signal.SIGSEGV)
        await asyncio.wait({task}, timeout=0.01)
    with pytest.raises(RowError, match="crashed on it") as fault:
        await task
    assert fault.value.kind is ErrorKind.IMAGE_INVALID
    assert len(killed) == 2
    assert await shrink(pool, JPEG) == 640


async def test_a_file_that_takes_too_long_is_not_tried_twice(pool: DecodePool) -> None:
    process, task = await busy_worker(pool, JPEG)
    process.send_signal(signal.SIGALRM)
    process.resume()
    with pytest.raises(RowError, match="takes too long"):
        await task


async def test_a_cancelled_picture_disturbs_no_other(pool: DecodePool) -> None:
    large = saved(noise(3000, 2000), "JPEG")
    tasks = [asyncio.ensure_future(shrink(pool, large)) for _ in range(3)]
    await shrink(pool, JPEG)
    late = [asyncio.ensure_future(shrink(pool, data)) for data in (large, JPEG, large)]
    await asyncio.sleep(0)
    late[0].cancel()
    late[2].cancel()
    assert await late[1] == 640
    assert await asyncio.gather(*tasks) == [3000] * 3


async def test_a_worker_holds_no_secret_and_little_code(pool: DecodePool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-or-v1-canary")
    await shrink(pool, JPEG)
    (process,) = workers()
    assert "OPENROUTER_API_KEY" not in process.environ()
    loaded = Path(f"/proc/{process.pid}/maps").read_text(encoding="utf-8")
    for library in ("pydantic_core", "pyarrow", "aiohttp", "numpy", "_ssl"):
        assert library not in loaded
    assert process.memory_info().rss < 80 * 2**20


async def test_workers_end_with_their_pool() -> None:
    pool = DecodePool(workers=2)
    await asyncio.gather(*(shrink(pool, JPEG) for _ in range(4)))
    started = workers()
    assert len(started) == 2
    await pool.close()
    assert not any(process.is_running() for process in started)


async def test_a_pool_that_was_never_needed_starts_no_process() -> None:
    pool = DecodePool()
    await pool.close()
    assert workers() == []


PARENT = """
import asyncio, sys
from parquill.errors import ErrorKind
from parquill.images.decoder_pool import DecodePool
async def main():
    pool = DecodePool(workers=1)
    await pool.run("picture", open(sys.argv[1], "rb").read(), ErrorKind.IMAGE_INVALID, max_side=64)
    print("ready", flush=True)
    await asyncio.sleep(60 if sys.argv[2] == "killed" else 0)
asyncio.run(main())
"""


@pytest.mark.parametrize("end", ["killed", "careless"])
def test_no_worker_outlives_its_parent_nor_keeps_it_alive(tmp_path: Path, end: str) -> None:
    (tmp_path / "a.jpg").write_bytes(JPEG)
    command = [sys.executable, "-c", PARENT, str(tmp_path / "a.jpg"), end]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        started = psutil.Process(parent.pid).children()
        if end == "killed":
            parent.kill()
        parent.wait(timeout=20)
    _, alive = psutil.wait_procs(started, timeout=20)
    assert not alive


async def test_waiters_are_released_when_the_pool_closes() -> None:
    pool = DecodePool(workers=1)
    tasks = [asyncio.ensure_future(shrink(pool, JPEG)) for _ in range(3)]
    await asyncio.sleep(0)
    await pool.close()
    await asyncio.wait(tasks)
    assert all(task.cancelled() for task in tasks)


def test_pictures_are_opened_under_uvloop_too(tmp_path: Path) -> None:
    async def run() -> int:
        pool = DecodePool(workers=2)
        try:
            return sum(await asyncio.gather(*(shrink(pool, JPEG) for _ in range(8))))
        finally:
            await pool.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(run()) == 8 * 640
