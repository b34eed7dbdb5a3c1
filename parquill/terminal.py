"""A run at a terminal: progress while it goes, and what Ctrl-C does.

The first SIGINT or SIGTERM stops the run cleanly: no new rows, those in flight get their
time. The second cuts them off; what was received is kept all the same.

What draws is loaded only where something is drawn: it takes a tenth of a run's start.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from parquill.clock import SystemClock
from parquill.errors import EXIT_STATUS, Stop
from parquill.observers import Attach, Stoppable, Watched
from parquill.summary import RunSummary
from parquill.threads import end_process, longest_call, start_daemon

if TYPE_CHECKING:
    from rich.console import Console

    from parquill.estimation import Estimate


_LOOK = 0.25
"""Seconds between two looks at what a stop waits for."""
_STOPS = {
    signal.SIGINT: (Stop.SIGINT, "interrupted"),
    signal.SIGTERM: (Stop.SIGTERM, "terminated"),
    signal.SIGHUP: (Stop.SIGTERM, "the terminal was closed"),
}


STUCK_SECONDS = 10.0
"""For which one read or write of manifest, output or books may last when a run was told to stop."""


def attended(console: Console | None, *, json_lines: bool, stuck_seconds: float = STUCK_SECONDS) -> Attach:
    """Return what `run_job` enters: a display on `console`, if any, and what hears the signals that stop it.

    For a process that does nothing else: where a file or store does not answer, a stop ends the process.
    """

    @contextlib.asynccontextmanager
    async def attach(loop: Stoppable, watch: Watched) -> AsyncIterator[None]:
        with stopping_on_signals(loop, lambda status: _end_beside_stuck(status, watch, stuck_seconds)):
            if console is None:
                yield
                return
            from parquill.progress import choose_style, show  # noqa: PLC0415 - see above

            style = choose_style(console, json_lines=json_lines)
            async with show(style, watch.state, console, SystemClock()):
                yield

    return attach


def log_to_stderr(verbose: int) -> None:
    """Write the program's log records to standard error.

    Args:
        verbose: 0 writes none, 1 those at INFO, more those at DEBUG as well.
    """
    if verbose:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        log = logging.getLogger("parquill")
        log.addHandler(handler)
        log.setLevel(logging.DEBUG if verbose > 1 else logging.INFO)


@contextlib.contextmanager
def stopping_on_signals(loop: Stoppable, on_stop: Callable[[int], object] | None = None) -> Iterator[None]:
    """Stop the run on SIGINT, SIGTERM and SIGHUP for as long as the context lasts.

    `on_stop` is called at the first of them with the exit status that it means.

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
        if not again and on_stop is not None:
            on_stop(EXIT_STATUS[_STOPS[number][0]])
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


def _end_beside_stuck(status: int, watch: Watched, seconds: float) -> None:
    """End the process once no request is in flight and one call for a file lasts longer than `seconds`.

    A thread that waits for a network drive or a store hears nothing, and closing the books would wait for it. What
    was answered is in the ledger by then, as after a kill.
    """
    events, in_flight = asyncio.get_running_loop(), 1

    def look() -> None:
        nonlocal in_flight
        in_flight = watch.state().in_flight
        if in_flight:
            events.call_later(_LOOK, look)

    def wait() -> None:
        while in_flight or longest_call() < seconds:
            never.wait(_LOOK)
        sys.stderr.write(
            f"parquill: stopped, but a call for the manifest, the output or the ledger did not return within "
            f"{seconds:g} s: not every row stands in the output. What was answered is kept; the same command goes on\n"
        )
        end_process(status)

    never = threading.Event()
    look()
    start_daemon(wait, "parquill-stop")


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
