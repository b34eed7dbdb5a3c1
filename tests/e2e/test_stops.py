"""Why a run stops, and that the same command goes on: key, credit, budget, limits, signals, disk."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from parquill.emulator import Misbehaviour, Spread
from parquill.errors import EXIT_STATUS, JobError, OutputError, Stop
from parquill.observers import Stoppable, Watched
from parquill.planning import RunOptions
from tests.disks import small_disk
from tests.e2e.kit import Rehearsal, ended, rehearsal, rows, until


def stopping(when: int, act: Any) -> Any:
    """An `attach` that calls `act(loop)` once so many rows have an outcome."""

    @asynccontextmanager
    async def attach(loop: Stoppable, watch: Watched) -> AsyncIterator[None]:
        async def look() -> None:
            await until(lambda: watch.state().done >= when)
            act(loop)

        looking = asyncio.create_task(look())
        yield
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)

    return attach


async def every_row_stands(run: Rehearsal, count: int, **sections: Any) -> None:
    assert run.column("id") == rows(count)["id"]
    assert set(run.column("status")) <= {"ok", "not_attempted"}
    await run.must_hold(**sections)


async def test_a_key_that_is_revoked_stops_the_run_at_once_and_fails_no_row(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, latency=Spread(0.05)) as run:
        run.write(rows(300))
        started = 0.0

        def revoke(_: Stoppable) -> None:
            nonlocal started
            started = time.monotonic()
            run.emulator.revoke_key()

        summary = await run.run(attach=stopping(40, revoke))
        assert time.monotonic() - started < 3, "a second, and some for a busy machine"
        assert (summary.stopped_by, summary.exit_status, summary.rows.failed) == (Stop.REFUSED, 5, 0)
        assert summary.rows.not_attempted == 300 - summary.rows.ok
        # What is in flight, what is sent before ten refusals are known, and once more: answers overtake refusals.
        assert run.emulator.stats().by_status.get(401, 0) <= 3 * 32, "no storm"
        await every_row_stands(run, 300)


async def test_credit_that_dries_up_stops_the_run_and_the_same_command_goes_on(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, latency=Spread(0.02), credit_usd=Decimal("0.0002")) as run:
        run.write(rows(200))
        first = await run.run()
        assert (first.stopped_by, first.exit_status, first.rows.failed) == (Stop.REFUSED, 5, 0)
        assert 0 < first.rows.ok < 200
        await every_row_stands(run, 200)
        run.emulator.set_credit(None)
        second = await run.run()
        assert (second.rows.ok, second.exit_status) == (200, 0)
        assert max(run.bill().by_body.values()) == 1
        await run.must_hold()


@pytest.mark.parametrize(
    "sections",
    [{"model": {"name": "no/such-model"}}, {"model": {"provider": {"max_price": {"prompt": 0.001}}}}],
    ids=["an unknown model", "no endpoint at that price"],
)
async def test_what_no_row_can_help_stops_the_run_before_any_answer(sections: dict[str, Any], tmp_path: Path) -> None:
    async with rehearsal(tmp_path, sections=sections) as run:
        run.write(rows(50))
        summary = await run.run()
        assert (summary.exit_status, summary.rows.failed, summary.rows.not_attempted) == (5, 0, 50)
        assert summary.stop_message
        await every_row_stands(run, 50)


async def test_a_moderated_row_stops_no_other_row(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, sections={"limits": {"max_in_flight": 1}}) as run:
        run.write(rows(10))
        run.emulator.plan(Misbehaviour.MODERATED, Misbehaviour.GUARDRAIL)
        summary = await run.run()
        assert (summary.rows.ok, summary.rows.failed, summary.exit_status) == (8, 2, 3)
        assert run.column("error_kind")[:2] == ["moderated"] * 2
        assert (await run.run()).requests == 0, "it is asked again with --retry only"
        again = await run.run(RunOptions(retry=frozenset({"moderated"})))  # type: ignore[arg-type] # a StrEnum's value
        assert (again.requests, again.rows.ok) == (2, 10)
        await run.must_hold()


async def test_too_many_failures_stop_the_run_early(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, misbehaviour={Misbehaviour.MODERATED: 0.5}) as run:
        run.write(rows(400))
        job = {"failures": {"max_error_rate": 0.2, "window": 50}}
        summary = await run.run(**job)
        assert (summary.stopped_by, summary.exit_status) == (Stop.ERROR_RATE, 4)
        assert summary.rows.ok + summary.rows.failed < 200
        assert "max_error_rate" in (summary.stop_message or "")
        await run.must_hold()


async def test_a_daily_limit_stops_the_run_and_says_when_it_goes_on(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, sections={"limits": {"requests_per_day": 25}}) as run:
        run.write(rows(60))
        first = await run.run()
        assert (first.stopped_by, first.exit_status, first.rows.ok, run.asked) == (Stop.DAILY_LIMIT, 4, 25, 25)
        await every_row_stands(run, 60)
        second = await run.run()
        assert (second.requests, second.exit_status) == (0, 4)
        assert (await run.run(limits={"requests_per_day": None})).rows.ok == 60


@pytest.mark.parametrize("grace", [20.0, 0.0], ids=["drained", "cut off"])
async def test_a_stopped_run_keeps_what_it_received(grace: float, tmp_path: Path) -> None:
    async with rehearsal(tmp_path, latency=Spread(0.03, 0.5), sections={"output": {"rows_per_part": 40}}) as run:
        run.write(rows(200))
        act = stopping(50, lambda loop: loop.stop(Stop.SIGINT, "interrupted", grace=grace))
        first = await run.run(attach=act)
        assert (first.exit_status, first.rows.failed) == (130, 0)
        assert 50 <= first.rows.ok < 200
        await every_row_stands(run, 200)
        books = await run.books()
        assert books.balanced and not books.in_flight
        assert run.bill().billed_pico <= books.runs_pico
        if grace:
            assert run.bill().billed_pico == books.runs_pico
        second = await run.run()
        assert second.rows.ok == 200
        await run.must_hold()
        lost = run.asked - 200
        assert lost <= 32 * (grace == 0)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_the_first_signal_drains_and_the_command_says_so(
    number: signal.Signals, status: int, tmp_path: Path
) -> None:
    async with rehearsal(tmp_path, latency=Spread(0.05)) as run:
        run.write(rows(1000))
        process = await run.start("run", "--json")
        await until(lambda: run.asked >= 60)
        process.send_signal(number)
        end = await ended(process)
        assert end.status == status == EXIT_STATUS[Stop(number.name.lower())]
        assert end.json["stopped_by"] == number.name.lower()
        assert end.json["rows"]["ok"] == run.asked == end.json["requests"]
        await every_row_stands(run, 1000)


async def test_a_terminal_that_is_closed_stops_the_run_as_a_signal_does(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, latency=Spread(0.05)) as run:
        run.write(rows(1000))
        ours, theirs = os.openpty()
        before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # `nohup make test` has it ignored, and a run heeds that
        process = await run.start("run", stderr=theirs)
        signal.signal(signal.SIGHUP, before)
        os.close(theirs)
        await until(lambda: run.asked >= 60)
        os.close(ours)
        process.send_signal(signal.SIGHUP)
        end = await ended(process)
        assert end.status == 143
        assert run.column("status").count("ok") == run.asked
        await every_row_stands(run, 1000)


async def test_the_second_signal_cuts_off_and_loses_nothing_received(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, stall_seconds=60.0) as run:
        run.write(rows(100))
        run.emulator.plan(*[None] * 30, *[Misbehaviour.STALL] * 70)
        process = run.fork("run", "--json")
        await until(lambda: run.asked >= 62)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        end = await asyncio.wait_for(process.ended(), 15)
        assert end.status in (130, 143), "whichever of the two came first"
        assert end.json["rows"]["ok"] == 30
        await every_row_stands(run, 100)
        assert run.column("status").count("ok") == 30


async def test_a_second_process_on_the_same_output_is_refused(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as run:
        run.write(rows(6))

        @asynccontextmanager
        async def meet(_: Stoppable, __: Watched) -> AsyncIterator[None]:
            end = await run.command("run")
            assert end.status == 2
            assert f"in use by process {os.getpid()}" in end.err and "started at" in end.err
            yield

        assert (await run.run(attach=meet)).rows.ok == 6
        with pytest.raises(OutputError, match="belongs to the job"):
            await run.run(name="another")


async def test_a_disk_without_room_for_the_run_is_refused_before_it_begins(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", "400k") as disk:
        async with rehearsal(tmp_path / "run", sections={"output": {"path": str(disk / "out")}}) as run:
            run.write(rows(400))
            with pytest.raises(OutputError, match="kB are free"):
                await run.run()
            assert run.asked == 0


async def test_a_disk_that_fills_up_stops_the_run_and_the_same_command_goes_on_when_there_is_room(
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path / "small", "12m") as disk:
        sections = {"output": {"path": str(disk / "out"), "rows_per_part": 100}, "limits": {"max_in_flight": 8}}
        async with rehearsal(tmp_path / "run", sections=sections, latency=Spread(0.02, 0.5)) as run:
            run.write({"id": rows(400)["id"], "text": [f"{number} " + "word " * 200 for number in range(400)]})
            process = run.fork("run")
            await until(lambda: run.asked >= 60)
            filler = disk / "filler"
            with pytest.raises(OSError, match="No space"):
                filler.write_bytes(bytes(12 << 20))
            end = await process.ended()
            assert (end.status, "no space left" in end.err.lower()) == (4, True), end.err
            assert str(disk) in end.err and "Traceback" not in end.err
            filler.unlink()
            asked = run.asked
            assert asked < 400
            summary = await run.run()
            assert summary.rows.ok == 400
            await run.must_hold()
            assert run.asked - 400 <= 48, "what was in flight, and waited to be written"


async def test_a_folder_that_cannot_be_written_to_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as run:
        run.write(rows(3))
        (tmp_path / "file").write_text("no folder")
        with pytest.raises(OutputError, match="cannot be written to"):
            await run.run(output={"path": str(tmp_path / "file" / "out")})
        assert run.asked == 0


async def test_a_budget_in_money_for_a_model_without_a_price_names_what_is_wrong(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, models=("google/gemma-3-12b-it",)) as run:
        run.write(rows(3))
        with pytest.raises(JobError, match=r"model\.name: .* does not list 'google/gemma-3-4b-it'"):
            await run.run(budget={"usd": "1"})
        assert run.asked == 0
