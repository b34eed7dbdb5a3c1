"""Checks which URLs a manifest may hold: pure, and quick enough for every row.

`check_url` parses once; what it returns is what is connected to, so that no second parser can
read another host out of the same text. It refuses what is dangerous wherever the URL is opened
(here or by the endpoint): schemes but http and https, user names, literal addresses that are
not on the public internet, names that only mean something inside a network. The port rule is
for our own fetches only. No name is looked up here: that is the guard's part.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

from yarl import URL

from parquill.errors import ErrorKind, RowError, row_errors
from parquill.fetch.addresses import PRIVATE, AddressSpellingError, Network, address_fault, host_address
from parquill.job import ImageSettings

LONGEST_URL = 8000
"""Characters; servers commonly refuse request lines above 8 kB."""

FILE_BYTES = 64 * 10**6
DOWNLOAD_BYTES = 20 * 10**6

# What one parser takes for the host and another for something else; a bracket holds an IPv6 address only.
_CONFUSING = re.compile(r"[\x00-\x1f\x7f\\\ufeff\u200b-\u200f\u2028-\u202e]|^[^/]*//[^/?#]*[ ]|^[^/]*//\[[^0-9a-fA-F:]")
_USER_INFO = re.compile(r"[^/]*//[^/?#]*@")
_LOCAL_NAMES = ("localhost", "local", "internal", "localdomain", "home.arpa")
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*", re.ASCII)


@dataclass(frozen=True, slots=True, eq=False)
class UrlRules:
    """What a URL must keep to. Hosts are exact names, or `.name` for it and all below it.

    A job has one such object; compared and hashed by identity, verdicts are found again quickly.
    """

    allow_hosts: tuple[str, ...] = ()
    deny_hosts: tuple[str, ...] = ()
    ports: frozenset[int] = frozenset({80, 443})
    opened: tuple[Network, ...] = ()
    """Networks opened beyond the public internet."""
    local_names: bool = False
    """Whether names may be looked up that only mean something inside a network."""
    file_bytes: int = FILE_BYTES
    """The largest file that a cell may hold or name."""
    download_bytes: int = DOWNLOAD_BYTES
    """The largest file that is fetched."""

    @staticmethod
    def of(settings: ImageSettings) -> UrlRules:
        """Return the rules of a job."""
        return UrlRules(
            allow_hosts=tuple(host.lower() for host in settings.allow_hosts),
            deny_hosts=tuple(host.lower() for host in settings.deny_hosts),
            ports=frozenset(settings.allow_ports),
            opened=_opened(settings.allow_private),
            local_names=bool(settings.allow_private),
            **(
                {}
                if settings.max_bytes is None
                else dict.fromkeys(("file_bytes", "download_bytes"), settings.max_bytes)
            ),
        )


def _opened(allowed: bool | Sequence[str]) -> tuple[Network, ...]:
    if isinstance(allowed, bool):
        return PRIVATE if allowed else ()
    return tuple(ipaddress.ip_network(text) for text in allowed)


def too_large(most: int) -> str:
    """Say that a file has more than `most` bytes, and which setting bounds it."""
    size = f"{most / 10**6:g} MB" if most >= 10**4 else f"{most} bytes"
    return f"it is larger than {size} (images.max_bytes)"


def shown(url: str) -> str:
    """Return `url` as it may be shown: no query (it may be signed), no user info, 120 characters."""
    return printable(re.sub(r"//[^/@\s]*@", "//", re.split(r"[?#]", url, maxsplit=1)[0]))


def printable(text: str) -> str:
    """Return at most 120 characters of `text`, with escapes for what would turn or hide a message on a screen."""
    cut = text if len(text) <= 120 else f"{text[:117]}..."
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in cut)


def check_url(text: str, rules: UrlRules) -> URL:
    """Return `text` parsed, or raise `RowError`: `bad_row` for no URL, `image_refused` for a broken rule."""
    if len(text) > LONGEST_URL:
        raise _refused(text, f"it is longer than {LONGEST_URL} characters")
    if _CONFUSING.search(text):
        raise _refused(text, "it holds a backslash, an invisible character, or what is no host name")
    with row_errors(ErrorKind.BAD_ROW, lambda error: f"{shown(text)} is no URL: {_why_none(error)}"):
        url = URL(text)
        host, port = url.raw_host, url.port
    if url.scheme not in ("http", "https"):
        raise _refused(text, f"the scheme {url.scheme!r} is not http or https")
    if not host or not port:
        raise RowError(ErrorKind.BAD_ROW, f"{shown(text)} is no URL: it names no host")
    if _USER_INFO.match(text):
        raise _refused(text, "it holds a user name or password")
    fault = _host_fault(host.lower(), rules)
    if fault:
        raise _refused(text, fault)
    return url


def _why_none(error: Exception) -> str:
    """The library raises more than it says: an IndexError for http://a.b[]@, whose text tells a user nothing."""
    return str(error) if isinstance(error, ValueError) else "it cannot be read"


