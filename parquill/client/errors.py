"""How an attempt can end, beside what aiohttp raises."""

from __future__ import annotations

import aiohttp


class NotReceivedError(aiohttp.ClientConnectionError):
    """The connection ended, and certainly nothing of the request had been received."""


class ForeignReplyError(aiohttp.ClientPayloadError):
    """A reply came that answers another request, or may do so."""
