"""Answers leave the table for a changed setting only where a person, the command or the job agrees."""

from __future__ import annotations

import asyncio
import os
import pty
from pathlib import Path
from typing import Any

import pytest

from parquill.emulator import Spread
from parquill.errors import ReplaceNeededError
from parquill.estimation import EstimateOptions, estimate_job
from parquill.job import load_job
from parquill.ledger import ReadOnlyLedger
from parquill.planning import RunOptions
from parquill.running import run_job
from tests.e2e.dying import die_when
from tests.e2e.kit import COMMAND, ROOT, Rehearsal, rehearsal, rows
from tests.e2e.test_realms import PRICE, another_endpoint

BRIEF: dict[str, Any] = {"prompt": {"system": "Be brief."}}
AGREED = RunOptions(replace=True)


def files(run: Rehearsal) -> dict[str, bytes]:
    """Every part of the output, byte for byte."""
    return {path.name: path.read_bytes() for path in run.output.iterdir()}


def archived(run: Rehearsal) -> int:
    with ReadOnlyLedger.at(run.folder / "out.parquill" / "ledger.sqlite") as recorded:
        assert recorded is not None
        return sum(recorded.archived(bytes.fromhex(mark), "emulator") for mark in run.column("fingerprint") if mark)


async def test_a_changed_prompt_sends_and_moves_nothing_until_replace_is_given(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as run:
        run.write(rows(6))
        await run.run()
        before, asked = files(run), run.asked
        ended = await run.command("run", "--json", **BRIEF)
        assert ended.status == 2
        assert "6 answers no longer match the job: prompt.system was changed" in ended.err
        assert "--replace" in ended.err
        assert (files(run), run.asked, archived(run)) == (before, asked, 0)
        assert (await run.run()).requests == 0, "the old prompt still stands"

        ended = await run.command("run", "--json", "--replace", **BRIEF)
        assert (ended.status, ended.json["requests"]) == (0, 6)
        assert ended.json["replaced"] == {
            "settings": ["prompt.system"], "answers": 6, "back": 0, "left": 0, "staying": 0
        }  # fmt: skip
        await run.must_hold(**BRIEF)


async def test_the_old_prompt_brings_its_answers_back_at_no_cost(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as run:
        run.write(rows(6))
        await run.run()
        before = run.column("answer")
        await run.run(AGREED, **BRIEF)
        back = await run.run()
        assert (back.requests, back.cost_pico, run.column("answer")) == (0, 0, before)
        assert back.replaced["back"] == 6, "every row has an answer at once, so no one is asked"
        await run.must_hold()
        assert (await run.books()).balanced


async def test_a_new_prompt_with_limit_does_not_empty_the_table(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as run:
        run.write(rows(6))
        await run.run()
        before = files(run)
        with pytest.raises(ReplaceNeededError, match="4 of these rows would stand without an answer"):
            await run.run(RunOptions(limit=2), **BRIEF)
        assert files(run) == before
        summary = await run.run(RunOptions(limit=2, replace=True), **BRIEF)
        assert (summary.requests, summary.rows.not_attempted) == (2, 4)
        assert any("4 stand without an answer" in notice for notice in summary.notices)


@pytest.mark.parametrize(("policy", "options"), [("replace", RunOptions()), ("ask", AGREED)])
async def test_job_or_command_may_agree(policy: str, options: RunOptions, tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as run:
        run.write(rows(3))
        await run.run()
        summary = await run.run(options, output={"on_change": policy}, **BRIEF)
        assert (summary.requests, summary.rows.ok) == (3, 3)


async def test_an_output_may_refuse_every_change(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as run:
        run.write(rows(3))
        await run.run()
        with pytest.raises(ReplaceNeededError, match=r"output\.on_change is refuse"):
            await run.run(AGREED, output={"on_change": "refuse"}, **BRIEF)


async def test_changed_and_removed_rows_are_no_reason_to_ask(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, sections={"output": {"rows_per_part": 2}}) as run:
        run.write(rows(6))
        await run.run()
        columns = rows(6)
        columns["text"][0] = "another text"
        run.write({name: values[:5] for name, values in columns.items()})
        summary = await run.run()
        assert (summary.requests, summary.replaced) == (1, {})


async def test_rows_that_moved_between_slices_are_counted_and_rows_that_left_are_not(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, sections={"output": {"rows_per_part": 4}}) as run:
        run.write(rows(8))
        await run.run()
        columns = rows(8)
        run.write({name: values[:0:-1] for name, values in columns.items()})
        more: dict[str, Any] = {"output": {"rows_per_part": 2}, **BRIEF}
        with pytest.raises(ReplaceNeededError, match="7 answers no longer match"):
            await run.run(**more)
        summary = await run.run(AGREED, **more)
        assert (summary.requests, summary.replaced["answers"]) == (7, 7)
        await run.must_hold(**more)


async def test_a_row_that_the_change_does_not_concern_is_not_counted(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, sections={"manifest": {"image_columns": ["link"]}}) as run:
        run.write({**rows(4), "link": ["https://a.example/1.png", None, "https://b.example/2.png", None]})
        await run.run()
        change: dict[str, Any] = {"images": {"deny_hosts": ["b.example"]}}
        with pytest.raises(ReplaceNeededError, match=r"1 answer no longer matches the job: images\.deny_hosts"):
            await run.run(**change)
        summary = await run.run(AGREED, **change)
        assert (summary.requests, summary.rows.ok, summary.replaced["staying"]) == (0, 3, 3)


async def test_simulated_answers_do_not_replace_real_ones_without_consent(tmp_path: Path) -> None:
    async with another_endpoint() as other, rehearsal(tmp_path) as run:
        run.write(rows(3))
        real: dict[str, Any] = {"model": {"endpoint": other.base_url, "max_tokens": 64, "price": PRICE}}
        await run.run()
        assert (await run.run(**real)).requests == 3, "simulated answers give way to real ones"
        assert (await run.run()).requests == 0, "the archive has every simulated answer"
        await run.run(**real)
        run.write(rows(4))
        await run.run(**real)
        with pytest.raises(ReplaceNeededError, match=r"4 answers .* model\.endpoint was changed"):
            await run.run()


async def test_an_estimate_says_how_many_answers_no_longer_match(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as run:
        run.write(rows(6))
        await run.run()
        assert (await estimate_job(run.job())).replaced is None
        job = run.job(prompt={"user_column": "id"})
        told = await estimate_job(job, EstimateOptions(limit=4))
        assert told.replaced is not None
        assert (told.replaced.settings, told.replaced.answers, told.replaced.left) == (("prompt.user_column",), 6, 2)
        assert told.to_json()["no_longer_match"]["answers"] == 6
        ended = await run.command("estimate", prompt={"user_column": "id"})
        assert "no longer match" in ended.out
        with pytest.raises(ReplaceNeededError):
            await estimate_job(job, EstimateOptions(calibrate=2))


async def test_a_run_that_died_after_consent_goes_on_without_it(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, latency=Spread(0.2)) as run:
        run.write(rows(6))
        await run.run()
        assert await die_when(run.job_file(**BRIEF), lambda: run.asked > 6)
        summary = await run.run(**BRIEF)
        assert (summary.rows.ok, summary.replaced) == (6, {})
        await run.must_hold(**BRIEF)


@pytest.mark.parametrize(("said", "status", "requests"), [("y\n", 0, 6), ("\n", 2, 0)])
async def test_at_a_terminal_a_person_is_asked(said: str, status: int, requests: int, tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as run:
        run.write(rows(6))
        await run.run()
        asked = run.asked
        ours, theirs = pty.openpty()
        process = await asyncio.create_subprocess_exec(
            *COMMAND, "run", str(run.job_file(**BRIEF)), cwd=ROOT, stdin=theirs, stderr=theirs, stdout=theirs
        )
        os.close(theirs)
        os.write(ours, said.encode())
        shown = await asyncio.to_thread(read_all, ours)
        assert await process.wait() == status
        assert "6 answers no longer match the job: prompt.system was changed" in " ".join(shown.split())
        assert "Go on? [y/N]" in shown
        assert run.asked - asked == requests


def read_all(terminal: int) -> str:
    shown = b""
    while True:
        try:
            shown += os.read(terminal, 65536)
        except OSError:  # the other side is closed
            os.close(terminal)
            return shown.decode()


async def test_settings_are_recorded_as_digests_and_never_as_values(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as run:
        run.write(rows(2))
        await run_job(load_job(run.source(prompt={"system": "the-secret-of-the-prompt"})))
        (part,) = run.parts().values()
        assert set(part.meta["deciding"]) >= {"prompt.system", "prompt.user_column", "model.name", "model.max_tokens"}
        assert all(len(value) == 16 for value in part.meta["deciding"].values())
        assert not any(b"the-secret-of-the-prompt" in data for data in files(run).values())
