"""No URL in a manifest reaches an address inside the user's network, however it is spelled or led there."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import AsyncIterator, Sequence

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parquill.errors import ErrorKind, RowError
from parquill.fetch import Fetcher, UrlRules, check_url
from parquill.fetch.addresses import PRIVATE, address_fault
from parquill.fetch.guard import AddressRefusedError, guarded_socket
from parquill.images.byte_budget import ByteBudget
from parquill.job import ImageSettings
from tests.web import EagerClock, Web, reply, web_server

REFUSED = (ErrorKind.IMAGE_REFUSED, ErrorKind.BAD_ROW)

# {P} is the port of server and canary.
HOSTILE = [
    # 127.0.0.1 in every spelling
    "http://127.0.0.1:{P}/",
    "http://127.0.0.1.:{P}/",
    "http://127.1:{P}/",
    "http://127.0.1:{P}/",
    "http://2130706433:{P}/",
    "http://0x7f000001:{P}/",
    "http://0x7f.0.0.1:{P}/",
    "http://0x7f.0x0.0x0.0x1:{P}/",
    "http://0177.0.0.1:{P}/",
    "http://017700000001:{P}/",
    "http://127.0.0.01:{P}/",
    "http://127.0.0.257:{P}/",
    "http://127.255.255.254:{P}/",
    "http://①②⑦.⓪.⓪.①:{P}/",
    "http://127。0。0。1:{P}/",
    "http://127.0.0.1:{P}",
    "http://%31%32%37.0.0.1:{P}/",
    "HTTP://127.0.0.1:{P}/",
    "http://[::1]:{P}/",
    "http://[0:0:0:0:0:0:0:1]:{P}/",
    "http://[::ffff:127.0.0.1]:{P}/",
    "http://[::ffff:7f00:1]:{P}/",
    "http://[0:0:0:0:0:ffff:127.0.0.1]:{P}/",
    "http://[::127.0.0.1]:{P}/",
    "http://[64:ff9b::7f00:1]:{P}/",
    "http://[64:ff9b::127.0.0.1]:{P}/",
    "http://[64:ff9b:1::7f00:1]:{P}/",
    "http://[2002:7f00:1::]:{P}/",
    "http://[2001:0:7f00:1::80ff:fffe]:{P}/",
    "http://[2607:f8b0::5efe:7f00:1]:{P}/",
    "http://[2607:f8b0::200:5efe:7f00:1]:{P}/",
    "http://[2607:f8b0::300:5efe:7f00:1]:{P}/",
    # a private address that carries a public one
    "http://[fd00::5efe:808:808]:{P}/",
    "http://[fd00::200:5efe:8.8.8.8]:{P}/",
    "http://[fec0::5efe:808:808]:{P}/",
    "http://[ff02::5efe:808:808]:{P}/",
    "http://[fe80::5efe:808:808]:{P}/",
    "http://[2001:db8::5efe:808:808]:{P}/",
    "http://[3fff::5efe:808:808]:{P}/",
    "http://[5f00::5efe:808:808]:{P}/",
    "http://[100::5efe:808:808]:{P}/",
    "http://[::5efe:808:808]:{P}/",
    "http://[::808:808]:{P}/",
    "http://[2001:0:808:808:0:0:f7f7:f7f7]:{P}/",
    "http://[2001:0:808:808::5efe:808:808]:{P}/",
    "http://[2002:808:808::5efe:7f00:1]:{P}/",
    "http://[2002:7f00:1::5efe:808:808]:{P}/",
    "http://[::ffff:0:808:808]:{P}/",
    "http://[fd20:ce::254]:{P}/",
    "http://[fd00:c1::a9fe:a9fe]:{P}/",
    "http://[fd00:42::42]:{P}/",
    "http://[fd00:a9fe:a9fe::1]:{P}/",
    "http://[fd00:100::100:200]:{P}/",
    "http://192.0.0.192:{P}/",
    "http://[::1%25lo]:{P}/",
    "http://[fe80::1%25eth0]:{P}/",
    # this machine, this network, by number
    "http://0.0.0.0:{P}/",
    "http://0:{P}/",
    "http://[::]:{P}/",
    "http://10.0.0.1:{P}/",
    "http://172.16.0.1:{P}/",
    "http://192.168.1.1:{P}/",
    "http://100.64.0.1:{P}/",
    "http://169.254.169.254:{P}/latest/meta-data/",
    "http://[::ffff:169.254.169.254]:{P}/",
    "http://[fd00:ec2::254]:{P}/",
    "http://[fe80::1]:{P}/",
    "http://[fc00::1]:{P}/",
    "http://[fec0::1]:{P}/",
    "http://168.63.129.16:{P}/",
    "http://224.0.0.1:{P}/",
    "http://[ff02::1]:{P}/",
    "http://255.255.255.255:{P}/",
    "http://240.0.0.1:{P}/",
    "http://192.0.0.8:{P}/",
    "http://192.88.99.1:{P}/",
    "http://198.18.0.1:{P}/",
    "http://192.0.2.1:{P}/",
    "http://[2001:db8::1]:{P}/",
    # by name
    "http://localhost:{P}/",
    "http://LOCALHOST:{P}/",
    "http://localhost.:{P}/",
    "http://ⓛocalhost:{P}/",
    "http://a.localhost:{P}/",
    "http://localhost.localdomain:{P}/",
    "http://printer.local:{P}/",
    "http://metadata.google.internal:{P}/",
    "http://router.home.arpa:{P}/",
    "http://intranet:{P}/",
    # where a library stumbles, or two of them read another host
    "http://a.b[]@",
    "http://a.b[]@/x.png",
    "http://a.b[]@127.0.0.1:{P}/",
    "http://f[]@x:{P}/",
    "http://[::1]]:{P}/",
    "http://a.b[::1]:{P}/",
    "http://[v1.a]:{P}/",
    "http://[::1]@127.0.0.1:{P}/",
    "http://[]:{P}/",
    "http://[:{P}/",
    "http://%5B::1%5D:{P}/",
    "http://127.0.0.1%00.example.com:{P}/",
    "http://127.0.0.1\uff0f:{P}/",
    "http://127\uff0e0\uff0e0\uff0e1:{P}/",
    "http://127.0.0.1\u00ad:{P}/",
    "http://\ud800.example.com:{P}/",
    "http://xn--:{P}/",
    "http://" + "a" * 64 + ".example.com:{P}/",
    "http://169.254.169.254\t:{P}/",
    # other schemes, user info, confusion of parsers
    "file:///etc/passwd",
    "file:/etc/passwd",
    "gopher://127.0.0.1:{P}/_GET",
    "ftp://127.0.0.1:{P}/",
    "dict://127.0.0.1:{P}/",
    "ws://127.0.0.1:{P}/",
    "http:127.0.0.1:{P}",
    "http:/127.0.0.1:{P}/",
    "http:///127.0.0.1:{P}/",
    "http://user@127.0.0.2:{P}/",
    "http://user:secret@127.0.0.2:{P}/",
    "http://@127.0.0.2:{P}/",
    "http://pictures.example@127.0.0.1:{P}/",
    "http://pictures.example\\@127.0.0.1:{P}/",
    "http://127.0.0.1:{P}\\@pictures.example/",
    "http://127.0.0.1:{P}%2f@pictures.example/",
    "http://pictures.example\u2044@127.0.0.1:{P}/",
    "http://127.0.0.1\t:{P}/",
    "http://127.0.0.1\n.pictures.example:{P}/",
    "http://127.0.0.1 .pictures.example:{P}/",
    "http://pictures.example:0/",
    "http://pictures.example:99999/",
    "http://pictures.example:-1/",
    "http://[::1/",
    "http://[v1.x]:{P}/",
    "http://.pictures.example:{P}/",
    "http://pictures..example:{P}/",
    "http://",
    # a port of another service
    "http://127.0.0.2:22/",
    "http://127.0.0.2:6379/",
]


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    async with web_server() as web:
        yield web


async def fetch(web: Web, url: str, addresses: Sequence[str] = ("127.0.0.1",)) -> bytes:
    """Fetch with every name leading to `addresses`."""

    async def resolve(host: str, port: int) -> Sequence[str]:
        return addresses

    fetcher = Fetcher(web.rules(local_names=True), EagerClock(), resolve=resolve)
    try:
        async with ByteBudget(10**9).lease() as lease:
            return bytes((await fetcher.get(url, lease)).body)
    finally:
        await fetcher.close()


async def test_no_hostile_url_reaches_the_canary(web: Web) -> None:
    assert len(HOSTILE) >= 60
    for pattern in HOSTILE:
        url = pattern.replace("{P}", str(web.port))
        with pytest.raises(RowError) as refusal:
            await fetch(web, url)
        assert refusal.value.kind in REFUSED, url
    assert web.canary == []
    assert web.requests == []


async def test_no_redirect_to_a_hostile_url_reaches_the_canary(web: Web) -> None:
    web.answers["/ok"] = reply(200, b"fine")
    assert await fetch(web, web.url("/ok")) == b"fine"
    targets = [*HOSTILE, f"//127.0.0.1:{web.port}/x", f"//localhost:{web.port}/", "\\\\127.0.0.1\\x"]
    for pattern in targets:
        url = pattern.replace("{P}", str(web.port))
        if any(character in url for character in "\r\n\t") or not url.isascii():
            continue  # no header can carry it
        web.answers["/hop"] = reply(302, Location=url)
        with pytest.raises(RowError) as refusal:
            await fetch(web, web.url("/hop"))
        assert refusal.value.kind in (*REFUSED, ErrorKind.IMAGE_UNREACHABLE), url
    assert web.canary == []


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_a_redirect_to_the_metadata_address_is_refused_by_name(web: Web, code: int) -> None:
    web.answers["/hop"] = reply(code, Location=f"http://169.254.169.254:{web.port}/latest/meta-data/")
    with pytest.raises(RowError, match="metadata") as refusal:
        await fetch(web, web.url("/hop"))
    assert refusal.value.kind is ErrorKind.IMAGE_REFUSED


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["::1"],
        ["10.1.2.3"],
        ["169.254.169.254"],
        ["fe80::1%eth0"],
        ["::ffff:127.0.0.1"],
        ["64:ff9b::7f00:1"],
        ["2002:7f00:1::"],
        ["224.0.0.1"],
        ["127.0.0.2", "127.0.0.1"],
        ["127.0.0.2", "::1"],
    ],
)
async def test_a_name_is_refused_when_any_of_its_addresses_is_private(web: Web, addresses: list[str]) -> None:
    web.answers["/"] = reply(200, b"fine")
    assert await fetch(web, web.url("/", host="pictures.example"), ["127.0.0.2"]) == b"fine"
    with pytest.raises(RowError, match=r"pictures\.example leads to") as refusal:
        await fetch(web, web.url("/", host="pictures.example"), addresses)
    assert refusal.value.kind is ErrorKind.IMAGE_REFUSED
    assert web.canary == []


async def test_a_resolver_that_changes_its_answer_leads_nowhere(web: Web) -> None:
    """DNS rebinding: the name is fine when it is first asked for, and this machine the second time."""
    answers = [["127.0.0.2"], ["127.0.0.1"]]
    asked = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return answers[min(len(asked), 2) - 1]

    web.answers["/hop"] = reply(302, Location=f"http://b.example:{web.port}/", Connection="close")
    fetcher = Fetcher(web.rules(), EagerClock(), resolve=resolve)
    async with ByteBudget(10**9).lease() as lease:
        with pytest.raises(RowError, match=r"leads to 127\.0\.0\.1"):
            await fetcher.get(web.url("/hop", host="a.example"), lease)
    await fetcher.close()
    assert asked == ["a.example", "b.example"]
    assert web.canary == []


async def test_the_socket_guard_holds_alone(web: Web) -> None:
    """Even a session that checks no URL and asks no resolver makes no forbidden socket."""
    connector = aiohttp.TCPConnector(socket_factory=guarded_socket(()))
    async with aiohttp.ClientSession(connector=connector) as session:
        for host in ("127.0.0.1", "[::ffff:127.0.0.1]", "[::1]", "0.0.0.0", "localhost"):
            with pytest.raises((AddressRefusedError, aiohttp.ClientError)):
                await session.get(f"http://{host}:{web.port}/")
    assert web.canary == []


async def test_the_proxy_of_the_environment_is_not_used(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would make the connection for us, past the guard."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{web.port}")
    web.answers["/"] = reply(200, b"fine")
    assert await fetch(web, web.url("/")) == b"fine"
    assert web.canary == []


@pytest.mark.parametrize(
    "url", [url.replace("{P}", "80") for url in HOSTILE if ":{P}" in url and "127.0.0.2" not in url]
)
def test_what_is_passed_on_is_refused_by_its_text_alone(url: str) -> None:
    with pytest.raises(RowError) as refusal:
        check_url(url, UrlRules())
    assert refusal.value.kind in REFUSED


@pytest.mark.parametrize(
    "url",
    [
        "https://pictures.example/a.jpg",
        "http://pictures.example:8080/a%20b.jpg?sig=a%2Fb&x=@y",
        "https://pictures.example/my photo.jpg",
        "https://bücher.example/ä.png",
        "https://8.8.8.8/x.png",
        "https://[2606:4700::1111]/x.png",
        "https://pictures.example./x.png#part",
        "https://xn--bcher-kva.example/@user/x.png",
    ],
)
def test_ordinary_urls_pass(url: str) -> None:
    assert check_url(url, UrlRules()).raw_host


def test_hosts_are_allowed_and_denied_by_name_or_suffix() -> None:
    rules = UrlRules(allow_hosts=("cdn.example", ".shop.example"), deny_hosts=("old.shop.example",))
    for host in ("cdn.example", "CDN.example", "shop.example", "a.b.shop.example"):
        check_url(f"https://{host}/x", rules)
    for host in ("a.cdn.example", "othershop.example", "old.shop.example", "8.8.8.8"):
        with pytest.raises(RowError, match=r"images\.(allow|deny)_hosts"):
            check_url(f"https://{host}/x", rules)


def test_messages_show_neither_password_nor_signature() -> None:
    with pytest.raises(RowError) as refusal:
        check_url("https://anna:hunter2@pictures.example/x.png?signature=abc123", UrlRules())
    assert "hunter2" not in str(refusal.value)
    assert "abc123" not in str(refusal.value)
    assert "pictures.example/x.png" in str(refusal.value)


CREDENTIALS = [
    "169.254.169.254", "169.254.170.2", "169.254.42.42", "168.63.129.16", "100.100.100.200", "192.0.0.192", "fe80::1",
    "fe80::a9fe:a9fe", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fd00:c1::a9fe:a9fe", "fd00:42::42",
    "fd00:a9fe:a9fe::1", "fd00:a9fe:a9fe::254", "fd00:100::100:200", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe",
]  # fmt: skip
"""Where clouds keep them, as their documentations and cloud-init's data sources say."""


