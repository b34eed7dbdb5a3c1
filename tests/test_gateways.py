"""The way to an endpoint: headers, query and body that gateways want, proxies, certificates, Unix sockets."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime as dt
import json
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from parquill.client import Client
from parquill.doctor import examine
from parquill.errors import JobError
from parquill.identity import Identity
from parquill.job import Access, Job, Secret, find_api_key, load_job, read_access
from parquill.replies import classify
from tests.clock import settle
from tests.wire import Server, reply, serving

KEY = "sk-or-v1-0123456789abcdef"
PASSWORD = "pass-word-of-the-proxy"
EXTRA: dict[str, Any] = {
    "extra_body": {"min_p": 0.1, "chat_template_kwargs": {"enable_thinking": False}},
    "request_tags": {"user": "night", "metadata": {"team": "shop"}},
}
BODY = b'{"messages":[],"model":"m"}'


def job(environ: Mapping[str, str] | None = None, network: Mapping[str, Any] | None = None, **model: Any) -> Job:
    settings = {
        "name": "j",
        "manifest": {"path": "m.parquet"},
        "prompt": {"user": "x"},
        "output": {"path": "out"},
        "model": {"endpoint": "http://llm.example:8000/v1", "api_key_env": "K", **model},
        "network": network or {},
    }
    return load_job(settings, environ=dict(environ or {}))


def identity(one: Job) -> str:
    return Identity.of(one, form=b"", turns=[]).digest


@dataclass
class Proxy:
    """A real HTTP proxy: CONNECT tunnels, and requests with a whole URL; every target leads to one port."""

    target: int
    wants: str = ""
    port: int = 0
    lines: list[str] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    serving: list[asyncio.Task[None]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.serving.append(task)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.lines.append(head.partition("\r\n")[0])
            self.heads.append(head)
            if self.wants and f"Proxy-Authorization: {self.wants}" not in head:
                writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()
            else:
                there, out = await asyncio.open_connection("127.0.0.1", self.target)
                if head.startswith("CONNECT"):
                    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                else:
                    out.write(head.encode())
                await asyncio.gather(pump(reader, out), pump(there, writer))
        writer.close()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(2**16):
            writer.write(data)
            await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def proxying(server: Server, wants: str = "") -> AsyncIterator[Proxy]:
    proxy = Proxy(int(server.url.split(":")[2].split("/")[0]), wants)
    listener = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = listener.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        listener.close()
        await ended(proxy.serving)


async def ended(tasks: Iterable[asyncio.Task[None]]) -> None:
    await settle()
    for task in (waiting := list(tasks)):
        task.cancel()
    await asyncio.gather(*waiting)
    await settle()


def authority(folder: Path, *, host: str = "llm.example", days: int = 1) -> tuple[Path, ssl.SSLContext]:
    """A CA of a company's own, and the server's side of a certificate that it signed."""
    now = dt.datetime.now(dt.UTC)

    def signed(name: str, issuer: str, own: ec.EllipticCurvePrivateKey, by: ec.EllipticCurvePrivateKey, ca: bool):  # type: ignore[no-untyped-def]  # a pair of library values
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        signer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)])
        builder = x509.CertificateBuilder(signer, subject, own.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - dt.timedelta(days=9)).not_valid_after(now + dt.timedelta(days=days))
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        if not ca:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        return builder.sign(by, hashes.SHA256())

    root, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    bundle = folder / "ca.pem"
    bundle.write_bytes(signed("Company CA", "Company CA", root, root, True).public_bytes(serialization.Encoding.PEM))
    private = own.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    certificate = signed(host, "Company CA", own, root, False).public_bytes(serialization.Encoding.PEM)
    (folder / "server.pem").write_bytes(private + certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return bundle, context


class TestHeaders:
    async def test_they_are_sent_and_take_the_place_of_ours(self) -> None:
        environ = {"PORTKEY": "pk-0123456789abcdef", "K": KEY}
        extra = {"x-portkey-api-key": "${PORTKEY}", "http-referer": "https://shop.example", "X-Title": "Shop"}
        one = job(environ, extra_headers=extra)
        async with serving(reply()) as server, Client(server.url, Secret(KEY), access=read_access(one, {})) as client:
            await client.complete(BODY, seconds=5, on_id=print)
            await client.get_json("/models")
        for head in server.heads:
            assert server.header("x-portkey-api-key", head) == "pk-0123456789abcdef"
            assert head.lower().count("http-referer") == head.lower().count("x-title") == 1
            assert server.header("http-referer", head) == "https://shop.example"
            assert server.header("authorization", head) == f"Bearer {KEY}"

    async def test_a_secret_in_one_is_not_shown_where_a_server_repeats_it(self) -> None:
        one = job({"PORTKEY": "pk-0123456789abcdef"}, extra_headers={"x-portkey-api-key": "${PORTKEY}"})
        access = read_access(one, {})
        assert "pk-0123456789abcdef" not in f"{access!r}{access.shown}{one!r}{one.model_dump_json()}"
        async with (
            serving(reply(b"no key pk-0123456789abcdef here", "401 No")) as server,
            Client(server.url, None, access=access, variables=one.hidden) as client,
        ):
            exchange = await client.complete(BODY, seconds=5, on_id=print)
        assert "pk-0123456789abcdef" not in f"{exchange}{classify(exchange)}"

    @pytest.mark.parametrize(
        "headers",
        [
            {"a b": "x"},
            {"x": "a\r\nB: c"},
            {"Content-Length": "5"},
            {"host": "x"},
            {"X-A": "1", "x-a": "2"},
            {"é": "x"},
        ],
    )
    def test_what_cannot_stand_in_a_request_is_refused(self, headers: dict[str, str]) -> None:
        with pytest.raises(JobError, match=r"extra_headers"):
            job(extra_headers=headers)

    @pytest.mark.parametrize(
        ("model", "network"),
        [
            ({"extra_headers": {"X-Api-Key": "pk-0123456789"}}, {}),
            ({"extra_headers": {"Authorization": "Bearer 0123"}}, {}),
            ({"extra_query": {"token": "pk-0123456789"}}, {}),
            ({}, {"proxy": "http://me:pk-0123456789@p.example:1"}),
        ],
    )
    def test_a_secret_in_the_job_file_is_refused_and_not_shown(
        self, model: dict[str, Any], network: dict[str, Any]
    ) -> None:
        with pytest.raises(JobError, match=r"\$\{NAME\}") as fault:
            read_access(job(network=network, **model), {})
        assert "0123" not in str(fault.value)

    @pytest.mark.parametrize(
        ("setting", "key", "header", "value"),
        [
            ("Authorization: Bearer", KEY, "authorization", f"Bearer {KEY}"),
            ("api-key", KEY, "api-key", KEY),
            ("Authorization: Basic", "me:secret", "authorization", f"Basic {base64.b64encode(b'me:secret').decode()}"),
        ],
    )
    async def test_the_key_stands_where_the_gateway_looks_for_it(
        self, setting: str, key: str, header: str, value: str
    ) -> None:
        async with (
            serving(reply()) as server,
            Client(server.url, Secret(key), access=Access(key_header=setting)) as client,
        ):
            await client.complete(BODY, seconds=5, on_id=print)
        assert server.header(header) == value
        assert sum(key in line or value in line for line in server.heads[0].split("\r\n")) == 1

    def test_none_sends_no_key_and_needs_none(self) -> None:
        one = job({"K": KEY}, endpoint="openrouter", api_key_header="none")
        assert find_api_key(one.model, {"K": KEY}) is None

    async def test_a_basic_key_is_not_shown_in_the_form_in_which_it_is_sent(self) -> None:
        sent = base64.b64encode(b"me:a-long-password").decode()
        access = Access(key_header="Authorization: Basic")
        async with (
            serving(reply(f"not {sent}".encode(), "401 No")) as server,
            Client(server.url, Secret("me:a-long-password"), access=access) as client,
        ):
            exchange = await client.complete(BODY, seconds=5, on_id=print)
        assert sent not in f"{exchange}"


class TestQueryAndBody:
    async def test_the_query_is_part_of_every_address(self) -> None:
        access = Access(query={"api-version": "2024-10-21", "a": "b&c"})
        async with serving(reply()) as server, Client(server.url, None, access=access) as client:
            await client.complete(BODY, seconds=5, on_id=print)
            await client.get_json("/models?x=1")
        assert [head.split(" ")[1] for head in server.heads] == [
            "/v1/chat/completions?api-version=2024-10-21&a=b%26c",
            "/v1/models?x=1&api-version=2024-10-21&a=b%26c",
        ]

    async def test_extra_keys_and_tags_are_in_every_body(self, tmp_path: Path) -> None:
        pq.write_table(pa.table({"text": ["a"]}), tmp_path / "m.parquet")
        answer = {"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 1}}
        async with serving(reply(json.dumps(answer).encode())) as server:
            one = job(endpoint=server.url, api_key_header="none", **EXTRA)
            manifest = one.manifest.model_copy(update={"path": str(tmp_path / "m.parquet")})
            output = one.output.model_copy(update={"path": str(tmp_path / "out")})
            await examine(one.model_copy(update={"manifest": manifest, "output": output}))
        bodies = [json.loads(body) for body in server.bodies if body]
        assert bodies
        for body in bodies:
            assert (body["min_p"], body["chat_template_kwargs"]) == (0.1, {"enable_thinking": False})
            assert (body["user"], body["metadata"]) == ("night", {"team": "shop"})

    def test_the_body_decides_the_answer_and_tags_do_not(self) -> None:
        plain = identity(job())
        assert identity(job(extra_body={})) == plain
        assert identity(job(extra_body={"min_p": 0.1})) != plain
        assert identity(job(request_tags={"user": "night", "metadata": {"team": "shop"}})) == plain
        assert identity(job(extra_headers={"X-A": "b"}, extra_query={"a": "b"}, api_key_header="api-key")) == plain
        assert identity(job(network={"proxy": "none"})) == plain

    @pytest.mark.parametrize("key", ["messages", "model", "stream", "max_tokens", "temperature", "user"])
    def test_keys_with_a_setting_of_their_own_are_refused(self, key: str) -> None:
        with pytest.raises(JobError, match=r"extra_body"):
            job(extra_body={key: 1})


class TestProxy:
    @pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
    async def test_the_environments_proxy_takes_the_requests(self, variable: str) -> None:
        async with serving(reply(b'{"a": 1}')) as server, proxying(server) as proxy:
            access = read_access(job(), {variable: f"http://127.0.0.1:{proxy.port}"})
            async with Client("http://llm.example:8000/v1", Secret(KEY), access=access) as client:
                exchange = await client.complete(BODY, seconds=5, on_id=print)
                assert await client.get_json("/models") == (200, {"a": 1})
        assert (exchange.status, server.bodies[0]) == (200, BODY)
        assert proxy.lines == [
            "POST http://llm.example:8000/v1/chat/completions HTTP/1.1",
            "GET http://llm.example:8000/v1/models HTTP/1.1",
        ]
        assert access.shown == f"through the proxy 127.0.0.1:{proxy.port} ({variable})"

    @pytest.mark.parametrize("tls", [True, False])
    async def test_it_is_told_its_password_which_is_shown_nowhere(self, tls: bool, tmp_path: Path) -> None:
        bundle, context = authority(tmp_path)
        wants = f"Basic {base64.b64encode(f'me:{PASSWORD}'.encode()).decode()}"
        async with serving(reply(), tls=context if tls else None) as server, proxying(server, wants) as proxy:
            url = f"http{'s' if tls else ''}://llm.example/v1"
            environ = {"PW": PASSWORD}
            network = {"proxy": f"http://me:${{PW}}@127.0.0.1:{proxy.port}", "ca_bundle": str(bundle)}
            one = job(environ, network, endpoint=url)
            access = read_access(one, {})
            async with Client(url, Secret(KEY), access=access, variables=one.hidden) as client:
                exchange = await client.complete(BODY, seconds=5, on_id=print)
                again = await client.complete(BODY, seconds=5, on_id=print)
        assert (exchange.status, again.status) == (200, 200), exchange.detail
        if tls:
            assert proxy.lines[0] == "CONNECT llm.example:443 HTTP/1.1"
            assert not any(KEY in head for head in proxy.heads), "the proxy sees no key"
        assert PASSWORD not in f"{access!r}{access.shown}{one!r}{one.model_dump_json()}{exchange}"
        assert not any("Proxy-Authorization" in head for head in server.heads) or not tls

    async def test_one_that_refuses_is_no_paid_attempt(self, tmp_path: Path) -> None:
        bundle, context = authority(tmp_path)
        async with serving(reply(), tls=context) as server, proxying(server, "Basic other") as proxy:
            access = Access(proxy=f"http://127.0.0.1:{proxy.port}", ca_bundle=str(bundle))
            async with Client("https://llm.example/v1", None, access=access) as client:
                exchange = await client.complete(BODY, seconds=5, on_id=print)
        assert (exchange.broken, exchange.sent) == ("connection", False)
        assert "407" in exchange.detail

    @pytest.mark.parametrize(
        ("url", "outside", "goes"),
        [
            ("http://llm.example/v1", "", True),
            ("http://llm.example/v1", "llm.example", False),
            ("http://llm.example/v1", "other.example,.example", False),
            ("http://llm.example/v1", "*", False),
            ("http://llm.example:8000/v1", "llm.example:9000", True),
            ("http://llm.example:9000/v1", "llm.example:9000", False),
            ("http://notllm.example/v1", "llm.example", True),
            ("http://10.1.2.3:8000/v1", "10.0.0.0/8", False),
            ("http://127.0.0.1:8000/v1", "", False),
            ("http://localhost:8000/v1", "", False),
            ("http://[::1]:8000/v1", "", False),
            ("http+unix://%2Frun%2Fx.sock/v1", "", False),
        ],
    )
    def test_what_needs_no_proxy_gets_none(self, url: str, outside: str, goes: bool) -> None:
        access = read_access(job(endpoint=url), {"HTTP_PROXY": "http://p.example:3128", "NO_PROXY": outside})
        assert (access.proxy is not None) == goes

    def test_the_job_decides_over_the_environment(self) -> None:
        environ = {"HTTP_PROXY": "http://p.example:3128"}
        assert read_access(job(network={"proxy": "none"}), environ).proxy is None
        assert read_access(job(network={"proxy": "http://q.example:1"}), environ).proxy == "http://q.example:1"
        assert read_access(job(endpoint="emulator"), environ) == Access()

    def test_one_that_is_no_http_proxy_is_refused_with_the_way_out(self) -> None:
        with pytest.raises(JobError, match=r"ALL_PROXY.*network.proxy: none"):
            read_access(job(), {"ALL_PROXY": "socks5://p.example:1080"})
        with pytest.raises(JobError, match=r"network\.proxy"):
            job(network={"proxy": "socks5://p.example:1080"})


class TestCertificates:
    @pytest.mark.parametrize("origin", ["network.ca_bundle", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
    async def test_a_companys_own_are_trusted_where_they_are_named(self, origin: str, tmp_path: Path) -> None:
        bundle, context = authority(tmp_path, host="localhost")
        url = "https://localhost/v1"
        one = job(network={"ca_bundle": str(bundle)} if origin.startswith("network") else {}, endpoint=url)
        access = read_access(one, {} if origin.startswith("network") else {origin: str(bundle)})
        assert access.shown == f"certificates of {bundle} ({origin})"
        async with (
            serving(reply(), tls=context) as server,
            Client(server.url.replace("127.0.0.1", "localhost"), None, access=access) as client,
        ):
            assert (await client.complete(BODY, seconds=5, on_id=print)).status == 200

    @pytest.mark.parametrize(
        ("host", "days", "named", "advice"),
        [
            ("localhost", 1, False, "network.ca_bundle"),
            ("localhost", -1, True, "expired"),
            ("other.example", 1, True, "model.endpoint"),
        ],
    )
    async def test_a_fault_says_what_to_do(
        self, host: str, days: int, named: bool, advice: str, tmp_path: Path
    ) -> None:
        bundle, context = authority(tmp_path, host=host, days=days)
        access = Access(ca_bundle=str(bundle) if named else None)
        async with (
            serving(reply(), tls=context) as server,
            Client(server.url.replace("127.0.0.1", "localhost"), None, access=access) as client,
        ):
            exchange = await client.complete(BODY, seconds=5, on_id=print)
        assert (exchange.broken, exchange.sent) == ("certificate", False)
        assert advice in classify(exchange).message
        assert server.heads == []

    async def test_a_file_that_is_not_there_or_holds_none_is_a_fault_of_the_job(self, tmp_path: Path) -> None:
        with pytest.raises(JobError, match=r"ca_bundle.*nowhere.pem"):
            read_access(job(network={"ca_bundle": "nowhere.pem"}, endpoint="https://llm.example/v1"), {})
        (tmp_path / "empty.pem").write_text("nothing")
        access = Access(ca_bundle=str(tmp_path / "empty.pem"), ca_origin="network.ca_bundle")
        with pytest.raises(JobError, match=r"ca_bundle.*cannot be read"):
            async with Client("https://llm.example/v1", None, access=access):
                pass


async def test_a_unix_socket_is_asked_like_any_other_server(tmp_path: Path) -> None:
    server, path = Server([reply(b'{"a": 1}')]), tmp_path / "s.sock"
    listener = await asyncio.start_unix_server(server.serve, path)
    url = f"http+unix://{str(path).replace('/', '%2F')}/v1"
    assert job(endpoint=url).model.endpoint == url
    async with listener, Client(url, Secret(KEY)) as client:
        for _ in range(3):
            assert (await client.complete(BODY, seconds=5, on_id=print)).status == 200
        assert await client.get_json("/models") == (200, {"a": 1})
    assert server.heads[0].startswith("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n")
    assert server.bodies[:3] == [BODY] * 3
    await ended(server.serving)
