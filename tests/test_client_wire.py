"""One POST over aiohttp's connections: what a session would have seen to, and the one timer for all."""

from __future__ import annotations

import asyncio
import socket

import pytest

from parquill.client import Client
from parquill.client.deadlines import Deadlines
from parquill.client.pool import SILENCE
from parquill.errors import JobError
from parquill.job import Secret
from tests.clock import ManualClock
from tests.wire import reply, reset, serving, then

BODY = b'{"messages":[],"model":"m"}'


async def post(client: Client, body: bytes = BODY) -> int:
    return (await client.complete(body, seconds=5, on_id=print)).status


class TestConnections:
    async def test_one_serves_request_after_request(self) -> None:
        clock = ManualClock()
        async with serving(reply()) as server, Client(server.url, None, clock=clock) as client:
            for _ in range(5):
                assert await post(client) == 200
                await clock.advance(SILENCE)
            assert (server.connections, len(server.heads)) == (1, 5)

    @pytest.mark.parametrize("answer", [reply(Connection="close"), b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}"])
    async def test_one_that_the_server_closes_is_not_used_again(self, answer: bytes) -> None:
        async with serving(answer) as server, Client(server.url, None) as client:
            assert [await post(client) for _ in range(3)] == [200] * 3
            assert server.connections == 3

    async def test_a_reply_that_ends_with_its_connection_is_read_whole(self) -> None:
        async def to_the_end(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n{}")
            writer.close()

        async with serving(to_the_end) as server, Client(server.url, None) as client:
            assert (await client.complete(BODY, seconds=5, on_id=print)).body == b"{}"

    async def test_one_is_left_when_the_reply_comes_before_the_whole_request_has_gone(self) -> None:
        """Its rest would be read as the next request's beginning."""

        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connections.append(writer)
            await reader.readuntil(b"\r\n\r\n")
            writer.write(reply(b"too large", "413 Large"))
            await writer.drain()
            await reader.read()  # to the end: the client has gone
            writer.close()

        connections: list[asyncio.StreamWriter] = []
        listener = await asyncio.start_server(refuse, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        async with listener, Client(f"http://127.0.0.1:{port}/v1", None) as client:
            for _ in range(2):
                assert await post(client, b"x" * 2**26) == 413
            while len(connections) < 2 or not all(connection.is_closing() for connection in connections):
                await asyncio.sleep(0)

    async def test_replies_before_the_reply_are_passed_over(self) -> None:
        early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
        async with serving(early + reply(b'{"a": 1}')) as server, Client(server.url, None) as client:
            exchange = await client.complete(BODY, seconds=5, on_id=print)
            assert (exchange.status, exchange.body) == (200, b'{"a": 1}')
            assert await post(client) == 200

    async def test_after_a_lost_reply_the_next_request_has_a_new_connection(self) -> None:
        async with serving(then(b"HTTP/1.1 200 OK\r\nContent-Le", reset), reply()) as server:
            async with Client(server.url, None) as client:
                assert [await post(client) for _ in range(2)] == [0, 200]
            assert server.connections == 2


class TestNames:
    """A name that leads to another address later, as after a failover."""

    @pytest.fixture
    def addresses(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        def look_up(host: str, port: int, *_: object, **__: object) -> list[tuple[object, ...]]:
            assert host == "moving.test"
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (addresses[-1], port))]

        addresses = ["127.0.0.1"]
        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        return addresses

    async def test_a_failed_connect_has_the_name_looked_up_again(self, addresses: list[str]) -> None:
        with socket.create_server(("127.0.0.2", 0)) as listener:
            port = listener.getsockname()[1]  # nothing listens there on 127.0.0.1
            async with Client(f"http://moving.test:{port}/v1", None) as client:
                first = await client.complete(BODY, seconds=5, on_id=print)
                assert (first.broken, first.sent) == ("connection", False)
                addresses.append("127.0.0.2")
                asking = asyncio.create_task(client.complete(BODY, seconds=5, on_id=print))
                listener.setblocking(False)
                sock, _ = await asyncio.wait_for(asyncio.get_running_loop().sock_accept(listener), 5)
                with sock:
                    await asyncio.get_running_loop().sock_sendall(sock, reply())
                    assert (await asking).status == 200

    async def test_a_name_is_kept_for_half_a_minute(
        self, addresses: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = 1000.0
        monkeypatch.setattr("aiohttp.connector.monotonic", lambda: now)
        async with (
            serving(reply(Connection="close")) as server,
            Client(server.url.replace("127.0.0.1", "moving.test"), None) as client,
        ):
            assert await post(client) == 200
            addresses.append("127.0.0.9")  # where nothing listens
            now += 29
            assert await post(client) == 200
            now += 2
            assert await post(client) == 0


class TestHead:
    async def test_it_names_host_length_and_what_encodings_are_read(self) -> None:
        async with serving(reply()) as server, Client(server.url, None) as client:
            for body in (BODY, b"", b"\xff" * 70_000):
                await post(client, body)
                assert server.bodies[-1] == body
                assert server.header("content-length") == str(len(body))
                assert server.header("host") == server.url.removeprefix("http://").removesuffix("/v1")
                assert "gzip" in (server.header("accept-encoding") or "")

    async def test_long_and_many_headers_of_a_reply_are_read(self) -> None:
        """Gateways pass on cookies and policies; aiohttp alone stops at 8,190 bytes and at 128 headers."""
        more = {f"X_Trace_{number}": "v" for number in range(300)}
        async with serving(reply(Set_Cookie="c" * 40_000, **more)) as server, Client(server.url, None) as client:
            exchange = await client.complete(BODY, seconds=5, on_id=print)
            assert (exchange.status, len(exchange.headers["Set-Cookie"])) == (200, 40_000)
            assert await client.get_json("/models") == (200, {})

    async def test_a_header_without_an_end_is_a_fault(self) -> None:
        async with serving(reply(X="x" * 10**6)) as server, Client(server.url, None) as client:
            assert await post(client) == 0
            assert await client.get_json("/models") == (0, None)

    async def test_a_key_with_a_line_break_makes_no_second_header(self) -> None:
        with pytest.raises(JobError, match="line break") as fault:
            async with Client("http://127.0.0.1:1/v1", Secret("key\r\nX-Other: 1")):
                pass
        assert "X-Other" not in str(fault.value)


class Request:
    def __init__(self) -> None:
        self.cut_at: list[float] = []

    def at(self, clock: ManualClock) -> Request:
        self.cut = lambda: self.cut_at.append(clock.monotonic())
        return self


class TestDeadlines:
    async def test_each_is_cut_at_its_own_time_whatever_the_order(self) -> None:
        clock = ManualClock()
        deadlines, requests = Deadlines(clock), [Request().at(clock) for _ in range(4)]
        for request, when in zip(requests, (5.0, 2.0, 9.0, 2.0), strict=True):
            deadlines.add(request, when)
        await clock.advance(20)
        assert [request.cut_at for request in requests] == [[5.0], [2.0], [9.0], [2.0]]

    async def test_what_ended_before_is_left_alone(self) -> None:
        clock = ManualClock()
        deadlines, first, second = Deadlines(clock), Request().at(clock), Request().at(clock)
        deadlines.add(first, 1.0)
        deadlines.add(second, 3.0)
        deadlines.take_out(first)
        await clock.advance(2)
        assert first.cut_at == second.cut_at == []
        await clock.advance(2)
        assert second.cut_at == [3.0]

    async def test_after_a_rest_the_timer_is_set_again(self) -> None:
        clock = ManualClock()
        deadlines, first, second = Deadlines(clock), Request().at(clock), Request().at(clock)
        deadlines.add(first, 1.0)
        deadlines.take_out(first)
        await clock.advance(50)
        deadlines.add(second, 60.0)
        await clock.advance(50)
        assert (first.cut_at, second.cut_at) == ([], [60.0])

    async def test_nothing_is_cut_once_it_is_closed(self) -> None:
        clock = ManualClock()
        deadlines, request = Deadlines(clock), Request().at(clock)
        deadlines.add(request, 1.0)
        deadlines.close()
        await clock.advance(2)
        assert request.cut_at == []
