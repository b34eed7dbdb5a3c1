"""`Transport`: interface of an endpoint's client, which tests implement in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from parquill.replies import Exchange


class Transport(Protocol):
    """One endpoint, over whatever leads there."""

    async def complete(self, body: bytes, *, seconds: float, on_id: Callable[[str], object]) -> Exchange:
        """Make exactly one attempt at a chat completion, in at most `seconds`; never raises for what the wire does.

        `on_id` gets the generation's id when headers came and the body is still on its way.
        """

    async def get_json(self, path: str, *, seconds: float = 20.0) -> tuple[int, Any]:
        """GET a path below the base URL; return status and JSON, (0, None) where there is no reply."""

    async def is_there(self, path: str, *, seconds: float) -> bool:
        """GET a path below the base URL; whether a reply came in time that is no fault. Its body is not read."""
