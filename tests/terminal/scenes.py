"""Scenes of the terminal view, for the tests and for the pictures in the README.

As a program it shows one scene until a line comes in: `python -m tests.terminal.scenes busy`.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import sys
from dataclasses import replace

from rich.console import Console

from parquill.clock import SystemClock
from parquill.cost_range import CostRange
from parquill.errors import Stop
from parquill.progress import Style, render_summary, show
from parquill.run_state import LimitUse, RunState, Stages
from parquill.summary import Progress, RowCounts, RunSummary, TokenCounts

BUSY = RunState(
    job="product-captions",
    seconds=761.0,
    progress=Progress(
        RowCounts(10_000, ok=6_091, failed=29, not_attempted=3_880, kept=1_200, reused=40),
        requests=4_986,
        tokens=TokenCounts(1_812_001, 212_210),
        cost_pico=421_300_000_000,
        errors_by_kind={"timeout": 14, "image_invalid": 9, "moderated": 4, "truncated": 2},
        last_errors={
            "timeout": "no reply within 60 s",
            "image_invalid": "image_url: \x1b[31mnot a picture\u202e gnp.tac (12 bytes of text/html)",
            "moderated": "the provider declined: violence",
        },
    ),
    stages=Stages(reading=120, pictures=8, asking=60, writing=1),
    in_flight=48,
    requests=5_050,
    http_429=14,
    spent_pico=424_100_000_000,
    cap_pico=2 * 10**12,
    limits=(
        LimitUse("requests/min", 498, 500, binds=True),
        LimitUse("tokens/min", 189_000, 400_000),
        LimitUse("requests/day", 12_400, 50_000),
        LimitUse("in flight", 48, 64),
    ),
    eta_seconds=470.0,
)
PAUSED = replace(BUSY, message="waiting 12 s: the endpoint asked for a pause", in_flight=0, eta_seconds=None)
FRESH = RunState("captions", 0.0, Progress(RowCounts(9)))

STOPPED = RunSummary(
    job="product-captions",
    run_id="2026-11-22T01-00-00Z",
    started_at=dt.datetime(2026, 11, 22, 1, tzinfo=dt.UTC),
    rows=RowCounts(10_000, ok=8_214, failed=31, not_attempted=1_755, kept=1_200, reused=40),
    output="out/product-captions",
    seconds=1_130.0,
    requests=7_120,
    cost_pico=1_998_700_000_000,
    in_doubt_pico=4_100_000,
    tokens=TokenCounts(2_512_001, 312_210),
    stopped_by=Stop.BUDGET,
    stop_message="The budget of $2.00 is used up: $1.9987 spent, $0.0003 reserved, the next row needs up to $0.0012.",
    errors_by_kind={"timeout": 15, "image_invalid": 9, "moderated": 7},
    estimate=CostRange(2_400_000_000_000, 2_250_000_000_000, 2_580_000_000_000),
    notices=("3 rows were answered by a fallback model.",),
)
FINISHED = replace(
    STOPPED,
    rows=RowCounts(10_000, ok=10_000, kept=1_200, reused=40),
    stopped_by=None,
    stop_message=None,
    errors_by_kind={},
    in_doubt_pico=0,
    notices=(),
)

RUNNING = {"busy": BUSY, "paused": PAUSED, "fresh": FRESH}
CLOSED = {"stopped": STOPPED, "finished": FINISHED}


async def _run(name: str, console: Console) -> None:
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.INFO)
    async with show(Style.LIVE, lambda: RUNNING[name], console, SystemClock()):
        for number in range(3):
            logging.getLogger("scene").info("log line %d beside the panel", number)
        print("a line that was printed")
        await asyncio.sleep(0)
        await asyncio.to_thread(sys.stdin.readline)


if __name__ == "__main__":
    scene, terminal = sys.argv[1], Console(stderr=True)
    if scene in CLOSED:
        render_summary(CLOSED[scene], terminal)
        sys.stdin.readline()
    else:
        asyncio.run(_run(scene, terminal))