def test_private_ranges_open_for_people_who_mean_it_but_credentials_stay_closed() -> None:
    for text in ("127.0.0.1", "10.0.0.1", "192.168.0.1", "::1", "fd12::1", "::ffff:10.0.0.1"):
        assert address_fault(ipaddress.ip_address(text), PRIVATE) is None
    for text in ("224.0.0.1", "0.0.0.0", "fd00::5efe:169.254.169.254", "fd00::5efe:100.100.100.200", *CREDENTIALS):
        assert address_fault(ipaddress.ip_address(text), PRIVATE), text
        assert address_fault(ipaddress.ip_address(text), [ipaddress.ip_network("fc00::/7")]), text


def test_one_private_network_may_be_opened_and_the_others_stay_closed() -> None:
    rules = UrlRules.of(ImageSettings(allow_private=("10.1.0.0/16", "169.254.0.0/16")))
    check_url("http://10.1.2.3/x", rules)
    for url in ("http://10.2.0.1/x", "http://127.0.0.1/x", "http://169.254.169.254/x", "http://[::ffff:10.2.0.1]/x"):
        with pytest.raises(RowError) as refusal:
            check_url(url, rules)
        assert refusal.value.kind is ErrorKind.IMAGE_REFUSED


@given(st.ip_addresses(v=4))
def test_a_disguised_address_is_judged_like_the_one_it_stands_for(address: ipaddress.IPv4Address) -> None:
    plain = address_fault(address) is None
    for disguise in (f"::ffff:{address}", f"64:ff9b::{address}"):
        assert (address_fault(ipaddress.ip_address(disguise)) is None) == plain
    sixtofour = ipaddress.IPv6Address((0x2002 << 112) | (int(address) << 80))
    assert (address_fault(sixtofour) is None) <= plain


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6))
def test_nothing_that_python_calls_private_is_let_through(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if address.is_private or address.is_loopback or address.is_link_local or address.is_multicast:
        assert address_fault(address)


SPECIAL_PURPOSE = [
    ("::/128", False), ("::1/128", False), ("::ffff:0:0/96", None), ("64:ff9b::/96", None), ("64:ff9b:1::/48", False),
    ("100::/64", False), ("100:0:0:1::/64", False), ("2001::/23", False), ("2001:db8::/32", False),
    ("2002::/16", None), ("2620:4f:8000::/48", True), ("3fff::/20", False), ("5f00::/16", False), ("fc00::/7", False),
    ("fe80::/10", False), ("fec0::/10", False), ("ff00::/8", False), ("2606:4700::/32", True), ("2a00::/12", True),
]  # fmt: skip
"""IANA's registry of special-purpose IPv6 addresses, and two networks of the public internet; None: by what is inside.

2001::/23 is closed here as a whole.
"""


@given(
    st.sampled_from(SPECIAL_PURPOSE), st.integers(0, 2**128 - 1), st.sampled_from([None, 0, 0x200, 0x300]), st.data()
)
def test_outer_and_inner_address_are_both_judged(
    entry: tuple[str, bool | None], bits: int, isatap: int | None, data: st.DataObject
) -> None:
    network, opens = ipaddress.IPv6Network(entry[0]), entry[1]
    inner = data.draw(st.ip_addresses(v=4))
    number = int(network.network_address) | (bits & int(network.hostmask))
    if isatap is not None and network.prefixlen <= 64:
        number = (number >> 64 << 64) | (isatap << 48) | (0x5EFE << 32) | int(inner)
    address = ipaddress.IPv6Address(number)
    fault = address_fault(address)
    if opens is False:
        assert fault
    if isatap is not None and network.prefixlen <= 64 and address_fault(inner):
        assert fault
    elif opens:
        carries = (number >> 32) & 0xFCFF_FFFF == 0x5EFE
        assert carries or fault is None


def test_the_guard_sees_the_address_that_is_connected_to() -> None:
    make = guarded_socket(())
    with pytest.raises(AddressRefusedError):
        make((socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1%lo", 80, 0, 1)))
    make((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("8.8.8.8", 80))).close()
