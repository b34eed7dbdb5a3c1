"""The client against servers on loopback that misbehave byte by byte: one attempt, told truly, and no secret out."""

from __future__ import annotations

import asyncio
import datetime as dt
import gzip
import json
import socket
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from parquill.client import Client
from parquill.client.pool import SILENCE
from parquill.emulator import Emulator
from parquill.job import Secret
from parquill.replies import Exchange, classify
from tests.clock import ManualClock
from tests.wire import Answer, full_listener, reply, reset, serving, silence, then

KEY = "sk-or-v1-0123456789abcdef"
BODY = b'{"messages":[],"model":"m"}'
MIB = 2**20


async def ask(url: str, *, seconds: float = 5.0, key: str | None = KEY, ids: list[str] | None = None) -> Exchange:
    async with Client(url, Secret(key) if key else None) as client:
        return await client.complete(BODY, seconds=seconds, on_id=(ids if ids is not None else []).append)


class TestRequest:
    async def test_one_post_with_the_body_as_it_is_and_the_key_in_its_header(self) -> None:
        async with serving(reply(b'{"a": 1}')) as server:
            exchange = await ask(server.url + "/")
        assert (exchange.status, exchange.body, exchange.broken, exchange.sent) == (200, b'{"a": 1}', None, True)
        assert exchange.latency_ms >= 0
        assert server.heads[0].startswith("POST /v1/chat/completions HTTP/1.1\r\n")
        assert server.bodies == [BODY]
        assert server.header("authorization") == f"Bearer {KEY}"
        assert server.header("content-type") == "application/json"
        assert KEY not in server.heads[0].replace(f"Authorization: Bearer {KEY}", "")

    async def test_without_a_key_there_is_no_authorization(self) -> None:
        async with serving(reply()) as server:
            await ask(server.url, key=None)
        assert server.header("authorization") is None

    async def test_cookies_are_not_kept(self) -> None:
        async with (
            serving(reply(Set_Cookie="a=b; Path=/")) as server,
            Client(
                server.url.replace("127.0.0.1", "localhost"), None
            ) as client,  # an address would get no cookies anyway
        ):
            for _ in range(2):
                await client.complete(BODY, seconds=5, on_id=print)
        assert server.header("cookie") is None

    async def test_a_proxy_in_the_environment_is_not_used(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:1")
        async with serving(reply()) as server:
            assert (await ask(server.url)).status == 200

    async def test_as_many_requests_are_in_flight_as_are_sent(self) -> None:
        """An HTTP client's own limit of 100 connections would hold the rest back without a word."""
        arrived, everyone = 0, asyncio.Event()

        async def wait_for_all(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal arrived
            arrived += 1
            if arrived == 150:
                everyone.set()
            await everyone.wait()
            writer.write(reply())

        async with serving(wait_for_all) as server, Client(server.url, None) as client:
            exchanges = await asyncio.gather(*(client.complete(BODY, seconds=20, on_id=print) for _ in range(150)))
        assert {exchange.status for exchange in exchanges} == {200}


class TestOneAttempt:
    @pytest.mark.parametrize("status", ["500 Oops", "503 Busy", "429 Slow", "408 Late", "401 No"])
    async def test_an_error_is_told_and_not_tried_again(self, status: str) -> None:
        async with serving(reply(b"oops", status, Retry_After="0")) as server:
            exchange = await ask(server.url)
        assert (exchange.status, exchange.body) == (int(status[:3]), b"oops")
        assert {name.lower(): value for name, value in exchange.headers.items()}["retry-after"] == "0"
        assert len(server.heads) == 1

    async def test_a_redirect_is_told_and_not_followed(self) -> None:
        async with serving(reply()) as other_outputs:
            async with serving(reply(b"", "307 Away", Location=f"{other_outputs.url}/x")) as server:
                exchange = await ask(server.url)
            assert exchange.status == 307
            assert len(server.heads) == 1
            assert other_outputs.connections == 0

    async def test_a_reset_before_the_headers_is_a_lost_reply(self) -> None:
        async with serving(reset) as server:
            exchange = await ask(server.url)
        assert (exchange.status, exchange.broken, exchange.sent) == (0, "connection", True)
        assert len(server.heads) == 1

    async def test_a_reset_on_a_connection_that_was_used_before_is_not_tried_again_either(self) -> None:
        clock = ManualClock()
        async with serving(reply(), reset) as server, Client(server.url, None, clock=clock) as client:
            await client.complete(BODY, seconds=5, on_id=print)
            await clock.advance(SILENCE)
            exchange = await client.complete(BODY, seconds=5, on_id=print)
        assert (exchange.broken, exchange.sent) == ("connection", True)
        assert (len(server.heads), server.connections) == (2, 1)

    @pytest.mark.parametrize(
        "beginning",
        [
            b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"half',
            b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"hal\r\n',
            b"HTTP/1.1 200 OK\r\nContent-Le",
        ],
    )
    async def test_a_reset_in_the_middle_of_the_reply_is_a_lost_reply(self, beginning: bytes) -> None:
        async with serving(then(beginning, reset)) as server:
            exchange = await ask(server.url)
        assert (exchange.status, exchange.body, exchange.broken, exchange.sent) == (0, b"", "connection", True)
        assert len(server.heads) == 1

    @pytest.mark.parametrize("beginning", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"])
    async def test_a_reply_that_does_not_come_whole_in_time_is_a_time_out(self, beginning: bytes) -> None:
        async with serving(then(beginning, silence)) as server:
            exchange = await ask(server.url, seconds=0.1)
        assert (exchange.status, exchange.broken, exchange.sent) == (0, "timeout", True)
        assert exchange.detail == "no whole reply within 0.1 s"
        assert exchange.latency_ms >= 90
        assert len(server.heads) == 1

    async def test_a_connection_that_is_refused_was_never_sent(self) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # bound, without a listener
            exchange = await ask(f"http://127.0.0.1:{taken.getsockname()[1]}/v1")
        assert (exchange.status, exchange.broken, exchange.sent) == (0, "connection", False)

    async def test_a_connection_that_is_not_made_in_time_was_never_sent(self) -> None:
        with full_listener() as port:
            exchange = await ask(f"http://127.0.0.1:{port}/v1", seconds=1.0)
        assert (exchange.broken, exchange.sent, exchange.detail) == ("timeout", False, "no connection in time")

    async def test_a_host_that_is_not_known_was_never_sent(self) -> None:
        exchange = await ask("http://nowhere.invalid/v1")
        assert (exchange.broken, exchange.sent) == ("connection", False)

    @pytest.mark.parametrize("garbage", [b"hello\r\n\r\n", b"HTTP/1.1 999999 X\r\n\r\n", b"\x00" * 9000, b""])
    async def test_what_is_no_http_is_a_lost_reply(self, garbage: bytes) -> None:
        async with serving(then(garbage, reset)) as server:
            exchange = await ask(server.url)
        assert (exchange.broken, exchange.sent) == ("connection", True)

    async def test_a_row_that_is_cut_off_leaves_the_connection(self) -> None:
        gone = asyncio.Event()

        async def until_gone(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
            await reader.read()
            gone.set()

        async with serving(until_gone) as server, Client(server.url, None) as client:
            task = asyncio.create_task(client.complete(BODY, seconds=60, on_id=print))
            while not server.heads:
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.wait_for(gone.wait(), 5)


class TestGenerationId:
    async def test_it_is_told_while_the_body_is_still_on_its_way(self) -> None:
        told = asyncio.Event()
        ids: list[str] = []

        async def body_after_the_id(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await told.wait()
            writer.write(b"{}")

        def on_id(generation: str) -> None:
            ids.append(generation)
            told.set()

        head = reply(b"", Content_Length="2", X_Generation_Id="gen-17-abc")
        async with serving(then(head, body_after_the_id)) as server, Client(server.url, None) as client:
            exchange = await client.complete(BODY, seconds=5, on_id=on_id)
        assert (exchange.body, ids) == (b"{}", ["gen-17-abc"])

    async def test_it_is_not_told_when_the_reply_came_whole(self) -> None:
        ids: list[str] = []
        async with serving(reply(X_Generation_Id="gen-17-abc")) as server:
            exchange = await ask(server.url, ids=ids)
        assert exchange.headers["X-Generation-Id"] == "gen-17-abc"
        assert ids == []

    @pytest.mark.parametrize("nonsense", ["", "a b", "x" * 201, "é", "\udcff"])
    async def test_what_is_no_id_is_not_told(self, nonsense: str) -> None:
        ids: list[str] = []
        value = nonsense.encode("utf-8", "surrogateescape")
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Generation-Id: " + value + b"\r\n\r\n"
        async with serving(then(head, silence)) as server:
            await ask(server.url, seconds=0.1, ids=ids)
        assert ids == []


class TestBounds:
    @pytest.mark.parametrize("size", [1, MIB, 32 * MIB])
    async def test_a_reply_is_read_whole_up_to_its_bound(self, size: int) -> None:
        async with serving(reply(b"x" * size)) as server:
            assert len((await ask(server.url, seconds=20)).body) == size

    async def test_a_longer_reply_is_broken_off(self) -> None:
        async def without_end(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while not writer.is_closing():
                writer.write(b"100000\r\n" + b"x" * MIB + b"\r\n")
                await writer.drain()

        for answer in (reply(b"x" * (32 * MIB + 1)), without_end, zipped(b"\0" * (33 * MIB))):
            async with serving(answer) as server:
                exchange = await ask(server.url, seconds=20)
            assert (exchange.broken, exchange.sent, exchange.body) == ("connection", True, b"")
            assert "longer than 32 MiB" in exchange.detail

    async def test_a_reply_is_bounded_by_what_max_tokens_can_be_before_it_is_decompressed(self) -> None:
        async with serving(zipped(b"\0" * (4 * MIB)), zipped(b" " * MIB + b"{}")) as server:
            async with Client(server.url, None, max_tokens=256) as client:
                exchange = await client.complete(b"{}", seconds=20, on_id=lambda _: None)
                assert (exchange.broken, exchange.body) == (None, b"\0" * (4 * MIB))
            async with Client(server.url, None, max_tokens=64) as client:
                assert (await client.complete(b"{}", seconds=20, on_id=lambda _: None)).body.endswith(b"{}")
        async with serving(zipped(b"\0" * (4 * MIB))) as server, Client(server.url, None, max_tokens=64) as client:
            exchange = await client.complete(b"{}", seconds=20, on_id=lambda _: None)
        assert (exchange.broken, exchange.sent) == ("connection", True)
        assert "longer than 2.5 MiB" in exchange.detail

    async def test_a_compressed_reply_is_read(self) -> None:
        async with serving(zipped(b'{"a": 1}')) as server:
            assert (await ask(server.url)).body == b'{"a": 1}'


def zipped(body: bytes) -> bytes:
    return reply(gzip.compress(body, 1), Content_Encoding="gzip")


class TestSecrets:
    async def test_a_key_that_a_server_repeats_is_blotted_out(self) -> None:
        said = f"Incorrect API key provided: {KEY}."
        body = json.dumps({"error": {"message": said, "code": 401}}).encode()
        async with serving(
            reply(body, "401 No"), then(f"HTTP/1.1 200 {KEY}\r\n{KEY}\r\n\r\n".encode(), reset)
        ) as server:
            for _ in range(2):
                exchange = await ask(server.url)
                assert KEY not in f"{exchange}{classify(exchange)}"

    async def test_a_word_that_serves_as_a_key_may_stand_in_an_answer(self) -> None:
        async with serving(reply(b'{"answer": "EMPTY"}')) as server:
            assert (await ask(server.url, key="EMPTY")).body == b'{"answer": "EMPTY"}'

    @pytest.mark.parametrize("answer", [reset, silence, b"garbage\r\n\r\n", then(reply(Content_Length="9"), reset)])
    async def test_no_fault_of_the_wire_shows_the_key(self, answer: Answer) -> None:
        async with serving(answer) as server, Client(server.url, Secret(KEY)) as client:
            exchange = await client.complete(BODY, seconds=0.1, on_id=print)
            assert exchange.broken is not None
            assert KEY not in f"{exchange!r}{client!r}{vars(client)}{classify(exchange)}"


def self_signed(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    signed = builder.not_valid_before(now).not_valid_after(now + dt.timedelta(days=1)).sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "both.pem").write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "both.pem")
    return context


class TestTls:
    async def test_an_unsigned_certificate_is_reported_and_nothing_is_sent(self, tmp_path: Path) -> None:
        async with serving(reply(), tls=self_signed(tmp_path)) as server:
            exchange = await ask(server.url)
        assert (exchange.broken, exchange.sent) == ("certificate", False)
        assert server.heads == []

    async def test_a_server_that_does_not_speak_tls_gets_nothing(self) -> None:
        async def plain(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 400 No\r\n\r\n")
            writer.close()

        listener = await asyncio.start_server(plain, "127.0.0.1", 0)
        async with listener:
            exchange = await ask(f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}/v1")
        assert (exchange.broken, exchange.sent) == ("connection", False)


class TestLookUps:
    async def test_json_below_the_base_url_is_returned_with_its_status(self) -> None:
        answers = (reply(b'{"data": []}'), reply(b'{"e": 1}', "404 No"))
        async with serving(*answers) as server, Client(server.url, Secret(KEY)) as client:
            assert await client.get_json("/models/google/gemma-3-4b-it/endpoints") == (200, {"data": []})
            assert await client.get_json("/models?x=1") == (404, {"e": 1})
        assert [head.split(" ")[1] for head in server.heads] == [
            "/v1/models/google/gemma-3-4b-it/endpoints",
            "/v1/models?x=1",
        ]
        assert server.header("authorization") == f"Bearer {KEY}"

    async def test_what_is_no_json_is_none_and_no_reply_is_status_0(self) -> None:
        answers = (reply(b"<html>", "502 Bad"), reply(b"", "302 Away", Location="/x"), reset, silence)
        async with serving(*answers) as server, Client(server.url, None) as client:
            found = [await client.get_json("/models", seconds=0.2) for _ in range(4)]
        assert found == [(502, None), (302, None), (0, None), (0, None)]


async def test_the_emulator_and_the_client_understand_each_other() -> None:
    body = {"model": "google/gemma-3-4b-it", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 20}
    async with Emulator() as emulator, Client(emulator.base_url, Secret(emulator.api_key)) as client:
        exchange = await client.complete(json.dumps(body).encode(), seconds=5, on_id=print)
    verdict = classify(exchange)
    assert verdict.completion is not None
    assert verdict.usage is not None
