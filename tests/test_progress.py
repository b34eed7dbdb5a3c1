"""Showing people how a run goes."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
from dataclasses import replace

import pytest
from rich.console import Console

from parquill import hints
from parquill.errors import ErrorKind, Stop
from parquill.progress import RateWindow, Style, choose_style, printable, render_summary, show
from parquill.progress.view import json_object, line, panel
from parquill.run_state import LimitUse, RunState
from parquill.summary import Progress, RowCounts, TokenCounts
from parquill.text import duration, percent, rate, stopwatch
from tests.clock import ManualClock, settle
from tests.terminal.scenes import BUSY, CLOSED, FINISHED, FRESH, PAUSED, RUNNING, STOPPED


def console(width: int = 80, *, terminal: bool = True, colour: bool = False) -> Console:
    return Console(file=io.StringIO(), width=width, force_terminal=terminal, no_color=not colour, color_system=None)


def drawn(state: RunState, width: int) -> list[str]:
    screen = console(width)
    screen.print(panel(state, (8.3, 3150.0), width))
    return screen.file.getvalue().splitlines()  # type: ignore[attr-defined] - a StringIO


@pytest.mark.parametrize("width", [20, 40, 59, 60, 80, 131, 132, 160, 300])
@pytest.mark.parametrize("scene", RUNNING.values(), ids=RUNNING.keys())
def test_the_panel_fits_every_width(scene: RunState, width: int) -> None:
    lines = drawn(scene, width)
    assert max(map(len, lines)) <= width
    assert 5 <= len(lines) <= 18


@pytest.mark.parametrize("width", [40, 80, 160])
def test_the_panel_answers_is_it_moving_what_holds_it_and_what_does_it_cost(width: int) -> None:
    text = "\n".join(drawn(BUSY, width))
    for fact in (
        "61 %",
        "6,120 of 10,000",
        "8.3 rows/s",
        "$0.4241 of $2.00",
        "requests/min",
        "99 %",
        "6,091 ok",
        "29 failed",
    ):
        assert fact in text


def test_a_wider_panel_shows_every_limit_stage_and_the_last_errors() -> None:
    text = "\n".join(drawn(BUSY, 100))
    for fact in (
        "holds the run back",
        "189,000 of 400,000",
        "48 in flight",
        "14 times 429",
        "pictures 8",
        "image_invalid",
    ):
        assert fact in text
    assert "about 8 min left" in text


def test_lines_keep_their_places_when_the_run_pauses() -> None:
    busy, paused = drawn(BUSY, 80), drawn(PAUSED, 80)
    assert len(busy) == len(paused)
    assert paused[-1].strip() == "waiting 12 s: the endpoint asked for a pause"


@pytest.mark.parametrize("width", [50, 80, 160])
def test_hostile_text_cannot_steer_the_terminal(width: int) -> None:
    evil = "a\x1b[2J\x1b]0;title\x07b\u202ec\x9b31m\r\nd\x08\U000e0041"
    state = replace(
        BUSY,
        job=evil,
        message=evil,
        progress=replace(BUSY.progress, errors_by_kind={evil: 2}, last_errors={evil: f"[bold]{evil}"}),
    )
    text = "\n".join(drawn(state, width)) + line(state, (1.0, 1.0))
    assert not set(text) & set("\x1b\x07\u202e\x9b\r\x08\U000e0041")
    assert "title" not in text
    if width >= 60:
        assert "[bold]a" in text  # brackets are text, not markup


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("one\ntwo", "one two"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]8;;http://x\x1b\\link", "link"),
        ("Grüße 写真 👩‍👧", "Grüße 写真 👩‍👧"),
        ("x" * 400, "x" * 299 + "…"),
        ("\ud800", ""),
    ],
)
def test_untrusted_text_becomes_one_harmless_line(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_plain_line_says_all_that_matters_without_colour() -> None:
    assert line(BUSY, (8.3, 3150.0)) == (
        "0:12:41 | 6,120 of 10,000 rows (61 %) | ok 6,091 | failed 29 | 8.3 rows/s | 3,150 tokens/s | "
        "$0.4241 of $2.00 spent | 48 in flight | 14 times 429 | held by requests/min (>99 %) | about 8 min left"
    )


def test_a_json_line_has_money_as_strings_and_nothing_rounded_for_people() -> None:
    told = json.loads(json.dumps(json_object(BUSY, (8.3, 3150.0))))
    assert told["spent_usd"] == "0.4241"
    assert told["budget_usd"] == "2"
    assert told["rows"]["ok"] == 6_091
    assert told["limits"][0] == {"name": "requests/min", "used": 498, "of": 500, "binds": True}
    assert told["eta_seconds"] == 470.0


def test_speed_is_that_of_the_last_ten_seconds() -> None:
    window = RateWindow()
    seen = [
        window.look(
            replace(FRESH, seconds=t, progress=Progress(RowCounts(900, ok=rows), tokens=TokenCounts(rows, rows)))
        )
        for t, rows in [(0.0, 0), (5.0, 50), (10.0, 100), (15.0, 100), (20.0, 100)]
    ]
    assert seen == [(0, 0), (10, 20), (10, 20), (5, 10), (0, 0)]


def test_speed_does_not_count_kept_rows() -> None:
    window = RateWindow()
    kept = Progress(RowCounts(900, ok=800, kept=800))
    window.look(replace(FRESH, progress=kept))
    assert window.look(replace(FRESH, seconds=1.0, progress=kept)) == (0, 0)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (3_599, "1 h"),
        (7_500, "2 h 5 min"),
        (180_000, "2 days 2 h"),
        (-3, "0 s"),
    ],
)
def test_durations_read_as_people_say_them(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_shares_are_all_or_nothing_only_when_they_are() -> None:
    assert [percent(share) for share in (0, 0.0001, 0.5, 0.9999, 1)] == ["0 %", "<1 %", "50 %", ">99 %", "100 %"]
    assert [rate(value) for value in (0, 0.123, 8.25, 1234.5)] == ["0", "0.12", "8.2", "1,234"]
    assert stopwatch(45_296) == "12:34:56"


@pytest.mark.parametrize(("limit", "full"), [(LimitUse("x", 0, 0), "100 %"), (LimitUse("x", 9, 8), "112 %")])
def test_an_odd_limit_is_still_drawn(limit: LimitUse, full: str) -> None:
    assert full in "\n".join(drawn(replace(BUSY, limits=(limit,)), 80))


def test_the_style_fits_the_stream_unless_one_is_asked_for() -> None:
    assert choose_style(console()) is Style.LIVE
    assert choose_style(console(terminal=False)) is Style.PLAIN
    assert choose_style(console(), json_lines=True) is Style.JSON


async def test_a_plain_line_comes_at_once_every_ten_seconds_and_at_the_end() -> None:
    clock, screen = ManualClock(), console(terminal=False)
    async with show(Style.PLAIN, lambda: replace(BUSY, seconds=clock.monotonic()), screen, clock):
        await clock.advance(35)
    lines = screen.file.getvalue().splitlines()  # type: ignore[attr-defined] - a StringIO
    assert [text.split(" ")[0] for text in lines] == ["0:00:00", "0:00:10", "0:00:20", "0:00:30", "0:00:35"]


async def test_json_lines_are_one_object_each() -> None:
    clock, screen = ManualClock(), console(terminal=False)
    async with show(Style.JSON, lambda: BUSY, screen, clock):
        await clock.advance(5)
    objects = [json.loads(text) for text in screen.file.getvalue().splitlines()]  # type: ignore[attr-defined]  # the screen writes into a StringIO
    assert len(objects) == 4
    assert {told["job"] for told in objects} == {"product-captions"}


async def test_the_live_panel_is_drawn_again_only_when_it_changed() -> None:
    clock, screen = ManualClock(), console()
    frames: list[int] = []
    now = BUSY
    async with show(Style.LIVE, lambda: now, screen, clock):
        for _ in range(3):
            await clock.advance(1)
            frames.append(len(screen.file.getvalue()))  # type: ignore[attr-defined]  # the screen writes into a StringIO
        now = PAUSED
        await clock.advance(1)
        frames.append(len(screen.file.getvalue()))  # type: ignore[attr-defined]  # the screen writes into a StringIO
    assert frames[0] == frames[1] == frames[2] < frames[3]


async def test_a_display_that_fails_never_reaches_the_run(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()

    def broken() -> RunState:
        raise RuntimeError("no state today")

    async with show(Style.PLAIN, broken, console(), clock):
        await clock.advance(60)
        finished = True
    assert finished
    assert "the run goes on" in caplog.text


async def test_a_failure_of_the_run_passes_through_the_display() -> None:
    clock = ManualClock()
    with pytest.raises(KeyError):
        async with show(Style.LIVE, lambda: BUSY, console(), clock):
            await settle()
            raise KeyError("the run's own")


async def test_a_terminal_that_takes_nothing_more_misses_frames_and_the_run_goes_on() -> None:
    """Ctrl-S, or a stalled connection: a write would block the whole event loop."""
    clock = ManualClock()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with os.fdopen(writer, "w") as stream, os.fdopen(reader, "rb"):
        with pytest.raises(BlockingIOError):
            while True:
                os.write(writer, b"x" * 65_536)
        os.set_blocking(writer, True)
        async with asyncio.timeout(5), show(Style.PLAIN, lambda: BUSY, Console(file=stream), clock):
            await clock.advance(60)


async def test_log_handlers_get_their_stream_back() -> None:
    clock, stream = ManualClock(), io.StringIO()
    handler = logging.StreamHandler(stream)
    logging.getLogger("elsewhere").addHandler(handler)
    async with show(Style.LIVE, lambda: BUSY, console(), clock):
        logging.getLogger("elsewhere").warning("noted")
    logging.getLogger("elsewhere").removeHandler(handler)
    assert handler.stream is stream
    assert stream.getvalue() == "noted\n"


@pytest.mark.parametrize("width", [40, 80, 160])
@pytest.mark.parametrize("name", CLOSED)
def test_the_closing_table_fits_every_width(name: str, width: int) -> None:
    screen = console(width)
    render_summary(CLOSED[name], screen)
    assert max(map(len, screen.file.getvalue().splitlines())) <= width  # type: ignore[attr-defined]  # the screen writes into a StringIO


def closing(state: object) -> str:
    screen = console(200)
    render_summary(state, screen)  # type: ignore[arg-type]  # a summary or an estimate
    return str(screen.file.getvalue())  # type: ignore[attr-defined]  # the screen writes into a StringIO


def test_the_closing_table_says_why_it_stopped_and_how_to_go_on() -> None:
    text = closing(STOPPED)
    assert "stopped: the budget is used up" in text
    assert "--fresh-budget" in text
    assert "The budget of $2.00 is used up: $1.9987 spent" in text
    assert "--retry image_invalid,moderated" in text  # a time-out is asked again without it
    assert "1,755" in text


def test_the_closing_table_of_a_clean_run_is_short() -> None:
    text = closing(FINISHED)
    assert "failed" not in text
    assert "in doubt" not in text
    assert "estimate $2.40 ($2.25 to $2.58): the cost is below this range" in text


def test_the_closing_table_does_not_call_an_unknown_cost_nothing() -> None:
    text = closing(replace(FINISHED, cost_pico=0, unpriced=8_760))
    assert "unknown" in text
    assert "8,760 rows have no known price" in text


def test_the_closing_table_is_deaf_to_escapes() -> None:
    evil = "\x1b[2J\u202eevil"
    text = closing(
        replace(STOPPED, job=evil, stop_message=evil, output=evil, notices=(evil,), errors_by_kind={evil: 1})
    )
    assert "\x1b" not in text
    assert "\u202e" not in text


@pytest.mark.parametrize("kind", ErrorKind)
def test_every_error_kind_says_what_to_do(kind: ErrorKind) -> None:
    assert hints.what_to_do(kind) != hints.what_to_do("a kind of tomorrow")


@pytest.mark.parametrize("stop", Stop)
def test_every_stop_says_why_and_how_to_go_on(stop: Stop) -> None:
    assert hints.why_stopped(stop)
    assert hints.how_to_go_on(stop).endswith(".")


def test_only_kinds_the_next_run_would_leave_need_the_option() -> None:
    assert hints.retry_option(["timeout", "moderated", "bad_row"]) == "--retry bad_row,moderated"
    assert hints.retry_option(["timeout"]) is None
