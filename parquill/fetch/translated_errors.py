"""Translates faults of a fetch: foreign exceptions and statuses become row errors."""

from __future__ import annotations

import email.utils
from http import HTTPStatus

import aiohttp
from yarl import URL

from parquill.errors import ErrorKind, ParquillError, RowError
from parquill.fetch.guard import AddressRefusedError, NameNotFoundError
from parquill.fetch.urls import shown
from parquill.open_files import ran_out


class PassingError(ParquillError):
    """A failure that another try may not meet; never leaves the fetcher."""


class BusyError(PassingError):
    """The host is well, but asks for patience: no matter for its breaker."""


class NoFilesError(PassingError):
    """No more files may be open just now: no matter of the host at all."""


def translated(url: URL, error: Exception) -> RowError | PassingError:
    """Turn what aiohttp, the resolver and the guard raise into one of ours."""
    if ran_out(error):
        return NoFilesError("this process may open no more files (ulimit -n)")
    if isinstance(error, AddressRefusedError):
        return refused(url, str(error))
    if isinstance(error, aiohttp.ClientConnectorDNSError) and isinstance(error.os_error, NameNotFoundError):
        why = str(error.os_error)
        return PassingError(why) if error.os_error.passing else unreachable(str(url), why)
    if isinstance(error, aiohttp.ClientSSLError):
        return unreachable(str(url), "its TLS certificate or connection is not valid")
    if isinstance(error, aiohttp.ClientResponseError):
        return unreachable(str(url), "its answer is not valid HTTP")
    if isinstance(error, TimeoutError):
        return PassingError("no connection in time")
    if isinstance(error, aiohttp.ClientConnectorError):
        return PassingError("the connection was refused or the host cannot be reached")
    return PassingError("the connection broke")


def status_text(status: int) -> str:
    """Return a status with its usual phrase; a host's own is not repeated."""
    try:
        return f"HTTP {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"HTTP {status}"


def retry_after(value: str | None, now: float) -> float | None:
    """Read `Retry-After`: seconds, or an HTTP date (RFC 9110, section 10.2.3); None for anything else."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - now)
    except Exception:  # a host wrote it, and the library raises more than it says
        return None


def refused(url: URL, why: str) -> RowError:
    """Return the fault of a URL that breaks a safety rule."""
    return RowError(ErrorKind.IMAGE_REFUSED, f"{shown(str(url))} is refused: {why}")


def unreachable(url: str, why: str) -> RowError:
    """Return the fault of a URL that gave nothing."""
    return RowError(ErrorKind.IMAGE_UNREACHABLE, f"{shown(url)}: {why}")
