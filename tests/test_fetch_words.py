"""What the fetcher says of a fault, and whether another try may help."""

from __future__ import annotations

import ipaddress
import socket
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest
from yarl import URL

from parquill.errors import ErrorKind, RowError
from parquill.fetch.addresses import address_fault
from parquill.fetch.guard import GuardedResolver
from parquill.fetch.translated_errors import PassingError, retry_after, status_text, translated
from parquill.fetch.urls import printable

HOST = URL("https://example.org/x.png?signed=1")
KEY = cast(Any, SimpleNamespace(host="example.org", port=443, ssl=True, is_ssl=True))


@pytest.mark.parametrize("address", ["224.0.0.1", "239.1.2.3", "ff02::1", "ff0e::1"])
def test_a_multicast_address_is_refused_by_its_name(address: str) -> None:
    assert address_fault(ipaddress.ip_address(address)) == "a multicast address"


@pytest.mark.parametrize(
    "error",
    [
        aiohttp.ClientConnectorError(KEY, OSError(111, "refused")),
        aiohttp.ClientConnectorDNSError(KEY, OSError(-3, "again")),
        aiohttp.ServerDisconnectedError(),
        ConnectionResetError(),
        TimeoutError(),
        RuntimeError("unforeseen"),
    ],
)
def test_a_connection_that_failed_may_succeed_at_the_next_try(error: Exception) -> None:
    assert isinstance(translated(HOST, error), PassingError)


def test_an_answer_that_is_not_http_is_final_and_named_without_its_signature() -> None:
    fault = translated(HOST, aiohttp.ClientResponseError(cast(Any, None), ()))
    assert isinstance(fault, RowError)
    assert (fault.kind, str(fault)) == (
        ErrorKind.IMAGE_UNREACHABLE,
        "https://example.org/x.png: its answer is not valid HTTP",
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("\u202egpj", "\\u202egpj"),
        ("x" * 120, "x" * 120),
        ("x" * 121, "x" * 117 + "..."),
        ("é", "é"),
    ],
)
def test_text_of_others_is_shown_short_and_with_escapes(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(None, None), ("7", 7.0), (" 7 ", 7.0), ("soon", None), ("-1", None), ("Thu, 01 Jan 1970 00:01:40 GMT", 60.0)],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, 40.0) == seconds


def test_a_status_is_said_with_its_usual_phrase() -> None:
    assert (status_text(404), status_text(799)) == ("HTTP 404 Not Found", "HTTP 799")


@pytest.mark.parametrize(
    ("family", "hosts"),
    [
        (socket.AF_UNSPEC, ["93.184.215.14", "2606:2800:21f::1"]),
        (socket.AF_INET, ["93.184.215.14"]),
        (socket.AF_INET6, ["2606:2800:21f::1"]),
    ],
)
async def test_a_name_resolves_to_addresses_of_the_family_that_was_asked_for(family: Any, hosts: list[str]) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["93.184.215.14", "2606:2800:21f::1", "93.184.215.14"]

    found = await GuardedResolver(resolve, ()).resolve("example.org", 443, family)
    assert [one["host"] for one in found] == hosts
    families = {"93.184.215.14": socket.AF_INET, "2606:2800:21f::1": socket.AF_INET6}
    assert all((one["family"], one["port"]) == (families[one["host"]], 443) for one in found)
