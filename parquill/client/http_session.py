"""Opens a session: connector, headers, proxy and certificates for the endpoint.

Depends on `parquill.job.Access`, which has read the job and the environment; here nothing is looked up.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
import yarl

from parquill.errors import JobError
from parquill.job import UNIX, Access, Secret, unix_socket

_HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json",
    "HTTP-Referer": "https://parquill.example",
    "X-Title": "Parquill",
    "User-Agent": "Parquill",
}
LONGEST_HEADER = 64 * 2**10
"""Bytes of a reply's header: gateways pass on cookies and policies that are longer than the usual 8 KB."""
MOST_HEADERS = 1_000
_NAME_SECONDS = 30
"""How long the endpoint's address is kept for its name: as DNS servers of clouds say for names that move."""
_CONNECT_SECONDS = 15.0
_EXPIRED, _OTHER_NAMES = 10, frozenset({62, 64})
"""OpenSSL's X509_V_ERR_CERT_HAS_EXPIRED, and its host name and IP address mismatches."""


def open_session(base_url: str, access: Access, key: Secret | None) -> aiohttp.ClientSession:
    """Return a session to one endpoint, without cookies, time-outs and redirects of its own.

    Raises `JobError` for certificates that cannot be read.
    """
    given = {**access.key_headers(key), **access.headers}
    named = {name.lower() for name in given}
    defaults = {name: value for name, value in _HEADERS.items() if name.lower() not in named}
    return aiohttp.ClientSession(
        connector=_connector(base_url, access),
        headers={**defaults, **given},
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
        raise_for_status=False,
        max_line_size=LONGEST_HEADER,
        max_field_size=LONGEST_HEADER,
        max_headers=MOST_HEADERS,
    )


def request_for(url: yarl.URL, session: aiohttp.ClientSession, access: Access) -> aiohttp.ClientRequest:
    """Return the request of which head and connections are made."""
    proxy, told = _proxy(access.proxy)
    loop = asyncio.get_running_loop()
    headers = {**session.headers, **(told if url.scheme == "http" else {})}
    return aiohttp.ClientRequest(
        "POST", url, headers=headers, session=session, loop=loop, proxy=proxy, proxy_headers=told or None
    )


def target_of(request: aiohttp.ClientRequest) -> str:
    """Return what stands behind the method: the path, or for a proxy that reads the request, the whole URL."""
    through_proxy = request.proxy is not None and not request.is_ssl()
    return str(request.url) if through_proxy else request.url.raw_path_qs


@contextlib.asynccontextmanager
async def asking(
    session: aiohttp.ClientSession, url: yarl.URL, access: Access, seconds: float
) -> AsyncIterator[aiohttp.ClientResponse]:
    """Look something up at the endpoint, on the way that requests take; within `seconds`, reading included.

    Raises what aiohttp raises, and `TimeoutError`.
    """
    proxy, told = _proxy(access.proxy)
    asked = session.get(
        url,
        allow_redirects=False,
        timeout=to_connect(seconds),
        proxy=proxy,
        proxy_headers=told or None,
        headers=told if url.scheme == "http" else None,
    )
    async with asyncio.timeout(seconds), asked as reply:
        yield reply


@functools.lru_cache(maxsize=64)
def to_connect(seconds: float) -> aiohttp.ClientTimeout:
    """Connecting gives up before the whole attempt does: then it is known that nothing was sent."""
    return aiohttp.ClientTimeout(total=None, connect=min(_CONNECT_SECONDS, 0.9 * seconds))


def url_below(base_url: str, path: str, access: Access) -> yarl.URL:
    """Return the URL of a path below the base URL, with the query that the endpoint wants."""
    if base_url.startswith(UNIX):
        base_url = f"http://localhost/{base_url.removeprefix(UNIX).partition('/')[2]}".rstrip("/")
    query = urlencode(access.query)
    return yarl.URL(f"{base_url}{path}{('&' if '?' in path else '?') + query if query else ''}", encoded=True)


def certificate_advice(error: BaseException) -> str:
    """Say what to do about a certificate that is not accepted."""
    inner = getattr(error, "certificate_error", error)
    code = getattr(inner, "verify_code", None)
    if code == _EXPIRED:
        return "it has expired: have it renewed, or see whether this machine's clock is right"
    if code in _OTHER_NAMES:
        return "it is made out for another name: name that one in model.endpoint"
    return (
        "if a server of your own or your company's proxy signed it, name the file of its CA in network.ca_bundle "
        "(or in the environment variable SSL_CERT_FILE)"
    )


def _connector(base_url: str, access: Access) -> aiohttp.BaseConnector:
    if path := unix_socket(base_url):
        return aiohttp.UnixConnector(path, limit=0)
    return aiohttp.TCPConnector(limit=0, ttl_dns_cache=_NAME_SECONDS, ssl=_trust(access))


def _trust(access: Access) -> ssl.SSLContext | bool:
    if access.ca_bundle is None:
        return True
    path = Path(access.ca_bundle)
    try:
        folder = path.is_dir()
        context = ssl.create_default_context(cafile=None if folder else path, capath=path if folder else None)
    except (OSError, ssl.SSLError) as error:
        raise JobError(
            f"{access.ca_origin}: {path} cannot be read as certificates (PEM): {error.strerror or error}"
        ) from None
    # Python 3.13 refuses a CA whose certificate lacks a key identifier or its usage, as many companies' own do. Names,
    # dates and signatures are checked as ever.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.set_alpn_protocols(("http/1.1",))
    return context


def _proxy(url: str | None) -> tuple[yarl.URL | None, dict[str, str]]:
    """Return a proxy's address, and the header that it wants where credentials stand in its URL."""
    if url is None:
        return None, {}
    proxy = yarl.URL(url)
    if proxy.user is None:
        return proxy, {}
    credentials = base64.b64encode(f"{proxy.user}:{proxy.password or ''}".encode()).decode()
    return proxy.with_user(None), {"Proxy-Authorization": f"Basic {credentials}"}
