"""What the fetcher does with slow, huge, busy, broken and failing hosts."""

from __future__ import annotations

import asyncio
import email.utils
import errno
import socket
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from parquill import open_files
from parquill.errors import ErrorKind, RowError
from parquill.fetch import Fetcher, UrlRules, guard
from parquill.fetch.hosts import AT_ONCE, CONNECTIONS, FAILURES
from parquill.fetch.versions import version_in
from parquill.images.byte_budget import ByteBudget
from tests.clock import ManualClock
from tests.web import SERVER, EagerClock, Web, reply, web_server

MOST = UrlRules().download_bytes


class Asking:
    """A fetcher, its clock, and the memory it fills."""

    def __init__(self, web: Web, clock: ManualClock) -> None:
        self.web, self.clock = web, clock
        self.memory = ByteBudget(10 * MOST)
        self.fetcher = Fetcher(web.rules(), clock, contact="mailto:anna@example.org")

    async def get(self, path: str) -> bytes:
        async with self.memory.lease() as lease:
            return bytes((await self.fetcher.get(self.web.url(path), lease)).body)

    async def fault(self, path: str) -> RowError:
        with pytest.raises(RowError) as fault:
            await self.get(path)
        return fault.value

    async def fault_in_time(self, path: str) -> RowError:
        """The fault of a request while the clock is turned, a second for each 20 ms that bytes have to travel."""
        task = asyncio.ensure_future(self.get(path))
        while not task.done():
            await asyncio.wait({task}, timeout=0.02)
            await self.clock.advance(1)
        fault = task.exception()
        assert isinstance(fault, RowError)
        return fault


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    async with web_server() as web:
        yield web


@pytest.fixture
async def eager(web: Web) -> AsyncIterator[Asking]:
    asking = Asking(web, EagerClock())
    yield asking
    await asking.fetcher.close()


@pytest.fixture
async def manual(web: Web) -> AsyncIterator[Asking]:
    asking = Asking(web, ManualClock())
    yield asking
    await asking.fetcher.close()


