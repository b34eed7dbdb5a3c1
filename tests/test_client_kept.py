"""Kept connections against raw sockets: no reply is another request's, and no request is booked that never arrived."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest

from parquill.client import Client, tcp
from parquill.client.errors import ForeignReplyError
from parquill.client.pool import PROOFS, SILENCE, Pool
from parquill.client.request_ids import RequestIds
from parquill.client.tcp import SocketView
from parquill.replies import Exchange
from tests.clock import ManualClock, settle
from tests.wire import reply

STALE = reply(b'{"answer": "of another request"}')
IDLE_408 = reply(b"", "408 Request Time-out", Connection="close")


class Peer:
    """The server's side of one connection: what it does is done before the client's loop turns again."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.closed = False

    def send(self, data: bytes) -> None:
        self.sock.send(data)

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        asyncio.get_running_loop().remove_reader(self.sock)  # asyncio allows no other way to close it under a reader
        self.sock.close()

    def half_close(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()


After = Callable[[Peer], None]


class Echo:
    """Answers each request with its own body, byte for byte; `after` says what follows a reply."""

    def __init__(self, listener: socket.socket) -> None:
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        self.listener = listener
        self.received: list[bytes] = []
        self.heads: list[str] = []
        self.peers: list[Peer] = []
        self.before: After = lambda _: None
        self.answer: Callable[[str, bytes], bytes] = lambda _, body: reply(body)
        self.after: After = lambda _: None
        self.tasks: list[asyncio.Task[None]] = []

    async def accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            sock, _ = await loop.sock_accept(self.listener)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.peers.append(Peer(sock))
            self.tasks.append(asyncio.create_task(self.serve(self.peers[-1])))

    async def serve(self, peer: Peer) -> None:
        loop = asyncio.get_running_loop()
        data = b""
        with contextlib.suppress(OSError):
            while not peer.closed:
                while b"\r\n\r\n" not in data:
                    more = await loop.sock_recv(peer.sock, 2**16)
                    if not more:
                        return
                    data += more
                head, _, data = data.partition(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                while len(data) < length:
                    data += await loop.sock_recv(peer.sock, 2**16)
                body, data = data[:length], data[length:]
                self.received.append(body)
                self.heads.append(head.decode())
                self.before(peer)
                peer.send(self.answer(head.decode(), body))
                self.after(peer)


@contextlib.asynccontextmanager
async def echoing() -> AsyncIterator[Echo]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        server = Echo(listener)
        accepting = asyncio.create_task(server.accept())
        try:
            yield server
        finally:
            tasks = [accepting, *server.tasks]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for peer in server.peers:
                peer.sock.close()


class Asked:
    """A client of `server`, its clock, and how many requests it was told to send."""

    def __init__(self, client: Client, clock: ManualClock) -> None:
        self.client, self.clock = client, clock
        self.count = 0

    async def ask(self) -> Exchange:
        """Send the next request, and hold the reply against it."""
        self.count += 1
        body = b'{"answer": "%d"}' % self.count
        exchange = await self.client.complete(body, seconds=5, on_id=print)
        if exchange.status == 200:
            assert exchange.body == body
        return exchange

    async def trust(self) -> None:
        """Ask so often, with silence in between, that the endpoint is trusted."""
        for _ in range(PROOFS + 1):
            assert (await self.ask()).status == 200
            await self.clock.advance(SILENCE)


@contextlib.asynccontextmanager
async def asking(server: Echo) -> AsyncIterator[Asked]:
    clock = ManualClock()
    async with Client(server.url, None, clock=clock, ids="pq-0123456789ab") as client:
        yield Asked(client, clock)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0)


class TestReuse:
    async def test_one_connection_serves_requests_with_silence_between(self) -> None:
        async with echoing() as server, asking(server) as asked:
            await asked.trust()
            assert len(server.peers) == 1

    async def test_a_trusted_endpoint_is_asked_at_once_over_the_connection_that_just_answered(self) -> None:
        async with echoing() as server, asking(server) as asked:
            await asked.trust()
            for _ in range(20):
                await asked.ask()
            assert len(server.peers) == 2, "one rests, the other is used"

    async def test_an_untrusted_endpoint_is_asked_over_new_connections_up_to_a_bound(self) -> None:
        async with echoing() as server, asking(server) as asked:
            for _ in range(90):
                await asked.ask()
            assert len(server.peers) == 65

    async def test_what_is_idle_for_a_minute_is_closed(self) -> None:
        async with echoing() as server, asking(server) as asked:
            await asked.ask()
            await asked.clock.advance(61)
            await until(server.tasks[0].done)


class TestSurplus:
    @pytest.mark.parametrize("seconds", [0.0, 0.001, 0.02, 0.2])
    async def test_a_second_reply_after_the_first_is_nobodys_answer(
        self, seconds: float, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with echoing() as server, asking(server) as asked:
            if not seconds:
                server.answer = lambda _, body: reply(body) + STALE
            for _ in range(10):
                assert (await asked.ask()).status == 200
                await asked.clock.advance(seconds)
                if seconds:
                    with contextlib.suppress(OSError):
                        server.peers[-1].send(STALE)
            assert len(server.received) == asked.count == 10
            assert len(server.peers) == 10, "none was used twice"
            assert [record.levelno for record in caplog.records] == [logging.WARNING]

    @pytest.mark.parametrize("size", [1, 9, 20, len(STALE)])
    @pytest.mark.parametrize("waits", [True, False])
    async def test_any_byte_on_an_idle_connection_ends_it(self, size: int, waits: bool) -> None:
        """`waits`: the bytes are still with the operating system when the next request comes."""
        async with echoing() as server, asking(server) as asked:
            await asked.trust()
            server.peers[0].send(STALE[:size])
            if not waits:
                await until(server.tasks[0].done)
            assert (await asked.ask()).status == 200
            assert len(server.peers) == 2
            await until(server.tasks[0].done)

    async def test_part_of_a_second_reply_behind_the_first_ends_the_connection(self) -> None:
        for size in range(1, len(STALE)):
            async with echoing() as server, asking(server) as asked:
                server.answer = lambda _, body, size=size: reply(body) + STALE[:size]  # type: ignore[misc]  # binds the loop's value
                assert (await asked.ask()).broken in (None, "connection")
                await asked.clock.advance(1)
                server.answer = lambda _, body: reply(body)
                assert (await asked.ask()).status == 200
                assert len(server.peers) == 2

    @pytest.mark.parametrize("size", [1, 9, 20, len(STALE)])
    async def test_it_is_seen_behind_a_chunked_reply_too(self, size: int) -> None:
        async with echoing() as server, asking(server) as asked:
            chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n"
            server.answer = lambda _, body: chunked % (len(body), body)
            await asked.trust()
            assert len(server.peers) == 1
            server.answer = lambda _, body: chunked % (len(body), body) + STALE[:size]
            await asked.ask()
            server.answer = lambda _, body: reply(body)
            await asked.clock.advance(1)
            assert (await asked.ask()).status == 200
            assert len(server.peers) == 2

    async def test_of_two_replies_to_one_request_on_a_kept_connection_none_is_taken(self) -> None:
        """A reply too many, sent after the request came, is the first of the two."""
        async with echoing() as server, asking(server) as asked:
            await asked.trust()
            server.before = lambda peer: peer.send(STALE)
            exchange = await asked.client.complete(b'{"answer": "mine"}', seconds=5, on_id=print)
            assert (exchange.broken, exchange.sent) == ("connection", True)
            assert "two replies" in exchange.detail

    async def test_random_misbehaviour_never_gives_a_row_another_answer(self) -> None:
        for seed in range(40):
            rng = random.Random(seed)
            odd: list[After] = [
                lambda peer: peer.send(STALE),
                lambda peer: peer.send(STALE[:1]),
                lambda peer: peer.send(IDLE_408),
                lambda peer: (peer.send(IDLE_408), peer.close()),  # type: ignore[func-returns-value]  # two calls in one
                Peer.close,
                Peer.reset,
                Peer.half_close,
            ]
            async with echoing() as server, asking(server) as asked:
                for _ in range(25):
                    await asked.ask()
                    await asked.clock.advance(rng.choice([0.0, 0.01, 0.3, 2.0]))
                    if server.peers and rng.random() < 0.3:
                        with contextlib.suppress(OSError):
                            rng.choice(odd)(rng.choice(server.peers))
                    if rng.random() < 0.5:
                        await settle()
                assert len(server.received) == asked.count


class TestIdleEnd:
    @pytest.mark.parametrize("waits", [True, False])
    @pytest.mark.parametrize("end", [Peer.close, Peer.reset, Peer.half_close])
    async def test_a_connection_that_ended_while_idle_costs_no_attempt(self, end: After, waits: bool) -> None:
        async with echoing() as server, asking(server) as asked:
            await asked.trust()
            end(server.peers[0])
            if not waits:
                await settle()
            exchange = await asked.ask()
            assert (exchange.status, exchange.broken) == (200, None)
            assert len(server.received) == asked.count
            assert len(server.peers) == 2

    async def test_a_408_after_long_idleness_ends_that_connection_alone(self) -> None:
        async with echoing() as server, asking(server) as asked:
            await asked.trust()
            await asked.clock.advance(30)
            server.peers[0].send(IDLE_408)
            for _ in range(20):
                assert (await asked.ask()).status == 200
            assert len(server.received) == asked.count
            assert len(server.peers) == 3

    async def test_a_408_soon_after_a_reply_ends_keeping(self) -> None:
        async with echoing() as server, asking(server) as asked:
            server.after = lambda peer: (peer.send(IDLE_408), peer.close())  # type: ignore[func-returns-value]  # two calls in one
            for _ in range(10):
                assert (await asked.ask()).status == 200
            assert len(server.peers) == len(server.received) == asked.count

    async def test_one_that_ends_while_the_request_is_on_its_way_is_asked_anew(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The closing segment confirms nothing of the request: it was not received."""
        async with echoing() as server, asking(server) as asked:
            await asked.trust()
            monkeypatch.setattr(SocketView, "is_silent", True)  # as if it came a moment later
            server.peers[0].close()
            exchange = await asked.ask()
            assert (exchange.status, exchange.broken) == (200, None)
            assert len(server.received) == asked.count
            assert len(server.peers) == 2

    @pytest.mark.parametrize("end", [Peer.close, Peer.reset])
    async def test_one_that_ends_after_the_request_came_keeps_its_worst_case(self, end: After) -> None:
        async with echoing() as server, asking(server) as asked:
            await asked.trust()
            server.before = end
            exchange = await asked.ask()
            assert (exchange.broken, exchange.sent) == ("connection", True)
            assert len(server.received) == asked.count

    async def test_where_the_system_does_not_tell_the_worst_case_stays(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with echoing() as server, asking(server) as asked:
            await asked.trust()
            monkeypatch.setattr(SocketView, "is_silent", True)
            monkeypatch.setattr(SocketView, "unconfirmed", lambda _: None)
            server.peers[0].close()
            exchange = await asked.ask()
            assert (exchange.broken, exchange.sent) == ("connection", True)


async def test_the_system_is_not_asked_once_every_packet_of_this_network_is_confirmed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tcp, "_SHORTEST_ROUND_TRIP", 0.0)
    monkeypatch.setattr(tcp, "_TIMES_AS_LONG", 0)
    async with echoing() as server, asking(server) as asked:
        await asked.trust()
        monkeypatch.setattr(SocketView, "unconfirmed", lambda _: pytest.fail("it was asked"))
        assert (await asked.ask()).status == 200


class TestEarly:
    """What came before the request had been received: as in a network where a packet takes its time."""

    @pytest.fixture(autouse=True)
    def slow_network(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tcp, "_SHORTEST_ROUND_TRIP", 1.0)

    async def test_an_answer_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with echoing() as server, asking(server) as asked:
            await asked.trust()
            monkeypatch.setattr(SocketView, "unconfirmed", lambda _: 1)
            exchange = await asked.ask()
            assert (exchange.broken, exchange.sent) == ("connection", True)
            assert "before the request had been received" in exchange.detail

    async def test_a_408_is_the_idle_connections_and_the_request_is_sent_anew(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with echoing() as server, asking(server) as asked:
            await asked.trust()
            monkeypatch.setattr(SocketView, "unconfirmed", lambda _: 10_000)
            answers = iter([IDLE_408])
            server.answer = lambda _, body: next(answers, reply(body))
            assert (await asked.ask()).status == 200

    async def test_an_early_refusal_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with echoing() as server, asking(server) as asked:
            await asked.trust()
            monkeypatch.setattr(SocketView, "unconfirmed", lambda _: 1)
            server.answer = lambda _, body: reply(b"", "413 Large")
            assert (await asked.ask()).status == 413

    async def test_a_whole_request_is_confirmed_when_its_reply_comes(self) -> None:
        """No false alarm: TCP confirms with the reply what was read before it, also of long requests."""
        async with echoing() as server, asking(server) as asked:
            await asked.trust()
            for size in (1, 1000, 100_000, 2_000_000):
                body = b"x" * size
                for _ in range(50):
                    exchange = await asked.client.complete(body, seconds=60, on_id=print)
                    assert (exchange.status, len(exchange.body)) == (200, size), exchange.detail
            assert len(server.peers) == 2


class TestIds:
    async def test_every_request_carries_its_own(self) -> None:
        async with echoing() as server, asking(server) as asked:
            for _ in range(5):
                await asked.ask()
            for number, head in enumerate(server.heads, 1):
                assert f"\r\nX-Request-Id: pq-0123456789ab-{number:08x}\r\n" in head

    @pytest.mark.parametrize("where", ["header", "body"])
    async def test_a_reply_that_names_another_is_refused(self, where: str) -> None:
        def one_behind(head: str, body: bytes) -> bytes:
            sent.append(head.partition("X-Request-Id: ")[2].partition("\r\n")[0])
            named = sent[-1] if len(sent) % 4 else sent[-2]
            if where == "header":
                return reply(body, X_Request_Id=named)
            return reply(b'{"id": "chatcmpl-%b"}' % named.encode())

        sent: list[str] = []
        async with echoing() as server, asking(server) as asked:
            server.answer = one_behind
            found = [await asked.client.complete(b"{}", seconds=5, on_id=print) for _ in range(4)]
            assert [exchange.broken for exchange in found] == [None, None, None, "connection"]
            assert "names another request" in found[-1].detail

    def test_an_id_of_the_servers_own_says_nothing(self) -> None:
        ids = RequestIds("pq-0123456789ab")
        sent = ids.new()
        ids.check(sent, {"X-Request-Id": "req-77"}, b'{"id": "chatcmpl-0001"}')

    def test_an_answer_that_comes_twice_is_refused_where_ids_differ(self) -> None:
        ids, last = RequestIds("pq-0"), b""
        for number in range(30):
            last = ids.check_new(last, b'{"id": "gen-%08d"}' % number)
        with pytest.raises(ForeignReplyError, match="generation id"):
            ids.check_new(last, b'{"id": "gen-%08d"}' % 29)
        assert ids.check_new(b"gen-of-another-connection", b'{"id": "gen-%08d"}' % 29)

    def test_servers_that_repeat_their_ids_are_left_alone(self) -> None:
        ids, last = RequestIds("pq-0"), b""
        for number in range(90):
            last = ids.check_new(last, b'{"id": "gen-%08d"}' % (number // 3))


class TestOpenFiles:
    async def test_running_out_of_files_is_waited_for(self) -> None:
        async def connect(seconds: float) -> aiohttp.connector.Connection:
            asked_at.append(clock.monotonic())
            key = aiohttp.client_reqrep.ConnectionKey("host", 80, False, None, None, None, None)
            raise aiohttp.ClientConnectorError(key, OSError(24, "Too many open files"))

        clock, asked_at = ManualClock(), list[float]()
        taking: Awaitable[object] = asyncio.ensure_future(Pool(connect, clock).make(3.0, fresh=False))
        await clock.advance(5)
        with pytest.raises(aiohttp.ClientConnectorError):
            await taking
        assert len(asked_at) > 20
