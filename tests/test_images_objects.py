"""An object in a store that does not answer is its row's error after the fetcher's time-outs, and holds nothing up."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from parquill import store_calls
from parquill.errors import ErrorKind, ManifestError, RowError
from parquill.fetch import CONNECT_SECONDS, IDLE_SECONDS, TOTAL_SECONDS
from parquill.fetch.hosts import CLOSED_FOR, CONNECTIONS, FAILURES
from parquill.images import ImageLoader
from parquill.job import DocumentSettings, ImageSettings
from parquill.storage import Storage, folder
from parquill.store_calls import MOST_OF_A_STORE, StoreSilentError, start_call, wait_for_call
from tests.clock import ManualClock
from tests.e2e.kit import ended, rehearsal, until
from tests.stalling_store import MODES, StallingStore, stalling_store


@contextlib.asynccontextmanager
async def images_of(root: str, clock: ManualClock, **settings: Any) -> AsyncIterator[ImageLoader]:
    images, documents = ImageSettings(root=root, **settings), DocumentSettings()
    async with ImageLoader(images, documents, manifest_folder="/none", endpoint_fetches=True, clock=clock) as made:
        yield made


async def fault(images: ImageLoader, cell: str) -> RowError:
    with pytest.raises(RowError) as caught:
        await images.parts(images.check(cell))
    return caught.value


@pytest.fixture(autouse=True)
def no_other_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"EC2_METADATA_DISABLED": "true", "ACCESS_KEY_ID": "k", "SECRET_ACCESS_KEY": "s"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)


@pytest.mark.parametrize(
    ("kind", "mode"), [*itertools.product(("s3", "gs"), MODES), ("az", "silent"), ("az", "trickle")]
)
async def test_an_object_that_does_not_come_fails_its_row_when_the_fetcher_s_time_is_over(kind: str, mode: str) -> None:
    clock = ManualClock()
    with stalling_store(mode) as store:
        async with images_of(store.place(kind), clock) as images:
            reading = asyncio.create_task(fault(images, "x.png"))
            await until(lambda: bool(store.stuck))
            await until(lambda: bool(clock._timers))
            await clock.advance(CONNECT_SECONDS + IDLE_SECONDS + TOTAL_SECONDS)
            found = await asyncio.wait_for(reading, 5)
    assert found.kind is ErrorKind.IMAGE_UNREACHABLE
    assert found.message.startswith("x.png: ")
    assert "within" in found.message


async def test_a_store_that_refuses_connections_fails_the_row_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = StallingStore("refuses", taken.getsockname()[1])
    async with images_of(free.place("s3"), ManualClock()) as images:
        found = await asyncio.wait_for(fault(images, "x.png"), 30)
    assert found.kind is ErrorKind.IMAGE_UNREACHABLE


async def test_after_some_silent_objects_in_a_row_their_store_is_left_alone_and_another_is_not() -> None:
    clock = ManualClock()
    with stalling_store("silent") as store:
        async with images_of(store.place("s3"), clock, allow_buckets=[store.allowed("s3", "others")]) as images:
            rows = [asyncio.create_task(fault(images, f"{n}.png")) for n in range(40)]
            for stuck in (CONNECTIONS, FAILURES):
                await until(lambda: len(store.stuck) >= stuck)  # noqa: B023 - used at once
                await clock.advance(CONNECT_SECONDS + IDLE_SECONDS)
            await clock.advance(CONNECT_SECONDS + IDLE_SECONDS)  # of the rows that came before the tenth failure
            faults = await asyncio.wait_for(asyncio.gather(*rows), 5)
            assert len(store.stuck) <= 2 * CONNECTIONS + FAILURES
            asked_before = len(store.stuck)
            assert "is not asked for a while: it failed" in (await fault(images, "x.png")).message
            assert len(store.stuck) == asked_before
            other = asyncio.create_task(fault(images, "s3://others/x.png"))
            await until(lambda: len(store.stuck) > asked_before)
            await clock.advance(CLOSED_FOR)
            assert "within" in (await other).message
    assert {one.kind for one in faults} == {ErrorKind.IMAGE_UNREACHABLE}


async def test_a_store_that_says_no_is_not_a_store_that_is_silent() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            if await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    place = StallingStore("403", server.sockets[0].getsockname()[1]).place("s3")
    async with server, images_of(place, ManualClock()) as images:
        messages = [(await fault(images, f"{n}.png")).message for n in range(FAILURES + 2)]
    assert not any("is not asked for a while" in message for message in messages)


def test_calls_that_never_return_use_up_a_bounded_number_of_threads_and_no_other_store_s(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with stalling_store("silent") as store:
        for _ in range(MOST_OF_A_STORE):
            start_call("silent", store.ended.wait)
        with pytest.raises(StoreSilentError, match=f"{MOST_OF_A_STORE} calls to it have not returned"):
            start_call("silent", store.ended.wait)
        assert wait_for_call("s3://well", lambda: 7, 5.0) == 7
        with pytest.raises(StoreSilentError, match="did not answer within 0 s"):
            wait_for_call("other", store.ended.wait, 0.01)


def test_an_interrupt_ends_every_wait_for_a_store() -> None:
    with stalling_store("silent") as store:
        begun = time.monotonic()
        with pytest.raises(KeyboardInterrupt), store_calls.left_when_interrupted():
            start_call("s3://main", lambda: wait_for_call("silent", store.ended.wait, 60.0))
            raise KeyboardInterrupt
        with pytest.raises(StoreSilentError, match="interrupted"):
            wait_for_call("silent", store.ended.wait, 60.0)
        assert time.monotonic() - begun < 5
    with store_calls.left_when_interrupted():
        assert wait_for_call("s3://well", lambda: 7, 5.0) == 7


@pytest.mark.parametrize("kind", ["s3", "gs", "az"])
def test_a_manifest_in_a_silent_store_is_given_up(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "CALL_SECONDS", 0.3)
    with stalling_store("silent") as store:
        storage = Storage.at(store.place(kind), fault=ManifestError)
        with pytest.raises(ManifestError, match="cannot be read: the store did not answer within"):
            storage.exists("x.parquet")


def test_the_store_s_library_is_told_to_give_up_as_well() -> None:
    place = "s3://k:s@b/x?region=us-east-1&scheme=http&endpoint_override=127.0.0.1:1"
    _, (options,) = Storage.at(place, silence=10.0)._filesystem.__reduce__()
    assert (options["connect_timeout"], options["request_timeout"]) == (CONNECT_SECONDS, 10.0)
    assert (options["access_key"], options["secret_key"], options["region"]) == ("k", "s", "us-east-1")
    _, (google,) = Storage.at("gs://anonymous@b/x", silence=10.0)._filesystem.__reduce__()
    assert google["retry_time_limit"].total_seconds() == 10.0


@pytest.mark.parametrize(("kind", "mode"), [("s3", "silent"), ("gs", "stall")])
async def test_a_stop_waits_for_no_store(kind: str, mode: str, tmp_path: Path) -> None:
    with stalling_store(mode) as store:
        async with rehearsal(tmp_path) as run:
            ids = [f"r{n}" for n in range(12)]
            run.write({"id": ids, "text": ids, "picture": [f"{n}.png" for n in ids]})
            sections = {"manifest": {"image_columns": ["picture"]}, "images": {"root": store.place(kind)}}
            process = await run.start("run", "--json", **sections)
            await asyncio.wait_for(until(lambda: len(store.stuck) > 3), 60)
            process.send_signal(signal.SIGTERM)
            begun = time.monotonic()
            found = await ended(process)
            assert time.monotonic() - begun < 4, "about a second, and some for a busy machine"
            assert (found.status, found.json["rows"]["not_attempted"]) == (143, 12), found.err
            assert run.column("id") == ids