@pytest.mark.parametrize("where", ["socket", "look-up", "look-up that says otherwise"])
async def test_where_no_more_files_may_be_open_a_picture_waits(
    web: Web, eager: Asking, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Far more often than it would be tried, and its host is not blamed."""
    web.answers["/a"] = reply(200, b"bytes")
    full = [OSError(errno.EMFILE, "Too many open files")] * 20
    real_socket = guard.socket.socket

    def make(*arguments: Any, **more: Any) -> socket.socket:
        if full and not more:  # it is the fetcher's, not one that was accepted
            raise full.pop()
        return real_socket(*arguments, **more)

    async def resolve(host: str, port: int) -> Sequence[str]:
        if full and where == "look-up":
            raise full.pop()
        if full:
            full.pop()
            raise guard.NameNotFoundError(host, passing=False) from socket.gaierror(socket.EAI_NONAME, "no such name")
        return [SERVER]

    if where == "socket":
        monkeypatch.setattr(guard.socket, "socket", make)
    else:
        eager.fetcher = Fetcher(web.rules(), eager.clock, resolve=resolve)
        monkeypatch.setattr(open_files, "_is_full", lambda: True)
    async with eager.memory.lease() as lease:
        url = web.url("/a", SERVER if where == "socket" else "pictures.example.org")
        assert bytes((await eager.fetcher.get(url, lease)).body) == b"bytes"
    assert not full
    await eager.fetcher.close()


async def test_a_request_carries_an_address_to_write_to_and_nothing_of_the_user(web: Web, eager: Asking) -> None:
    web.answers["/a"] = reply(200, b"abc", Set_Cookie="id=1")
    assert await eager.get("/a") == b"abc"
    assert await eager.get("/a") == b"abc"
    headers = web.requests[1].headers
    assert headers["user-agent"].startswith("Parquill/")
    assert "mailto:anna@example.org" in headers["user-agent"]
    assert headers["accept-encoding"] == "identity"
    assert not {"cookie", "authorization", "referer"} & headers.keys()


async def test_what_was_fetched_is_counted_in_memory_until_it_is_let_go(web: Web, eager: Asking) -> None:
    web.answers["/a"] = reply(200, b"x" * 1000)
    async with eager.memory.lease() as lease:
        await eager.fetcher.get(web.url("/a"), lease)
        assert eager.memory.held == 1000
    assert eager.memory.held == 0


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 204, 206])
async def test_what_will_not_pass_is_asked_once(web: Web, eager: Asking, status: int) -> None:
    web.answers["/a"] = reply(status)
    fault = await eager.fault("/a")
    assert fault.kind is ErrorKind.IMAGE_UNREACHABLE
    assert f"HTTP {status}" in fault.message
    assert len(web.requests) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 522])
async def test_what_may_pass_is_asked_three_times(web: Web, eager: Asking, status: int) -> None:
    web.answers["/a"] = reply(status)
    fault = await eager.fault("/a")
    assert f"HTTP {status}" in fault.message
    assert len(web.requests) == 3
    assert eager.clock.monotonic() == (6.0 if status == 429 else 5.0)  # 1 s, then 4 s; a busy host has 2 s at least


async def test_a_picture_that_comes_at_the_second_try_is_taken(web: Web, eager: Asking) -> None:
    async def first_fails(writer: asyncio.StreamWriter) -> None:
        writer.write(reply(503) if len(web.requests) == 1 else reply(200, b"fine"))

    web.answers["/a"] = first_fails
    assert await eager.get("/a") == b"fine"


async def test_a_host_with_long_headers_is_read(web: Web, eager: Asking) -> None:
    web.answers["/a"] = reply(200, b"fine", Content_Security_Policy="p" * 40_000)
    assert await eager.get("/a") == b"fine"


@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_retry_after_pauses_the_whole_host(web: Web, eager: Asking, form: str) -> None:
    until = eager.clock.wall() + 20
    wish = "20" if form == "seconds" else email.utils.formatdate(until, usegmt=True)

    async def busy_once(writer: asyncio.StreamWriter) -> None:
        writer.write(reply(429, Retry_After=wish) if len(web.requests) == 1 else reply(200, b"fine"))

    web.answers["/a"] = busy_once
    assert await eager.get("/a") == b"fine"
    assert 19 <= eager.clock.monotonic() <= 21


async def test_a_host_that_wants_to_be_left_alone_for_long_is(web: Web, eager: Asking) -> None:
    web.answers["/a"] = reply(503, Retry_After="3600")
    assert "3600 s" in (await eager.fault("/a")).message
    assert "3600 s" in (await eager.fault("/b")).message
    assert len(web.requests) == 1


@pytest.mark.parametrize("wish", ["-5", "soon", "", "9" * 400, "1e9"])
async def test_a_senseless_retry_after_is_harmless(web: Web, eager: Asking, wish: str) -> None:
    web.answers["/a"] = reply(503, Retry_After=wish)
    assert (await eager.fault("/a")).kind is ErrorKind.IMAGE_UNREACHABLE


async def test_a_dead_host_is_left_alone_for_a_while_and_then_tried_by_one(web: Web, eager: Asking) -> None:
    web.answers["/a"] = reply(500)
    for _ in range(FAILURES):
        await eager.fault("/a")
    asked = len(web.requests)
    assert asked == FAILURES
    assert "times in a row" in (await eager.fault("/a")).message
    assert len(web.requests) == asked
    web.answers["/a"] = reply(200, b"back")
    await eager.clock.advance(31)
    assert await eager.get("/a") == b"back"
    assert await eager.get("/a") == b"back"


async def test_a_busy_host_is_paused_for_but_never_taken_for_dead(web: Web, eager: Asking) -> None:
    web.answers["/a"] = reply(429)
    for _ in range(FAILURES):
        assert "HTTP 429" in (await eager.fault("/a")).message
    web.answers["/a"] = reply(200, b"free")
    before = eager.clock.monotonic()
    assert await eager.get("/a") == b"free"
    assert eager.clock.monotonic() - before == 2.0


async def test_a_host_has_at_most_eight_connections(web: Web, eager: Asking) -> None:
    full, free = asyncio.Event(), asyncio.Event()

    async def slow(writer: asyncio.StreamWriter) -> None:
        if web.open_now == CONNECTIONS:
            full.set()
        await free.wait()
        writer.write(reply(200, b"x", Connection="close"))

    web.answers["/a"] = slow
    gets = [asyncio.ensure_future(eager.get("/a")) for _ in range(3 * CONNECTIONS)]
    await full.wait()
    free.set()
    assert await asyncio.gather(*gets) == [b"x"] * len(gets)
    assert web.most_open == CONNECTIONS


async def test_waiting_for_a_turn_is_not_taken_for_a_host_s_silence(web: Web) -> None:
    """More pictures in flight than places among all hosts: those that wait are not timed out."""
    clock, waves = ManualClock(), [asyncio.Event(), asyncio.Event()]
    full = {AT_ONCE: asyncio.Event(), AT_ONCE + 10: asyncio.Event()}

    async def resolve(host: str, port: int) -> list[str]:
        return [SERVER]

    async def slow(writer: asyncio.StreamWriter) -> None:
        wave = waves[len(web.requests) > AT_ONCE]
        if len(web.requests) in full:
            full[len(web.requests)].set()
        await wave.wait()
        writer.write(reply(200, b"x", Connection="close"))

    async def get(number: int) -> bytes:
        async with memory.lease() as lease:
            return bytes((await fetcher.get(web.url("/a", host=f"h{number % 20}.example"), lease)).body)

    web.answers["/a"] = slow
    memory, fetcher = ByteBudget(10**9), Fetcher(web.rules(), clock, resolve=resolve)
    gets = [asyncio.ensure_future(get(number)) for number in range(AT_ONCE + 10)]
    for wave, arrived in zip(waves, full.values(), strict=True):
        await arrived.wait()
        await clock.advance(14)
        wave.set()
    assert await asyncio.gather(*gets) == [b"x"] * len(gets)
    assert web.most_open == AT_ONCE
    await fetcher.close()


async def test_three_redirects_are_followed_and_a_fourth_is_not(web: Web, eager: Asking) -> None:
    for step in range(5):
        web.answers[f"/{step}"] = reply(302, Location=f"/{step + 1}")
    web.answers["/5"] = reply(200, b"there")
    assert await eager.get("/2") == b"there"
    assert "more than 3 redirects" in (await eager.fault("/1")).message
    web.answers["/loop"] = reply(302, Location="/loop")
    assert "more than 3 redirects" in (await eager.fault("/loop")).message
    web.answers["/nowhere"] = reply(302)
    assert (await eager.fault("/nowhere")).kind in (ErrorKind.BAD_ROW, ErrorKind.IMAGE_UNREACHABLE)


async def test_more_than_the_cap_is_refused_whether_it_is_said_or_not(web: Web, eager: Asking) -> None:
    web.answers["/said"] = f"HTTP/1.1 200 OK\r\nContent-Length: {MOST + 1}\r\n\r\n".encode()
    sent = 0

    async def endless(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(bytes(1 << 20))
            await writer.drain()
            sent += 1 << 20

    web.answers["/unsaid"] = endless
    for path in ("/said", "/unsaid"):
        fault = await eager.fault(path)
        assert fault.kind is ErrorKind.IMAGE_REFUSED
        assert "20 MB" in fault.message
    assert sent < 2 * MOST
    assert eager.memory.held == 0


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "gzip, gzip", "x"])
async def test_a_compressed_body_is_refused_unread(web: Web, eager: Asking, encoding: str) -> None:
    """A thousand times larger unpacked: the cap must hold for what is kept, so nothing is unpacked."""
    web.answers["/a"] = reply(200, b"\x1f\x8b\x08\x00", Content_Encoding=encoding)
    fault = await eager.fault("/a")
    assert fault.kind is ErrorKind.IMAGE_REFUSED
    assert "compressed" in fault.message


async def test_a_host_that_never_answers_is_given_up(web: Web, manual: Asking) -> None:
    async def silent(writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    web.answers["/a"] = silent
    fault = await manual.fault_in_time("/a")
    assert fault.kind is ErrorKind.IMAGE_UNREACHABLE
    assert "no answer came within 15 s" in fault.message


async def test_a_body_that_stalls_is_given_up(web: Web, manual: Asking) -> None:
    async def stalling(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
        await asyncio.Event().wait()

    web.answers["/a"] = stalling
    assert "the body stalled within 10 s" in (await manual.fault_in_time("/a")).message


async def test_a_body_that_drips_is_given_up(web: Web, manual: Asking) -> None:
    """One byte every two seconds would hold a connection for days."""

    async def dripping(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await manual.clock.sleep(2)

    web.answers["/a"] = dripping
    fault = await manual.fault_in_time("/a")
    assert "less than 10 kB a second" in fault.message
    assert manual.clock.monotonic() < 30


async def test_a_body_that_comes_steadily_but_for_too_long_is_given_up(web: Web, manual: Asking) -> None:
    async def steady(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n")
        while True:
            writer.write(bytes(20_000))
            await writer.drain()
            await manual.clock.sleep(1)

    web.answers["/a"] = steady
    fault = await manual.fault_in_time("/a")
    assert "the body took too long within" in fault.message
    assert len(web.requests) == 3


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
    ],
)
async def test_broken_http_is_a_fault_of_its_row(web: Web, eager: Asking, raw: bytes) -> None:
    async def broken(writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        writer.close()

    web.answers["/a"] = broken
    assert (await eager.fault("/a")).kind is ErrorKind.IMAGE_UNREACHABLE
    assert eager.memory.held == 0


async def test_a_closed_port_is_unreachable(web: Web, eager: Asking) -> None:
    server = await asyncio.start_server(web.serve, "127.0.0.2", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    web.port = port
    fetcher = Fetcher(web.rules(), eager.clock)
    async with eager.memory.lease() as lease:
        with pytest.raises(RowError, match="refused or the host cannot be reached"):
            await fetcher.get(web.url("/"), lease)
    await fetcher.close()


async def test_a_name_without_an_address_is_asked_for_once(web: Web) -> None:
    asked = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return []

    fetcher = Fetcher(web.rules(), EagerClock(), resolve=resolve)
    async with ByteBudget(1000).lease() as lease:
        with pytest.raises(RowError, match=r"no address for the name nobody\.example"):
            await fetcher.get(web.url("/", host="nobody.example"), lease)
    await fetcher.close()
    assert asked == ["nobody.example"]


async def test_a_probe_asks_for_the_head_only(web: Web, eager: Asking) -> None:
    web.answers["/a"] = reply(200, b"x" * 1000)
    await eager.fetcher.probe(web.url("/a"))
    assert [request.method for request in web.requests] == ["HEAD"]
    with pytest.raises(RowError, match="HTTP 404"):
        await eager.fetcher.probe(web.url("/dead"))


async def test_a_probe_tells_the_picture_s_state_and_asks_by_the_name_it_is_known_by(web: Web, eager: Asking) -> None:
    date = "Fri, 27 Nov 2026 10:00:00 GMT"
    web.answers["/tagged"] = reply(200, b"x", ETag='W/"v1"', Last_Modified=date)
    web.answers["/dated"] = reply(200, b"x", Last_Modified=date)
    assert await eager.fetcher.probe(web.url("/tagged")) == 'W/"v1"'
    assert await eager.fetcher.probe(web.url("/dated")) == date
    async with eager.memory.lease() as lease:
        assert (await eager.fetcher.get(web.url("/dated"), lease)).version == date
    assert not {"if-none-match", "if-modified-since"} & web.requests[0].headers.keys()
    web.answers["/tagged"] = web.answers["/dated"] = reply(304)
    assert await eager.fetcher.probe(web.url("/tagged"), 'W/"v1"') == 'W/"v1"'
    assert web.requests[-1].headers["if-none-match"] == 'W/"v1"'
    assert await eager.fetcher.probe(web.url("/dated"), date) == date
    assert web.requests[-1].headers["if-modified-since"] == date
    with pytest.raises(RowError, match="HTTP 304"):
        await eager.fetcher.probe(web.url("/dated"))


@pytest.mark.parametrize(
    ("headers", "version"),
    [
        ({}, None),
        ({"ETag": '"a"'}, '"a"'),
        ({"ETag": 'W/"a"'}, 'W/"a"'),
        ({"ETag": "a", "Last-Modified": "Fri, 27 Nov 2026 10:00:00 GMT"}, "Fri, 27 Nov 2026 10:00:00 GMT"),
        ({"ETag": '"' + "a" * 300 + '"'}, None),
        ({"ETag": '"a\nb"'}, None),
        ({"ETag": '"a", "b"'}, None),
        ({"Last-Modified": "yesterday"}, None),
        ({"Last-Modified": 'Fri, 27 Nov 2026 10:00:00 "GMT"'}, None),
        ({"Last-Modified": "Fri, 27 Nov 2026 10:00:00 GMT" + " " * 300 + "x"}, None),
        ({"Last-Modified": "Fri, 27 Nov 99999 10:00:00 GMT"}, None),
    ],
)
def test_only_a_name_that_can_be_asked_by_is_kept(headers: dict[str, str], version: str | None) -> None:
    assert version_in(headers) == version


async def test_a_host_that_knows_no_head_is_probed_by_get(web: Web, eager: Asking) -> None:
    async def only_get(writer: asyncio.StreamWriter) -> None:
        writer.write(reply(405) if web.requests[-1].method == "HEAD" else reply(200, b"x"))

    web.answers["/a"] = only_get
    await eager.fetcher.probe(web.url("/a"))
    assert [request.method for request in web.requests] == ["HEAD", "GET"]


async def test_a_fetch_that_is_given_up_leaves_nothing_behind(web: Web, manual: Asking) -> None:
    async def silent(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
        await asyncio.Event().wait()

    web.answers["/a"] = silent
    task = asyncio.ensure_future(manual.get("/a"))
    await web.arrived.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    assert manual.memory.held == 0
    web.answers["/b"] = reply(200, b"fine")
    assert await asyncio.gather(*(manual.get("/b") for _ in range(CONNECTIONS))) == [b"fine"] * CONNECTIONS
