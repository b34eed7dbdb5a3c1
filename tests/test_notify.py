"""Word to people outside: the webhook is told once, tried again, and shown nowhere."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from parquill.job import NotifySettings
from parquill.notify import MAX_ATTEMPTS, Delivery, Event, Notice, notify
from tests.web import EagerClock

NOTICE = Notice(
    Event.STOPPED, "captions", "Stopped with 3 rows left.", date="2026-11-23", output="out/x", summary={"requests": 7}
)
PATH = "/T0/B0/hush-4711"


@contextlib.asynccontextmanager
async def webhook(*statuses: int) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """A server that answers with these statuses in turn, the last one for ever; its address, and what it took."""
    taken: list[dict[str, Any]] = []

    async def take(request: web.Request) -> web.Response:
        assert request.path == PATH
        taken.append(json.loads(await request.read()))
        status = statuses[min(len(taken), len(statuses)) - 1]
        return web.Response(status=status, text=f"no such hook: {request.path}", headers={"Location": "/elsewhere"})

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", take)
    async with TestServer(app, host="127.0.0.1") as server:
        yield str(server.make_url(PATH)), taken


def settings(address: str, style: Any = "json") -> NotifySettings:
    return NotifySettings(webhook=SecretStr(address), style=style)


async def test_a_notice_is_one_json_object() -> None:
    async with webhook(204) as (address, taken):
        assert await notify(settings(address), NOTICE, EagerClock()) == Delivery(1)
    assert taken == [
        {
            "event": "stopped",
            "job": "captions",
            "date": "2026-11-23",
            "text": "Stopped with 3 rows left.",
            "output": "out/x",
            "report": None,
            "summary": {"requests": 7},
        }
    ]


async def test_slack_is_given_a_text() -> None:
    async with webhook(200) as (address, taken):
        await notify(settings(address, "slack"), NOTICE, EagerClock())
    assert taken == [{"text": "*captions* stopped: Stopped with 3 rows left."}]


async def test_a_webhook_that_stumbles_is_tried_again() -> None:
    async with webhook(503, 429, 200) as (address, taken):
        assert await notify(settings(address), NOTICE, EagerClock()) == Delivery(3)
    assert len(taken) == 3


@pytest.mark.parametrize(("status", "attempts"), [(500, MAX_ATTEMPTS), (404, 1), (302, 1)])
async def test_a_webhook_that_does_not_take_it_is_given_up_without_an_error(status: int, attempts: int) -> None:
    async with webhook(status) as (address, taken):
        delivery = await notify(settings(address), NOTICE, EagerClock())
    assert (delivery.attempts, delivery.fault) == (attempts, f"status {status}")
    assert len(taken) == attempts


async def test_a_dead_webhook_is_no_error_and_its_address_stays_secret(caplog: pytest.LogCaptureFixture) -> None:
    async with webhook(200) as (address, _):
        pass
    with caplog.at_level(logging.DEBUG):
        delivery = await notify(settings(address), NOTICE, EagerClock())
    assert delivery.attempts == MAX_ATTEMPTS
    assert delivery.fault is not None
    assert "hush-4711" not in repr(delivery) + caplog.text + repr(settings(address))


async def test_without_a_webhook_no_notice_is_sent() -> None:
    assert await notify(NotifySettings(), NOTICE, EagerClock()) == Delivery(0)
