"""A web server on loopback that answers as a test says, byte for byte, and a canary that must stay silent.

The server listens on 127.0.0.2 and the tests open that one address to the fetcher; the canary
listens on 127.0.0.1 and ::1 at the same port, as a service inside the user's network would.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from parquill.fetch import UrlRules
from tests.clock import ManualClock

SERVER = "127.0.0.2"

Answer = bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]


class EagerClock(ManualClock):
    """A clock on which waiting takes no time: every sleep turns it at once."""

    async def sleep(self, seconds: float) -> None:
        await self.advance(seconds)


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]


@dataclass
class Web:
    """`answers` maps a path to raw bytes to send, or to a coroutine function that sends them."""

    port: int = 0
    answers: dict[str, Answer] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    open_now: int = 0
    most_open: int = 0
    canary: list[str] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    serving: set[asyncio.Task[None]] = field(default_factory=set)

    def url(self, path: str, host: str = SERVER) -> str:
        return f"http://{host}:{self.port}{path}"

    def rules(self, **more: object) -> UrlRules:
        return UrlRules(ports=frozenset({self.port}), opened=(ipaddress.ip_network(f"{SERVER}/32"),), **more)  # type: ignore[arg-type]  # more of its fields

    def paths(self) -> list[str]:
        return [request.path for request in self.requests]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.serving.add(task)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode("latin-1").split("\r\n")
                method, path, _ = lines[0].split(" ", 2)
                headers = {key.lower(): value for key, _, value in (line.partition(": ") for line in lines[1:] if line)}
                self.requests.append(Request(method, path, headers))
                self.arrived.set()
                answer = self.answers.get(path.partition("?")[0], reply(404, b"no such page"))
                self.open_now += 1
                self.most_open = max(self.most_open, self.open_now)
                try:
                    await self._answer(method, answer, writer)
                finally:
                    self.open_now -= 1
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.serving.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(self, method: str, answer: Answer, writer: asyncio.StreamWriter) -> None:
        if isinstance(answer, bytes):
            writer.write(answer if method != "HEAD" else answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
        else:
            await answer(writer)

    async def sing(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.canary.append(str(writer.get_extra_info("sockname")))
        writer.close()


def reply(status: int, body: bytes = b"", **headers: str) -> bytes:
    """A whole response; underscores in header names are dashes."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


@contextlib.asynccontextmanager
async def web_server(*others: str) -> AsyncIterator[Web]:
    """`others`: further addresses on loopback that are served at the same port."""
    web = Web()
    async with contextlib.AsyncExitStack() as stack:
        for host in (SERVER, *others):
            server = await asyncio.start_server(web.serve, host, web.port, backlog=1000)
            web.port = server.sockets[0].getsockname()[1]
            stack.callback(server.close)
        for host in ("127.0.0.1", "::1"):
            canary = await asyncio.start_server(web.sing, host, web.port)
            stack.callback(canary.close)
        try:
            yield web
        finally:
            for task in [*web.serving]:
                task.cancel()
            await asyncio.gather(*web.serving)
