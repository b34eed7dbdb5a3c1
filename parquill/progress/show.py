"""Decides when the view is drawn: three styles, their intervals, log lines beside them.

A frame is drawn from the event loop and only when the stream takes it at once: a terminal held by
Ctrl-S, or a stalled connection, misses frames and the run goes on. The live panel is drawn four
times a second at most, and not at all when nothing in it changed.
"""

from __future__ import annotations

import contextlib
import json
import logging
import select
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from enum import StrEnum
from typing import IO, Protocol

from rich.console import Console
from rich.live import Live

from parquill.clock import Clock
from parquill.event_loop import meanwhile
from parquill.progress.rates import RateWindow
from parquill.progress.view import json_object, line, panel
from parquill.run_state import RunState

_log = logging.getLogger(__name__)


class Style(StrEnum):
    """How a running job shows itself."""

    LIVE = "live"
    PLAIN = "plain"
    JSON = "json"


_PACE = {Style.LIVE: 0.25, Style.PLAIN: 10.0, Style.JSON: 2.0}
"""Seconds between two looks."""


def choose_style(console: Console, *, json_lines: bool = False) -> Style:
    """Return the style that fits the console: live on a terminal, else a plain line now and then."""
    if json_lines:
        return Style.JSON
    return Style.LIVE if console.is_terminal and not console.is_dumb_terminal else Style.PLAIN


@contextlib.asynccontextmanager
async def show(style: Style, state: Callable[[], RunState], console: Console, clock: Clock) -> AsyncIterator[None]:
    """Show how the run goes while the body runs; a first look at once, a last one at the end.

    `console` writes to standard error. What goes wrong in the display is logged once, ends the
    display, and never reaches the body.
    """
    with contextlib.ExitStack() as stack:
        screen = _SCREENS[style](console, stack)
        try:
            async with meanwhile(_look_on(screen, state, clock, _PACE[style])):
                yield
        finally:
            _draw(screen, state)


class _Screen(Protocol):
    def draw(self, state: RunState) -> None: ...


async def _look_on(screen: _Screen, state: Callable[[], RunState], clock: Clock, pace: float) -> None:
    while _draw(screen, state):
        await clock.sleep(pace)


def _draw(screen: _Screen, state: Callable[[], RunState]) -> bool:
    try:
        screen.draw(state())
    except Exception:  # whatever it is, it must not end a run that is paid for
        _log.warning("the progress display failed and was given up; the run goes on", exc_info=True)
        return False
    return True


class _LiveScreen:
    """The panel at the foot of a terminal."""

    def __init__(self, console: Console, stack: contextlib.ExitStack) -> None:
        # Standard output is only caught where it is the same terminal: in a pipe it is the user's.
        live = Live(console=console, auto_refresh=False, transient=True, redirect_stdout=sys.stdout.isatty())
        self._live = stack.enter_context(live)
        self._rates = RateWindow()
        self._shown = ""
        stack.enter_context(_logs_above())

    def draw(self, state: RunState) -> None:
        console = self._live.console
        rates = self._rates.look(state)
        if not _takes_more(console.file):
            return
        frame = panel(state, rates, console.width)
        with console.capture() as text:
            console.print(frame)
        if text.get() != self._shown:
            self._shown = text.get()
            self._live.update(frame, refresh=True)


class _LineScreen:
    """One line at a time, for logs and for programs."""

    def __init__(self, console: Console, write: Callable[[RunState, tuple[float, float]], str]) -> None:
        self._file, self._write = console.file, write
        self._rates = RateWindow()

    def draw(self, state: RunState) -> None:
        rates = self._rates.look(state)
        if _takes_more(self._file):
            self._file.write(self._write(state, rates) + "\n")
            self._file.flush()


def _json_line(state: RunState, rates: tuple[float, float]) -> str:
    return json.dumps(json_object(state, rates))


_SCREENS: dict[Style, Callable[[Console, contextlib.ExitStack], _Screen]] = {
    Style.LIVE: _LiveScreen,
    Style.PLAIN: lambda console, _: _LineScreen(console, line),
    Style.JSON: lambda console, _: _LineScreen(console, _json_line),
}


def _takes_more(stream: IO[str]) -> bool:
    """Tell whether a write would not block; streams without a descriptor never do."""
    try:
        return bool(select.select([], [stream.fileno()], [], 0)[1])
    except (OSError, ValueError):  # in memory; or no descriptor that can be waited for (Windows)
        return True


@contextlib.contextmanager
def _logs_above() -> Iterator[None]:
    """Send log lines of handlers that write to the terminal through the live display, above the panel.

    A handler keeps the stream it was made with, so the display's own redirection misses it.
    """
    terminal = {id(stream) for stream in (sys.__stderr__, sys.__stdout__) if stream is not None and stream.isatty()}
    moved: list[tuple[logging.StreamHandler[IO[str]], IO[str]]] = []
    loggers = [logging.getLogger(), *map(logging.getLogger, logging.root.manager.loggerDict)]
    for handler in {handler for logger in loggers for handler in logger.handlers}:
        if isinstance(handler, logging.StreamHandler) and id(handler.stream) in terminal:
            moved.append((handler, handler.stream))
            handler.setStream(sys.stderr)
    try:
        yield
    finally:
        for handler, stream in moved:
            handler.setStream(stream)
