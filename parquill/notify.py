"""Posts a run's end to the webhook that the job names.

The address is a secret: anyone who has it may post. It is in no message, log or error of this module,
and what the other side says is not repeated either (it may hold the address). A message is tried
a few times within a minute and then given up: a run is never held up or failed by a webhook.

    json    {"event", "job", "date", "text", "output", "report", "summary": what `run --json` prints}
    slack   {"text"}: what Slack, Mattermost and their like take
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import aiohttp
import orjson

from parquill.clock import Clock
from parquill.job import NotifySettings
from parquill.retry import again

MAX_ATTEMPTS = 5
_SECONDS = 10.0
"""What one attempt may take."""
_PASSING = frozenset({408, 425, 429})


class Event(StrEnum):
    """Why there is word."""

    FINISHED = "finished"
    NOTHING_TO_DO = "nothing_to_do"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Notice:
    """What is said of one run."""

    event: Event
    job: str
    text: str
    date: str | None = None
    output: str | None = None
    report: str | None = None
    summary: Mapping[str, Any] | None = None
    """What `run --json` prints."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """How it went; `fault` says in a few words why it was not delivered."""

    attempts: int
    fault: str | None = None
    may_pass: bool = False


async def notify(settings: NotifySettings, notice: Notice, clock: Clock) -> Delivery:
    """Post a notice to the job's webhook; raises nothing. Without a webhook nothing is sent."""
    if settings.webhook is None:
        return Delivery(0)
    address, body, sent = settings.webhook.get_secret_value(), payload(settings, notice), 0
    async with aiohttp.ClientSession(
        headers={"Content-Type": "application/json", "User-Agent": "Parquill"},
        timeout=aiohttp.ClientTimeout(total=_SECONDS),
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as session:

        async def attempt() -> Delivery:
            nonlocal sent
            sent += 1
            return await _post(session, address, body, sent)

        return await again(
            attempt,
            await attempt(),
            wants=lambda last: last.may_pass,
            may=lambda: sent < MAX_ATTEMPTS,
            rest=lambda _: None,
            sleep=clock.sleep,
            rng=random.Random(),  # noqa: S311 - it spreads waits, it keeps no secret
        )


def payload(settings: NotifySettings, notice: Notice) -> bytes:
    """Return the body of a notice in the style that the job asks for."""
    if settings.style == "slack":
        report = f"\n{notice.report}" if notice.report else ""
        return orjson.dumps({"text": f"*{notice.job}* {notice.event.value.replace('_', ' ')}: {notice.text}{report}"})
    return orjson.dumps(
        {
            "event": notice.event.value,
            "job": notice.job,
            "date": notice.date,
            "text": notice.text,
            "output": notice.output,
            "report": notice.report,
            "summary": notice.summary,
        }
    )


async def _post(session: aiohttp.ClientSession, address: str, body: bytes, number: int) -> Delivery:
    try:
        async with session.post(address, data=body, allow_redirects=False) as reply:
            status = reply.status
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        return Delivery(number, f"no reply ({type(error).__name__})", may_pass=not isinstance(error, ValueError))
    if 200 <= status < 300:
        return Delivery(number)
    return Delivery(number, f"status {status}", may_pass=status >= 500 or status in _PASSING)
