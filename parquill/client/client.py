"""One aiohttp session, and `complete`, which makes exactly one attempt.

It never retries, never raises for what the wire does (the `Exchange` says it), and knows
nothing of limits or money. Connections are as many as the gate lets in flight: aiohttp's own
limit of 100 would cut more without a word. The key lives in the session's default headers
only; cookies, redirects and environment proxies are off, so it is sent to this one host; and
where a server repeats it in a reply, it is taken out here (`redactor.py`), so that nothing can show it.
"""

from __future__ import annotations

import re
import secrets
import ssl
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

import aiohttp
import orjson
import yarl

from parquill.client.connection import MOST_BYTES, Headers, read_whole
from parquill.client.errors import NotReceivedError
from parquill.client.http_session import asking, certificate_advice, open_session, request_for, url_below
from parquill.client.redactor import Redactor
from parquill.client.request_ids import RequestIds
from parquill.client.wire import Wire
from parquill.clock import Clock, SystemClock
from parquill.errors import JobError
from parquill.event_loop import apart
from parquill.job import Access, Secret
from parquill.replies import Exchange, straighten

_QUOTE = re.compile(r"""b?['"]""")
_LONGEST_SAID = 1000
"""Characters of a fault that are looked at; fewer are shown."""
_NO_VARIABLES: Mapping[str, str] = {}
_DIRECT = Access()
_TOKEN_BYTES, _HEAD_BYTES = 8192, 2 * 2**20
"""A token of 40 letters with log probabilities of 20 others has some 3 kB; and a reply that repeats its request."""
_GENERATION = re.compile(r"[!-~]{1,200}")


class Client:
    """Talks to one OpenAI-compatible base URL; an async context manager."""

    def __init__(
        self,
        base_url: str,
        key: Secret | None,
        *,
        access: Access = _DIRECT,
        variables: Mapping[str, str] = _NO_VARIABLES,
        clock: Clock | None = None,
        ids: str = "",
        max_tokens: int | None = None,
    ) -> None:
        """Take where to ask, with which key, and on which way.

        `variables`: what the environment put into the job, by variable; it is shown nowhere, as the
        key is not. `ids` begins the ids of this client's requests; by chance if empty. `max_tokens`: of an
        answer, where it is known; a reply that is far longer is not read to its end.
        """
        self._base = base_url.rstrip("/")
        self._access = access
        self._key = key
        self._redactor = Redactor(key, {**access.hidden, **_encoded(access, key), **variables})
        self._clock = clock or SystemClock()
        self._ids = RequestIds(ids or f"pq-{secrets.token_hex(6)}")
        self._most = MOST_BYTES if max_tokens is None else min(MOST_BYTES, _HEAD_BYTES + max_tokens * _TOKEN_BYTES)
        self._session: aiohttp.ClientSession | None = None
        self._wire: Wire | None = None

    async def __aenter__(self) -> Client:
        self._session = open_session(self._base, self._access, self._key)
        try:
            request = request_for(self._url("/chat/completions"), self._session, self._access)
            self._wire = Wire(self._session, request, self._clock, self._ids, self._most)
        except JobError:
            await self._session.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._wire is not None:
            self._wire.close()
        if self._session is not None:
            await self._session.close()

    async def complete(self, body: bytes, *, seconds: float, on_id: Callable[[str], object]) -> Exchange:
        """Send one chat completion and read the reply whole, in at most `seconds`.

        `on_id` gets the generation's id when headers came and the body is still on its way.
        """
        assert self._wire is not None
        started = time.perf_counter()

        def on_headers(headers: Headers) -> None:
            generation = self._redactor.redact(headers.get("X-Generation-Id", ""))
            if _GENERATION.fullmatch(generation):
                on_id(generation)

        try:
            status, headers, content = await self._wire.post(body, seconds=seconds, on_headers=on_headers)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            return _broken(error, _since(started), seconds, self._said(error))
        latency, headers = _since(started), self._redactor.redact_headers(headers)
        content, repairs = await apart(len(content), straighten, content, headers)
        content = await apart(len(content), self._redactor.redact_body, content, status)
        return Exchange(status, headers, content, latency, repairs=repairs)

    async def get_json(self, path: str, *, seconds: float = 20.0) -> tuple[int, Any]:
        """GET a path below the base URL; return status and JSON, (0, None) where there is no reply.

        A body that is not JSON gives None: what such a server says about models is not for us.
        """
        assert self._session is not None
        try:
            async with asking(self._session, self._url(path), self._access, seconds) as reply:
                status, content = reply.status, await read_whole(reply.content)
        except (TimeoutError, aiohttp.ClientError, OSError):
            return 0, None
        try:
            content = await apart(len(content), self._redactor.redact_body, content, status)
            return status, orjson.loads(content)
        except orjson.JSONDecodeError:
            return status, None

    def _url(self, path: str) -> yarl.URL:
        return url_below(self._base, path, self._access)

    async def is_there(self, path: str, *, seconds: float) -> bool:
        """GET a path below the base URL; whether a reply came in time that is no fault. Its body is not read."""
        assert self._session is not None
        try:
            async with asking(self._session, self._url(path), self._access, seconds) as reply:
                return reply.status < 500
        except (TimeoutError, aiohttp.ClientError, OSError):
            return False

    def _said(self, error: Exception) -> str:
        """The error in one line of plain ASCII, without a secret."""
        text = self._redactor.redact(f"{type(error).__name__}: {error}")
        if isinstance(error, aiohttp.ClientPayloadError):
            text = _without_quoted(text)
        text = " ".join(text.split())
        return text.encode("ascii", "backslashreplace").decode()[:200]


def _without_quoted(text: str) -> str:
    """What aiohttp's parser says of a broken reply, without what it repeats: that may begin or end inside a secret."""
    quote = _QUOTE.search(text)
    if quote is None:
        return text
    said = text[: quote.start()][:_LONGEST_SAID]
    while (shorter := said.rstrip(":, \t\r\n").removesuffix("\\n").removesuffix("message=")) != said:
        said = shorter
    return said


def _encoded(access: Access, key: Secret | None) -> dict[str, str]:
    """The key as it stands in its header, where that is another text (Basic)."""
    sent = next(iter(access.key_headers(key).values()), "").rpartition(" ")[2]
    return {"the key, encoded": sent} if key is not None and sent != key.reveal() and sent else {}


def _since(started: float) -> int:
    return int((time.perf_counter() - started) * 1000)


_UNSENT = (
    aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError, aiohttp.ConnectionTimeoutError, NotReceivedError
)  # fmt: skip
_NO_HEADERS: Mapping[str, str] = {}


def _broken(error: Exception, latency_ms: int, seconds: float, said: str) -> Exchange:
    unsent = isinstance(error, _UNSENT)
    if isinstance(error, (aiohttp.ClientConnectorCertificateError, ssl.SSLCertVerificationError)):
        detail = f"{said}; {certificate_advice(error)}"
        return Exchange(0, _NO_HEADERS, b"", latency_ms, "certificate", sent=False, detail=detail)
    if isinstance(error, TimeoutError):
        detail = "no connection in time" if unsent else f"no whole reply within {seconds:g} s"
        return Exchange(0, _NO_HEADERS, b"", latency_ms, "timeout", sent=not unsent, detail=detail)
    return Exchange(0, _NO_HEADERS, b"", latency_ms, "connection", sent=not unsent, detail=said)
