"""The fetcher: one guarded session, hops followed by hand, bytes counted while they come.

Its own aiohttp session: no key, no cookies, no proxy from the environment (a proxy
would make the connection for us, past the guard), nothing decompressed, no redirect followed unseen.
Every hop is checked like a manifest's own URL, takes a slot of its own host, and ends in
bytes, in the next hop, in `RowError`, or in `_Passing`: what is tried again at most twice.
"""

from __future__ import annotations

import asyncio
import email.utils
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from importlib.metadata import version
from typing import Protocol, TypeVar

import aiohttp
from yarl import URL

from parquill.clock import Clock
from parquill.errors import ErrorKind, RowError
from parquill.fetch.guard import (
    AddressRefusedError,
    GuardedResolver,
    NameNotFoundError,
    Resolve,
    guarded_socket,
    system_resolve,
)
from parquill.fetch.hosts import Host, Hosts
from parquill.fetch.urls import UrlRules, check_port, check_url, shown

CAP_BYTES = 20 * 10**6
REDIRECTS = 3
TRIES = 3
CONNECT_SECONDS = 5.0
IDLE_SECONDS = 10.0
"""Without a byte, of the head or of the body."""
TOTAL_SECONDS = 30.0
SLOWEST = 10_000
"""Bytes a second, judged once `GRACE_SECONDS` of a body have passed."""
GRACE_SECONDS = 5.0
AT_ONCE = 64
"""Exchanges with all hosts together; each holds two read buffers of 64 kB besides its lease."""

T = TypeVar("T")

_REDIRECT = frozenset({301, 302, 303, 307, 308})
_PASSING = frozenset({408, 425, 429})
_NO_HEAD = frozenset({403, 405, 501})


class Lease(Protocol):
    """Room for the bytes of one download."""

    async def hold(self, size: int) -> None:
        """Wait until `size` bytes may be held, in place of what was held before."""

    def trim(self, size: int) -> None:
        """Give back all but `size` bytes."""


class _Passing(Exception):  # noqa: N818 - control flow inside this file
    """A failure that another try may not meet."""


@dataclass(frozen=True, slots=True)
class _Answer:
    response: aiohttp.ClientResponse
    url: URL
    seconds_left: float


class Fetcher:
    """Opens URLs found in a manifest; the session opens with the first of them.

    `resolve` looks names up (by default the system). Used in one event loop; `close` ends it.
    """

    def __init__(
        self, rules: UrlRules, clock: Clock, *, contact: str | None = None, resolve: Resolve = system_resolve
    ) -> None:
        self._rules, self._clock, self._resolve = rules, clock, resolve
        who = f"+{contact}; " if contact else ""
        self._agent = f"Parquill/{version('parquill')} ({who}reads pictures that a manifest lists)"
        self._hosts = Hosts(clock)
        self._session: aiohttp.ClientSession | None = None

    async def get(self, url: str, lease: Lease) -> bytearray:
        """Return the body of `url`, at most `CAP_BYTES`, while `lease` holds its size.

        Raises `RowError`: `image_refused` (a safety rule) or `image_unreachable` (with the HTTP
        status or the reason).
        """

        async def read(answer: _Answer) -> bytearray:
            lease.trim(0)
            await lease.hold(_expected_size(answer))
            body = await self._body(answer)
            lease.trim(len(body))
            return body

        return await self._tries("GET", url, {}, read)

    async def probe(self, url: str) -> None:
        """Ask whether `url` is there: HEAD, or the head of a GET where a host knows no HEAD."""

        async def nothing(answer: _Answer) -> int:
            return answer.response.status

        if await self._tries("HEAD", url, {}, nothing) in _NO_HEAD:
            await self._tries("GET", url, {}, nothing)

    async def close(self) -> None:
        """Close the session and its connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _tries(
        self, method: str, url: str, headers: Mapping[str, str], read: Callable[[_Answer], Awaitable[T]]
    ) -> T:
        for attempt in range(TRIES):
            if attempt:
                await self._clock.sleep(4.0 ** (attempt - 1))
            try:
                return await self._follow(method, url, headers, read)
            except _Passing as fault:
                reason = str(fault)
        raise _unreachable(url, f"{reason}, in each of {TRIES} tries")

    async def _follow(
        self, method: str, url: str, headers: Mapping[str, str], read: Callable[[_Answer], Awaitable[T]]
    ) -> T:
        target = url
        for _ in range(REDIRECTS + 1):
            checked = check_url(target, self._rules)
            check_port(checked, self._rules)
            async with self._exchange(method, checked, headers) as answer:
                if answer.response.status not in _REDIRECT:
                    return await read(answer)
                target = _next_hop(answer)
        raise _unreachable(url, f"more than {REDIRECTS} redirects")

    @asynccontextmanager
    async def _exchange(self, method: str, url: URL, headers: Mapping[str, str]) -> AsyncIterator[_Answer]:
        """One request and its reply, on one of the host's slots; foreign exceptions end here."""
        async with self._hosts.exchange(url.raw_host or "") as host:
            start = self._clock.monotonic()
            try:
                async with _within(self._clock, CONNECT_SECONDS + IDLE_SECONDS, "no answer came"):
                    response = await self._open().request(method, url, headers=headers, allow_redirects=False)
                try:
                    self._judge(method, url, host, response)
                    yield _Answer(response, url, TOTAL_SECONDS - (self._clock.monotonic() - start))
                finally:
                    response.close()
            except (aiohttp.ClientError, OSError, AddressRefusedError) as error:
                fault = _translated(url, error)
                if isinstance(fault, _Passing):
                    host.failed(self._clock.monotonic(), str(fault))
                raise fault from error
            except _Passing as fault:
                host.failed(self._clock.monotonic(), str(fault))
                raise
            host.succeeded()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=AT_ONCE,
                    resolver=GuardedResolver(self._resolve, self._rules.opened),
                    socket_factory=guarded_socket(self._rules.opened),
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={
                    "User-Agent": self._agent,
                    "Accept": "image/*, application/pdf;q=0.9, */*;q=0.5",
                    "Accept-Encoding": "identity",
                },
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
                auto_decompress=False,
                trust_env=False,
            )
        return self._session

    def _judge(self, method: str, url: URL, host: Host, response: aiohttp.ClientResponse) -> None:
        """Raise for a status that has no body for us; heed `Retry-After`."""
        status = response.status
        if status in (200, 203, 304) or status in _REDIRECT or (method == "HEAD" and status in _NO_HEAD):
            return
        wait = _retry_after(response.headers.get("Retry-After"), self._clock.wall())
        if wait is not None:
            host.asked_to_wait(self._clock.monotonic(), wait)
        if status >= 500 or status in _PASSING:
            raise _Passing(_status_text(status))
        host.succeeded()
        raise _unreachable(str(url), _status_text(status))

    async def _body(self, answer: _Answer) -> bytearray:
        body, start = bytearray(), self._clock.monotonic()
        async with _within(self._clock, answer.seconds_left, "the body took too long"):
            while chunk := await self._chunk(answer):
                body += chunk
                if len(body) > CAP_BYTES:
                    raise _too_large(answer.url)
                elapsed = self._clock.monotonic() - start
                if elapsed > GRACE_SECONDS and len(body) < elapsed * SLOWEST:
                    raise _unreachable(str(answer.url), f"it sends less than {SLOWEST // 1000} kB a second")
        return body

    async def _chunk(self, answer: _Answer) -> bytes:
        async with _within(self._clock, IDLE_SECONDS, "the body stalled"):
            return await answer.response.content.readany()


