"""The ledger's calls for each request, from the event loop: intents and outcomes share commits."""

from __future__ import annotations

import asyncio

from parquill.clock import Clock, Timer
from parquill.ledger.batch_commit import BatchCommit, Durable, again
from parquill.ledger.schema import QUARTER_US, ROW_BITS
from parquill.ledger.writer import Writer

GROUP_SECONDS = 0.02
"""How long a group waits for company; with two commits of up to 15 ms an outcome is durable within 50 ms."""
GROUP_OPERATIONS = 256


class RequestWrites:
    """What is called for each request; each method notes an operation and returns at once."""

    def __init__(self, writer: Writer, clock: Clock) -> None:
        self._writer = writer
        self._clock = clock
        self._group: BatchCommit | None = None
        self._timer: Timer | None = None
        self._flying: dict[int, tuple[int, int, tuple[int, int], int]] = {}
        self._endpoints: dict[int, str] = {}
        self._last_attempt = 0
        self._operations = 0

    def intend(
        self,
        *,
        run: int,
        slice_id: int,
        row: int,
        number: int,
        fingerprint: bytes,
        worst_pico: int,
        worst_tokens: int,
        sent_at: int,
    ) -> tuple[int, Durable]:
        """Note that a request is about to be sent; send it when the `Durable` has been awaited. Returns an id for it.

        `number` counts the row's attempts from 1, those of earlier processes too. The request is booked in the
        quarter hour of `sent_at`: when it ends, or as in doubt.
        """
        group = self._open_group()
        key = slice_id << ROW_BITS | row
        attempt = self._last_attempt = self._last_attempt + 1
        self._flying[attempt] = (key, number, (run, sent_at // QUARTER_US), worst_tokens)
        group.intents.append((key, number, run, fingerprint, worst_pico, worst_tokens, sent_at))
        return attempt, self._added(group)

    def redate(self, attempt: int, sent_at: int) -> Durable | None:
        """The request waited and is sent only now: None where that is in the same quarter hour as its intent."""
        key, number, (run, quarter), worst_tokens = self._flying[attempt]
        if sent_at // QUARTER_US == quarter:
            return None
        group = self._open_group()
        self._flying[attempt] = (key, number, (run, sent_at // QUARTER_US), worst_tokens)
        group.redated.append((sent_at, key, number))
        return self._added(group)

    def note_endpoint(self, attempt: int, endpoint: str) -> None:
        """The request goes to this endpoint: it is counted there too when it is booked. Written with that."""
        self._endpoints[attempt] = endpoint

    def headers(self, attempt: int, generation_id: str) -> None:
        """Note the id that the endpoint gave the request, as soon as it came."""
        group = self._open_group()
        key, number, *_ = self._flying[attempt]
        group.headers.append((generation_id, key, number))
        self._added(group)

    def withdraw(self, attempt: int) -> Durable:
        """The request was never sent: its intent goes, and nothing is booked."""
        group = self._open_group()
        key, number, *_ = self._flying.pop(attempt)
        self._endpoints.pop(attempt, None)
        group.withdrawn.append((key, number))
        return self._added(group)

    def settle(
        self,
        attempt: int,
        *,
        cost_pico: int,
        cost_source: str,
        prompt_tokens: int | None,
        completion_tokens: int | None,
        cached_tokens: int | None,
        error_kind: str | None,
        upstream_pico: int | None = None,
    ) -> Durable:
        """A request ended and its row goes on to another. Unknown tokens are booked at worst case."""
        group = self._open_group()
        where = self._book(group, attempt, cost_pico, prompt_tokens, completion_tokens)
        counts = prompt_tokens, completion_tokens, cached_tokens
        group.settled.append((cost_pico, cost_source, *counts, error_kind, upstream_pico, *where))
        return self._added(group)

    def record(
        self,
        *,
        run: int,
        slice_id: int,
        row: int,
        fingerprint: bytes | None,
        ok: bool,
        payload: bytes,
        attempt: int | None,
        cost_pico: int,
        prompt_tokens: int | None,
        completion_tokens: int | None,
    ) -> Durable:
        """A row's final outcome: its attempts leave the ledger, the encoded result stands there.

        The last three arguments are the last attempt's own, 0 with `attempt` None (nothing was sent now). The row's
        cost in the books is that and what its earlier attempts cost; the payload must say the same.
        """
        group = self._open_group()
        key = slice_id << ROW_BITS | row
        if attempt is not None:
            self._book(group, attempt, cost_pico, prompt_tokens, completion_tokens)
        group.outcomes.append((key, run, fingerprint or b"", ok, cost_pico, payload))
        return self._added(group)

    def flush(self) -> Durable | None:
        """Commit without waiting for company; None when nothing waits."""
        if (group := self._group) is not None:
            self._send(group)
        return group.durable if group is not None else None

    def _open_group(self) -> BatchCommit:
        if self._writer.fault is not None:
            raise again(self._writer.fault)
        if self._group is None:
            self._group = BatchCommit(asyncio.get_running_loop())
            self._timer = self._clock.call_later(GROUP_SECONDS, self.flush)
        return self._group

    def _added(self, group: BatchCommit) -> Durable:
        group.size += 1
        if group.size >= GROUP_OPERATIONS:
            self._send(group)
        return group.durable

    def _send(self, group: BatchCommit) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._operations += group.size
        self._group = self._timer = None
        self._writer.send(group)

    def _book(
        self, group: BatchCommit, attempt: int, cost_pico: int, prompt: int | None, completion: int | None
    ) -> tuple[int, int]:
        key, number, where, worst_tokens = self._flying.pop(attempt)
        tokens = worst_tokens if prompt is None or completion is None else prompt + completion
        group.book(where, cost_pico, tokens, prompt or 0, completion or 0)
        if self._endpoints and (endpoint := self._endpoints.pop(attempt, None)) is not None:
            at = endpoint, where[1]
            group.asked[at] = group.asked.get(at, 0) + 1
        return key, number
