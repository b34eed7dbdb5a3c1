"""Requests that cost nothing, before the first row: a server that hangs over them delays a start by three seconds.

Also finds the base URL that was meant where its last part was left out.
"""

from __future__ import annotations

import re
from typing import Any

from parquill.client import Transport
from parquill.clock import Clock

PATIENCE_SECONDS = 3.0
"""For all look-ups of a start together."""
_FOR_ONE = 2.0
"""Seconds for one of them: some servers hang over addresses that they do not know, and answer others."""
_BELOW = ("/v1", "/api/v1", "/openai/v1")
"""Where servers and gateways have OpenAI's API, below the address that people name."""


class Lookups:
    """The look-ups of one start."""

    def __init__(self, client: Transport, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._until = clock.monotonic() + PATIENCE_SECONDS

    async def get(self, path: str) -> tuple[int, Any]:
        """GET a path below the base URL; return status and JSON, (0, None) where there was no reply in time."""
        seconds = min(_FOR_ONE, self._until - self._clock.monotonic())
        return await self._client.get_json(path, seconds=seconds) if seconds > 0 else (0, None)


async def answering_below(lookups: Lookups, base_url: str) -> str:
    """Return the base URL below this one that lists models; empty where none does, or this one names a version."""
    base_url = base_url.rstrip("/")
    if re.search(r"/v\d[a-z0-9]*+$", base_url):
        return ""
    for path in _BELOW:
        status, body = await lookups.get(f"{path}/models")
        if status == 200 and lists_models(body):
            return f"{base_url}{path}"
    return ""


def lists_models(body: object) -> bool:
    """Whether a body is a list of models in OpenAI's form."""
    return isinstance(body, dict) and isinstance(body.get("data"), list)
