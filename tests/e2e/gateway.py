"""An endpoint on loopback that answers each request as a test says, by the text of its row."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from parquill.clock import SystemClock

USAGE = {"prompt_tokens": 12, "completion_tokens": 3}


def answer(text: str = "a cat") -> dict[str, Any]:
    """A complete reply."""
    return {"choices": [{"message": {"content": text}, "finish_reason": "stop"}], "usage": USAGE}


@dataclass
class Said:
    """One reply: its status, its body, how long it takes and further headers."""

    status: int = 200
    body: Any = field(default_factory=answer)
    seconds: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Gateway:
    """Where it is, and the texts of the rows that were asked, in their order."""

    url: str = ""
    texts: list[str] = field(default_factory=list)

    def model(self, **more: Any) -> dict[str, Any]:
        """The job's `model` section for it."""
        return {"endpoint": self.url, **more}


@contextlib.asynccontextmanager
async def gateway(reply: Callable[[str], Said]) -> AsyncIterator[Gateway]:
    """Serve until the context ends."""
    here = Gateway()

    async def complete(request: web.Request) -> web.Response:
        text = (await request.json())["messages"][-1]["content"]
        text = text if isinstance(text, str) else " ".join(part.get("text", "") for part in text)
        here.texts.append(text)
        said = reply(text)
        if said.seconds:
            await SystemClock().sleep(said.seconds)
        if isinstance(said.body, str):
            return web.Response(status=said.status, text=said.body, content_type="text/html", headers=said.headers)
        return web.json_response(said.body, status=said.status, headers=said.headers, dumps=json.dumps)

    app = web.Application()
    app.router.add_post("/v1/chat/completions", complete)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    here.url = f"http://{host}:{port}/v1"
    try:
        yield here
    finally:
        await runner.cleanup()
