"""What comes in and what goes out: one attempt at the wire, and its meaning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from parquill.chat import ChatCompletion, Usage
from parquill.errors import ErrorKind, Stop


@dataclass(frozen=True, slots=True)
class Exchange:
    """One attempt at the wire: either a status with a whole body, or why there is none.

    `broken` says how it ended without a whole body; `sent` is False when the request cannot have
    reached the endpoint (no connection was made), so that nothing can have been billed.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    latency_ms: int
    broken: Literal["timeout", "connection", "certificate"] | None = None
    sent: bool = True
    detail: str = ""
    repairs: tuple[str, ...] = ()
    """What the client forgave before it looked for secrets in the body (`replies.decoding.straighten`)."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a reply means. Exactly one of `completion`, `kind` and `stop` is set."""

    completion: ChatCompletion | None = None
    kind: ErrorKind | None = None
    message: str = ""
    retry: bool = False
    throttled: bool = False
    """The endpoint asked us to slow down: the gate closes and learns."""
    daily: bool = False
    """The limit that was hit resets once a day."""
    in_flight_money: bool = False
    """The 402 that waits: money is held for requests in flight."""
    at_once: bool = False
    """The limit that was hit is one of requests in flight, in the endpoint's own words."""
    wait_hint: float | None = None
    """Seconds to wait as the body says; headers are read by the gate's own parser."""
    stop: Stop | None = None
    of_run: str = ""
    """Of a refusal that may be the row's or the run's (what else was answered decides): the words for the run."""
    lost: bool = False
    """Maybe billed, and no usage that says how much: the attempt keeps its worst case."""
    usage: Usage | None = None
    status: int = 0
    """The HTTP status of a reply that is no answer."""
    unused: ChatCompletion | None = None
    """What came in place of an answer: the text that was filtered or broke off, and who wrote it."""
    most_tries: int | None = None
    """So often at most a row is asked that ends so; None: as often as the job says."""
