"""Monitors a shared run: sends heartbeats and stops to the portions, adds up their progress."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from parquill.errors import ParquillError, Stop
from parquill.event_loop import meanwhile
from parquill.portions.mailbox import BEAT, Mailbox, PortionProgress, Signal
from parquill.portions.work_order import RunToShare, Stopped
from parquill.run_state import LimitUse, RunState
from parquill.summary import Progress, RowCounts, Tally, TokenCounts
from parquill.timeline_sampling import Pace, sample_of

_LOOK_SECONDS = 1.0
_PATIENCE = 90.0
"""Seconds that portions have to end after a stop."""
_ENDS_ALL = frozenset({Stop.ERROR_RATE, Stop.COST_ALARM, Stop.REFUSED, Stop.UNREACHABLE, Stop.DISK_FULL})
"""What stops one portion and would stop the others just the same."""


class SharedRun:
    """A run in the hands of several processes: it can be watched and stopped as any other."""

    def __init__(self, work: RunToShare, mailboxes: Sequence[Mailbox]) -> None:
        self._work = work
        self._mailboxes = mailboxes
        self._shown = [PortionProgress() for _ in mailboxes]
        self._before = Tally(
            work.plan.manifest.rows, kept_ok=work.plan.kept_ok, kept_errors=work.plan.kept_errors
        ).snapshot()
        self._pace = Pace()
        self._grace: float | None = None
        self._stopped_at = 0.0
        self._said = asyncio.Event()
        self.stopped: Stopped | None = None
        """Why the run is to stop; the first reason stands."""

    def stop(self, reason: Stop, message: str, *, grace: float = 20.0) -> None:
        """Tell every portion to stop, and how long requests in flight may take."""
        if self.stopped is None:
            self.stopped, self._stopped_at = (reason, message), self._work.clock.monotonic()
        self._grace = grace if self._grace is None else min(self._grace, grace)
        self._said.set()

    @property
    def is_overdue(self) -> bool:
        """Whether the portions should long have come to their end."""
        return self.stopped is not None and self._work.clock.monotonic() - self._stopped_at > _PATIENCE

    def state(self) -> RunState:
        """Return the sum of the portions' latest progress, and keep it for the timeline."""
        work, shown = self._work, self._shown
        spent, tokens = sum(one.spent_pico for one in shown), _tokens(shown)
        state = RunState(
            job=work.opened.job.name,
            seconds=work.clock.monotonic() - work.started,
            progress=self._progress(spent, tokens),
            in_flight=sum(one.in_flight for one in shown),
            requests=sum(one.requests for one in shown),
            http_429=sum(one.http_429 for one in shown),
            spent_pico=work.budget.spent_pico + spent,
            cap_pico=work.budget.cap_pico,
            limits=_limits(shown),
            message=self._message(),
        )
        in_all = work.budget.spent_tokens + tokens.prompt + tokens.completion
        work.timeline.add(sample_of(state, tokens=in_all, limit=None))
        return replace(state, eta_seconds=self._pace.left(state))

    def _message(self) -> str:
        if self.stopped is not None:
            return f"stopping: {self.stopped[1]}"
        return f"asked by {sum(one.at > 0 for one in self._shown)} of {len(self._shown)} processes"

    @contextlib.asynccontextmanager
    async def heartbeats(self) -> AsyncIterator[None]:
        """Send heartbeats and poll progress, as long as the context lasts."""
        try:
            async with meanwhile(self._tell(), self._look()):
                yield
        finally:
            await asyncio.to_thread(self._look_once)

    async def _tell(self) -> None:
        beat = 0
        while True:
            beat += 1
            self._said.clear()
            await asyncio.to_thread(self._tell_once, Signal(beat, self._grace))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BEAT):  # Python 3.11's wait_for may swallow a cancellation
                    await self._said.wait()

    def _tell_once(self, word: Signal) -> None:
        for mailbox in self._mailboxes:
            with contextlib.suppress(ParquillError):  # the next word follows
                mailbox.tell(word)

    async def _look(self) -> None:
        while True:
            await asyncio.to_thread(self._look_once)
            for mailbox in self._mailboxes if self.stopped is None else ():
                report = await asyncio.to_thread(mailbox.report)
                if report is not None and report.stopped is not None and report.stopped[0] in _ENDS_ALL:
                    self.stop(*report.stopped)
            await self._work.clock.sleep(_LOOK_SECONDS)

    def _look_once(self) -> None:
        for number, mailbox in enumerate(self._mailboxes):
            self._shown[number] = mailbox.shown() or self._shown[number]

    def _progress(self, spent: int, tokens: TokenCounts) -> Progress:
        shown, rows = self._shown, self._before.rows
        ok = rows.ok + sum(one.ok for one in shown)
        failed = rows.failed + sum(one.failed for one in shown)
        errors = Counter(self._before.errors_by_kind)
        for one in shown:
            errors.update(one.errors)
        counts = RowCounts(
            rows.total,
            ok,
            failed,
            rows.total - ok - failed,
            rows.kept,
            sum(one.reused for one in shown),
            rows.failed_before,
        )
        return Progress(counts, sum(one.requests for one in shown), tokens, spent, 0, dict(errors))


def _tokens(shown: Sequence[PortionProgress]) -> TokenCounts:
    return TokenCounts(sum(one.prompt_tokens for one in shown), sum(one.completion_tokens for one in shown))


def _limits(shown: Sequence[PortionProgress]) -> tuple[LimitUse, ...]:
    """Add the shares up: a limit holds the run back where it holds all of them back."""
    sums: dict[str, LimitUse] = {}
    for one in (limit for portion in shown for limit in portion.limits):
        known = sums.get(one.name)
        sums[one.name] = (
            one
            if known is None
            else LimitUse(one.name, known.used + one.used, known.of + one.of, known.binds and one.binds)
        )
    return tuple(sums.values())
