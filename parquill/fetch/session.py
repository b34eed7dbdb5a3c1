"""The fetcher: one guarded session, hops followed by hand, bytes counted while they come.

Its own aiohttp session: no key, no cookies, no proxy from the environment (a proxy
would make the connection for us, past the guard), nothing decompressed, no redirect followed unseen.
Every hop is checked like a manifest's own URL, takes a slot of its own host, and ends in
bytes, in the next hop, in `RowError`, or in `PassingError`: what is tried again at most twice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from importlib.metadata import version
from typing import Protocol, TypeVar

import aiohttp
from yarl import URL

from parquill.clock import Clock
from parquill.errors import ErrorKind, RowError, row_errors
from parquill.fetch.deadlines import within
from parquill.fetch.guard import AddressRefusedError, GuardedResolver, Resolve, guarded_socket, system_resolve
from parquill.fetch.hosts import Host, Hosts
from parquill.fetch.translated_errors import (
    BusyError,
    NoFilesError,
    PassingError,
    refused,
    retry_after,
    status_text,
    translated,
    unreachable,
)
from parquill.fetch.urls import UrlRules, check_port, check_url, shown, too_large
from parquill.fetch.versions import asking_for_change, version_in

REDIRECTS = 3
TRIES = 3
FULL_WAIT = 0.25
FULL_SECONDS = 300.0
"""Until a picture is tried again where no more files may be open, and for how long: what is open is closed at last."""
CONNECT_SECONDS = 5.0
IDLE_SECONDS = 10.0
"""Without a byte, of the head or of the body."""
TOTAL_SECONDS = 30.0
SLOWEST = 10_000
"""Bytes a second, judged once `GRACE_SECONDS` of a body have passed."""
GRACE_SECONDS = 5.0
PATIENCE_SECONDS = 2.0
"""A pause for a host that answers 429 and does not say how long it wants to be left alone."""

T = TypeVar("T")

_REDIRECT = frozenset({301, 302, 303, 307, 308})
_BUSY = frozenset({408, 425, 429})
_NO_HEAD = frozenset({403, 405, 501})
_UNCHANGED = 304
_LONGEST_HEADER = 64 * 2**10
"""Bytes; delivery networks send policies and cookies that are longer than the usual 8 KB."""
_NO_HEADERS: Mapping[str, str] = {}


class Lease(Protocol):
    """Space for the bytes of one download."""

    async def hold(self, size: int) -> None:
        """Wait until `size` bytes may be held, in place of what was held before."""

    def trim(self, size: int) -> None:
        """Give back all but `size` bytes."""


@dataclass(frozen=True, slots=True)
class Download:
    """A body, and its host's name for the state it is in (`version_in`)."""

    body: bytearray
    version: str | None


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

    async def get(self, url: str, lease: Lease) -> Download:
        """Return the body of `url`, at most as large as the rules allow, while `lease` holds its size.

        Raises `RowError`: `image_refused` (a safety rule) or `image_unreachable` (with the HTTP
        status or the reason).
        """

        async def read(answer: _Answer) -> Download:
            lease.trim(0)
            await lease.hold(_expected_size(answer, self._rules.download_bytes))
            body = await self._body(answer)
            lease.trim(len(body))
            return Download(body, version_in(answer.response.headers))

        return await self._tries("GET", url, read)

    async def probe(self, url: str, known: str | None = None) -> str | None:
        """Ask whether `url` is there, and in which state: HEAD, or the head of a GET where a host knows no HEAD.

        `known` is a state that was seen before: it is returned again where the host says that it
        has not passed. None where the host names none. Raises `RowError` as `get`.
        """
        headers = asking_for_change(known)

        async def look(answer: _Answer) -> tuple[int, str | None]:
            status = answer.response.status
            return status, known if status == _UNCHANGED else version_in(answer.response.headers)

        status, version = await self._tries("HEAD", url, look, headers)
        if status in _NO_HEAD:
            _, version = await self._tries("GET", url, look, headers)
        return version

    async def close(self) -> None:
        """Close the session and its connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _tries(
        self, method: str, url: str, read: Callable[[_Answer], Awaitable[T]], headers: Mapping[str, str] = _NO_HEADERS
    ) -> T:
        attempt, until = 0, self._clock.monotonic() + FULL_SECONDS
        while attempt < TRIES:
            if attempt:
                await self._clock.sleep(4.0 ** (attempt - 1))
            try:
                with row_errors(ErrorKind.IMAGE_UNREACHABLE, f"{shown(url)} cannot be fetched"):
                    return await self._follow(method, url, read, headers)
            except PassingError as fault:
                reason = str(fault)
                if isinstance(fault, NoFilesError) and self._clock.monotonic() < until:
                    await self._clock.sleep(FULL_WAIT)
                    continue
                attempt += 1
        raise unreachable(url, f"{reason}, in each of {TRIES} tries")

    async def _follow(
        self, method: str, url: str, read: Callable[[_Answer], Awaitable[T]], headers: Mapping[str, str]
    ) -> T:
        target = url
        for _ in range(REDIRECTS + 1):
            async with self._exchange(method, self._checked(target, url), headers) as answer:
                if answer.response.status not in _REDIRECT:
                    return await read(answer)
                target = _next_hop(answer)
        raise unreachable(url, f"more than {REDIRECTS} redirects")

    def _checked(self, target: str, origin: str) -> URL:
        try:
            return check_port(check_url(target, self._rules), self._rules)
        except RowError as fault:
            if target == origin:
                raise
            kind = ErrorKind.IMAGE_UNREACHABLE if fault.kind is ErrorKind.BAD_ROW else fault.kind
            raise RowError(kind, f"{shown(origin)} redirects; {fault.message}") from None

    @asynccontextmanager
    async def _exchange(self, method: str, url: URL, headers: Mapping[str, str]) -> AsyncIterator[_Answer]:
        """One request and its reply, on one of the host's slots; foreign exceptions end here."""
        async with self._hosts.exchange(url.raw_host or "") as host:
            start = self._clock.monotonic()
            try:
                async with within(self._clock, CONNECT_SECONDS + IDLE_SECONDS, "no answer came"):
                    response = await self._open().request(method, url, headers=headers, allow_redirects=False)
                try:
                    self._judge(method, url, host, response, conditional=bool(headers))
                    yield _Answer(response, url, TOTAL_SECONDS - (self._clock.monotonic() - start))
                finally:
                    response.close()
            except (aiohttp.ClientError, OSError, AddressRefusedError) as error:
                fault = translated(url, error)
                if isinstance(fault, PassingError) and not isinstance(fault, NoFilesError):
                    host.failed(self._clock.monotonic(), str(fault))
                raise fault from error
            except BusyError:
                raise
            except PassingError as fault:
                host.failed(self._clock.monotonic(), str(fault))
                raise
            host.succeeded()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0,  # `Hosts` counts, where waiting is not taken for a host's silence
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
                max_line_size=_LONGEST_HEADER,
                max_field_size=_LONGEST_HEADER,
            )
        return self._session

    def _judge(self, method: str, url: URL, host: Host, response: aiohttp.ClientResponse, *, conditional: bool) -> None:
        """Raise for a status that has no body for us; heed `Retry-After`."""
        status = response.status
        if status in (200, 203) or status in _REDIRECT or (method == "HEAD" and status in _NO_HEAD):
            return
        if conditional and status == _UNCHANGED:
            return
        wait = retry_after(response.headers.get("Retry-After"), self._clock.wall())
        if wait is not None or status == HTTPStatus.TOO_MANY_REQUESTS:
            host.asked_to_wait(self._clock.monotonic(), PATIENCE_SECONDS if wait is None else wait)
        if status in _BUSY:
            raise BusyError(status_text(status))
        if status >= 500:
            raise PassingError(status_text(status))
        host.succeeded()
        raise unreachable(str(url), status_text(status))

    async def _body(self, answer: _Answer) -> bytearray:
        body, start = bytearray(), self._clock.monotonic()
        async with within(self._clock, answer.seconds_left, "the body took too long"):
            while chunk := await self._chunk(answer):
                body += chunk
                if len(body) > self._rules.download_bytes:
                    raise refused(answer.url, too_large(self._rules.download_bytes))
                elapsed = self._clock.monotonic() - start
                if elapsed > GRACE_SECONDS and len(body) < elapsed * SLOWEST:
                    raise unreachable(str(answer.url), f"it sends less than {SLOWEST // 1000} kB a second")
        return body

    async def _chunk(self, answer: _Answer) -> bytes:
        async with within(self._clock, IDLE_SECONDS, "the body stalled"):
            return await answer.response.content.readany()


def _expected_size(answer: _Answer, most: int) -> int:
    """Return the body's size, `most` where it is not said; raise for what is refused unread."""
    encoding = answer.response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        sent = ascii(encoding)[1:21]
        raise refused(answer.url, f"its body is compressed ({sent})")
    size = answer.response.content_length
    if size is not None and size > most:
        raise refused(answer.url, too_large(most))
    return most if size is None else size


def _next_hop(answer: _Answer) -> str:
    location = answer.response.headers.get("Location")
    if not location:
        raise unreachable(str(answer.url), "it redirects without saying where to")
    with row_errors(ErrorKind.IMAGE_UNREACHABLE, lambda _: f"{shown(str(answer.url))}: it redirects to what is no URL"):
        return str(answer.url.join(URL(location)))
