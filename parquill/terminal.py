"""A run at a terminal: progress while it goes, and what Ctrl-C does.

The first SIGINT or SIGTERM stops the run cleanly: no new rows, those in flight get their
time. The second cuts them off; what was received is kept all the same.

What draws is loaded only where something is drawn: it takes a tenth of a run's start.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING

from parquill.clock import SystemClock
from parquill.errors import Stop
from parquill.observers import Attach, Stoppable, Watched
from parquill.summary import RunSummary

if TYPE_CHECKING:
    from rich.console import Console

    from parquill.estimation import Estimate


_STOPS = {
    signal.SIGINT: (Stop.SIGINT, "interrupted"),
    signal.SIGTERM: (Stop.SIGTERM, "terminated"),
    signal.SIGHUP: (Stop.SIGTERM, "the terminal was closed"),
}


def attended(console: Console | None, *, json_lines: bool) -> Attach:
    """Return what `run_job` enters: a display on `console`, if any, and what hears the signals that stop it."""

    @contextlib.asynccontextmanager
    async def attach(loop: Stoppable, watch: Watched) -> AsyncIterator[None]:
        with stopping_on_signals(loop):
            if console is None:
                yield
                return
            from parquill.progress import choose_style, show  # noqa: PLC0415 - see above

            style = choose_style(console, json_lines=json_lines)
            async with show(style, watch.state, console, SystemClock()):
                yield

    return attach


@contextlib.contextmanager
def stopping_on_signals(loop: Stoppable) -> Iterator[None]:
    """Stop the run on SIGINT, SIGTERM and SIGHUP for as long as the context lasts.

    Signals come to the main thread: on another one this does nothing. The owner of the signals
    before has them again afterwards. Under `nohup` a closed terminal stays unheard.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    events = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in _STOPS}
    if before[signal.SIGHUP] is signal.SIG_IGN:
        del before[signal.SIGHUP]
    received: list[int] = []
    shown_on = [number for number in (1, 2) if os.isatty(number)]

    def stop(number: signal.Signals) -> None:
        received.append(number)
        signal.alarm(0)  # Ray's crash handler hears the signal first and leaves three seconds until it aborts us
        if number is signal.SIGHUP:
            _look_away(shown_on)
        again = len(received) > 1
        reason, word = _STOPS[number]
        loop.stop(reason, f"{word}; the same command goes on", **({"grace": 0.0} if again else {}))

    for number in before:
        events.add_signal_handler(number, stop, number)
    try:
        yield
    finally:
        for number, handler in before.items():
            events.remove_signal_handler(number)
            signal.signal(number, handler)


def _look_away(descriptors: Sequence[int]) -> None:
    """Send to nowhere what would be written to a terminal that is gone: it would fail, and end the run with it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in descriptors:
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


def print_summary(summary: RunSummary) -> None:
    """Close a run on standard error."""
    from rich.console import Console  # noqa: PLC0415 - see above

    from parquill.progress import render_summary  # noqa: PLC0415 - see above

    render_summary(summary, Console(stderr=True, highlight=False))


def print_estimate(estimate: Estimate) -> None:
    """Show an estimate on standard output: it is what was asked for."""
    from rich.console import Console  # noqa: PLC0415 - see above

    from parquill.estimation import render_estimate  # noqa: PLC0415 - `run` starts without it

    render_estimate(estimate, Console(highlight=False))