_PLAIN_HEAD = re.compile(r"https?://((?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,})", re.ASCII)
_PLAIN_REST = re.compile(r"(?:/[!-\[\]-~]*)?", re.ASCII)
"""A URL that every parser reads alike: a lower-case name, no port, no user, no backslash."""


def judge_url(text: str, rules: UrlRules) -> None:
    """Raise what `check_url` raises, without making a URL of it: most rows hold a plain one, of a host seen before."""
    if len(text) <= LONGEST_URL:
        end = text.find("/", len("https://"))
        head = text if end < 0 else text[:end]
        if _is_plain_and_fit(head, rules) and _PLAIN_REST.fullmatch(text, len(head)):
            return
    check_url(text, rules)


@functools.lru_cache(maxsize=4096)
def _is_plain_and_fit(head: str, rules: UrlRules) -> bool:
    plain = _PLAIN_HEAD.fullmatch(head)
    return plain is not None and _host_fault(plain[1], rules) is None


def check_port(url: URL, rules: UrlRules) -> URL:
    """Return `url`, or raise `RowError(image_refused)` for a port that is not in `images.allow_ports`."""
    if url.port not in rules.ports:
        raise _refused(str(url), f"port {url.port} is not in images.allow_ports")
    return url


@functools.lru_cache(maxsize=4096)
def _host_fault(host: str, rules: UrlRules) -> str | None:
    try:
        address = host_address(host)
    except AddressSpellingError as error:
        return f"its address is in an unusual spelling ({error})"
    if address is not None:
        fault = address_fault(address, rules.opened)
        if fault:
            return f"{host} is {fault}"
    else:
        name = host.removesuffix(".")
        if not _NAME.fullmatch(name) or len(name) > 253:
            return "its host is not a valid name"
        if not rules.local_names and ("." not in name or any(_below(name, local) for local in _LOCAL_NAMES)):
            return f"{name} is a name inside a network, not on the public internet (images.allow_private opens it)"
    return _list_fault(host.removesuffix("."), rules)


def _list_fault(name: str, rules: UrlRules) -> str | None:
    if any(_matches(name, pattern) for pattern in rules.deny_hosts):
        return f"{name} is in images.deny_hosts"
    if rules.allow_hosts and not any(_matches(name, pattern) for pattern in rules.allow_hosts):
        return f"{name} is not in images.allow_hosts"
    return None


def _matches(name: str, pattern: str) -> bool:
    return _below(name, pattern[1:]) if pattern.startswith(".") else name == pattern


def _below(name: str, parent: str) -> bool:
    return name == parent or name.endswith("." + parent)


def _refused(url: str, why: str) -> RowError:
    return RowError(ErrorKind.IMAGE_REFUSED, f"{shown(url)} is refused: {why}")
