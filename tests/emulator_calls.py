"""A bare client for the emulator's own tests: raw HTTP, no engine."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from parquill.emulator import Emulator, EmulatorSettings

MODEL = "google/gemma-3-4b-it"
SCHEMA = {
    "type": "object",
    "properties": {
        "caption": {"type": "string"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "language": {"enum": ["en", "de"]},
    },
    "required": ["caption", "tags", "language"],
    "additionalProperties": False,
}
TYPED = {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "strict": True, "schema": SCHEMA}}}


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    raw: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.raw)

    @property
    def error(self) -> Any:
        return self.json["error"]

    @property
    def text(self) -> str:
        return str(self.json["choices"][0]["message"]["content"])


class Caller:
    """Sends requests to one emulator."""

    def __init__(self, emulator: Emulator, session: aiohttp.ClientSession) -> None:
        self.emulator = emulator
        self.session = session

    async def send(self, method: str, path: str, *, key: str | None = "", **options: Any) -> Reply:
        """Send to a path below the base URL; `key` None sends no Authorization header."""
        headers = {} if key is None else {"Authorization": f"Bearer {key or self.emulator.api_key}"}
        async with self.session.request(
            method, self.emulator.base_url + path, headers=headers, allow_redirects=False, **options
        ) as reply:
            return Reply(reply.status, dict(reply.headers), await reply.read())

    async def get(self, path: str, **options: Any) -> Reply:
        return await self.send("GET", path, **options)

    async def ask(self, text: str = "Hello", *, key: str | None = "", **more: Any) -> Reply:
        """Ask one question; `more` joins or replaces fields of the body."""
        body = {"model": MODEL, "messages": [{"role": "user", "content": text}], "max_tokens": 256, **more}
        return await self.send("POST", "/chat/completions", key=key, data=json.dumps(body).encode())

    async def show(self, *urls: str, **more: Any) -> Reply:
        """Ask about pictures."""
        parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
        return await self.ask(
            messages=[{"role": "user", "content": [{"type": "text", "text": "What?"}, *parts]}], **more
        )


@asynccontextmanager
async def calling(clock: Any = None, **settings: Any) -> AsyncIterator[Caller]:
    """Run an emulator with these settings and a caller for it."""
    async with Emulator(EmulatorSettings(**settings), clock) as emulator, aiohttp.ClientSession() as session:
        yield Caller(emulator, session)