@asynccontextmanager
async def _within(clock: Clock, seconds: float, what: str) -> AsyncIterator[None]:
    """`asyncio.timeout` by the clock that was handed in; raises `_Passing`."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(None) as scope:
            timer = clock.call_later(seconds, lambda: scope.reschedule(loop.time()))
            try:
                yield
            finally:
                timer.cancel()
    except TimeoutError as error:
        raise _Passing(f"{what} within {seconds:.0f} s") from error


def _expected_size(answer: _Answer) -> int:
    """Return the body's size, the cap where it is not said; raise for what is refused unread."""
    encoding = answer.response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        sent = ascii(encoding)[1:21]
        raise RowError(ErrorKind.IMAGE_REFUSED, f"{shown(str(answer.url))} is refused: its body is compressed ({sent})")
    size = answer.response.content_length
    if size is not None and size > CAP_BYTES:
        raise _too_large(answer.url)
    return CAP_BYTES if size is None else size


def _next_hop(answer: _Answer) -> str:
    location = answer.response.headers.get("Location", "")
    try:
        return str(answer.url.join(URL(location))) if location else ""
    except ValueError:
        raise _unreachable(str(answer.url), "it redirects to what is no URL") from None


def _retry_after(value: str | None, now: float) -> float | None:
    """Read `Retry-After`: seconds, or an HTTP date (RFC 9110, section 10.2.3)."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _translated(url: URL, error: Exception) -> Exception:
    """Turn what aiohttp, the resolver and the guard raise into one of ours."""
    if isinstance(error, AddressRefusedError):
        return RowError(ErrorKind.IMAGE_REFUSED, f"{shown(str(url))} is refused: {error}")
    if isinstance(error, aiohttp.ClientConnectorDNSError) and isinstance(error.os_error, NameNotFoundError):
        return _Passing(str(error.os_error)) if error.os_error.passing else _unreachable(str(url), str(error.os_error))
    if isinstance(error, aiohttp.ClientSSLError):
        return _unreachable(str(url), "its TLS certificate or connection is not valid")
    if isinstance(error, aiohttp.ClientResponseError):
        return _unreachable(str(url), "its answer is not valid HTTP")
    if isinstance(error, TimeoutError):
        return _Passing(f"no connection within {CONNECT_SECONDS:.0f} s")
    if isinstance(error, aiohttp.ClientConnectorError):
        return _Passing("the connection was refused or the host cannot be reached")
    return _Passing("the connection broke")


def _status_text(status: int) -> str:
    try:
        return f"HTTP {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"HTTP {status}"


def _too_large(url: URL) -> RowError:
    return RowError(ErrorKind.IMAGE_REFUSED, f"{shown(str(url))} is refused: it is larger than {CAP_BYTES // 10**6} MB")


def _unreachable(url: str, why: str) -> RowError:
    return RowError(ErrorKind.IMAGE_UNREACHABLE, f"{shown(url)}: {why}")
