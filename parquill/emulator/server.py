"""The emulator as a server: its life, its routes, and the knobs that tests turn."""

from __future__ import annotations

import asyncio
import dataclasses
import signal
from collections.abc import Callable, Mapping
from decimal import Decimal
from types import TracebackType
from typing import Any

from aiohttp import web

from parquill.clock import Clock, SystemClock
from parquill.emulator import delivery, dialects
from parquill.emulator.completions import Completions
from parquill.emulator.error_replies import ErrorReply, classic
from parquill.emulator.lookups import look_up
from parquill.emulator.misbehaviour import Misbehaviour
from parquill.emulator.pictures import PREFIX, serve_picture
from parquill.emulator.server_state import EmulatorStats, ServerState
from parquill.emulator.settings import EmulatorSettings
from parquill.errors import UsageError

API = "/api/v1"
ALIAS = "/v1"
"""The same API, for clients that were told a base URL ending in /v1."""


class Emulator:
    """An OpenRouter that runs here.

    Use it as an async context manager, or call `start` and `close`. Everything happens in
    the event loop that started it. Limits and dates follow `clock`.
    """

    def __init__(self, settings: EmulatorSettings | None = None, clock: Clock | None = None) -> None:
        self._state = ServerState(settings or EmulatorSettings(), clock or SystemClock())
        self._completions = Completions(self._state)
        self._server: web.Server | None = None
        self._listener: asyncio.Server | None = None
        self._origin = ""

    async def start(self) -> None:
        """Listen; raises `UsageError` where the port is taken."""
        settings = self._state.settings
        loop = asyncio.get_running_loop()
        self._server = web.Server(self._handle, access_log=None, keepalive_timeout=600.0)
        try:
            self._listener = await loop.create_server(self._server, settings.host, settings.port, backlog=2_048)
        except OSError as error:
            raise UsageError(f"emulator: cannot listen on {settings.host}:{settings.port}: {error.strerror}") from error
        self._state.open_log()
        port = self._listener.sockets[0].getsockname()[1]
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        self._origin = f"http://{host}:{port}"
        self._state.origins = (self._origin, f"http://localhost:{port}")

    async def close(self) -> None:
        """Stop listening and end open connections; what was accepted stays on the bill."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        if self._server is not None:
            await self._server.shutdown(timeout=0.05)
            self._server = None
        self._state.log.close()

    async def __aenter__(self) -> Emulator:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def base_url(self) -> str:
        """The API's base URL, for instance http://127.0.0.1:40123/api/v1."""
        return self._origin + API

    @property
    def pictures_url(self) -> str:
        """Where its pictures are, with a slash at the end."""
        return self._origin + PREFIX

    @property
    def api_key(self) -> str:
        """A key that it accepts until `revoke_key`."""
        return self._state.account.api_key

    @property
    def settings(self) -> EmulatorSettings:
        """The settings as they are now."""
        return self._state.settings

    def stats(self) -> EmulatorStats:
        """Return what was done so far."""
        return self._state.stats()

    def revoke_key(self) -> None:
        """Answer 401 to every key from now on."""
        self._state.account.revoke()

    def set_credit(self, usd: Decimal | None) -> None:
        """Set the credits that were bought in all, what is spent already included; None: endless."""
        self.change(credit_usd=usd)

    def set_limits(self, **limits: int | None) -> None:
        """Set requests_per_minute, tokens_per_minute or max_concurrent; others stay."""
        unknown = limits.keys() - {"requests_per_minute", "tokens_per_minute", "max_concurrent"}
        if unknown:
            raise UsageError(f"emulator: no limit is called {', '.join(sorted(unknown))}")
        self.change(**limits)

    def set_parameters(self, *supported: str) -> None:
        """Set `supported_parameters`: what is not among them is ignored or refused."""
        self.change(supported_parameters=supported)

    def set_misbehaviour(self, odds: Mapping[Misbehaviour, float]) -> None:
        """Set the probability of each kind."""
        self.change(misbehaviour=odds)

    def plan(self, *kinds: Misbehaviour | None) -> None:
        """Give the next accepted chat requests these fates, in order of arrival; None: a good reply."""
        self._state.fates.plan(kinds)

    def change(self, **changes: Any) -> None:
        """Replace settings while running; what was counted and spent stays."""
        self._state.settings = dataclasses.replace(self._state.settings, **changes)

    async def _handle(self, http: web.BaseRequest) -> web.StreamResponse:
        generation_id = self._state.new_id()
        path = http.raw_path.partition("?")[0]
        if path.startswith(PREFIX):
            return await self._picture(path[len(PREFIX) :], generation_id)
        try:
            for prefix in (API, ALIAS):
                if path.startswith(prefix + "/"):
                    return await self._route(http, path[len(prefix) :], generation_id)
            raise classic(404, f"No such route: {http.method} {path}", error_type="not_found")
        except ErrorReply as refusal:
            return delivery.refused(dialects.refusal(refusal, self._state.settings), generation_id)
        except ConnectionError:  # the client left before its request was whole
            return delivery.reset(http)

    async def _route(self, http: web.BaseRequest, path: str, generation_id: str) -> web.StreamResponse:
        if http.method == "POST" and path == "/chat/completions":
            return await self._completions.serve(http, generation_id)
        if http.method != "GET":
            raise classic(404, f"No such route: {http.method} {path}", error_type="not_found")
        found = look_up(self._state, path, http.headers.get("Authorization"), http.query.get("id", ""))
        return delivery.plain(200, found, generation_id)

    async def _picture(self, name: str, generation_id: str) -> web.StreamResponse:
        served = await asyncio.to_thread(serve_picture, name)
        if served.seconds:
            await self._state.clock.sleep(served.seconds)
        headers = {delivery.GENERATION: generation_id, "Content-Type": served.content_type}
        if served.location is not None:
            headers["Location"] = served.location
        return web.Response(status=served.status, body=served.body, headers=headers)


async def serve(settings: EmulatorSettings, announce: Callable[[str], None]) -> None:
    """Run an emulator until SIGINT or SIGTERM; `announce` is given the base URL once it listens."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    try:
        async with Emulator(settings) as emulator:
            announce(emulator.base_url)
            await stop.wait()
    finally:
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(name)
