"""A trial of a prompt on a few rows: beside the output, paid once, taken over by a run."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from pathlib import Path
from typing import Any

import pyarrow.fs as fs
import pytest

from parquill.emulator.pictures import serve_picture
from parquill.errors import Stop, UsageError
from parquill.planning import RunOptions
from parquill.running import sample_job
from parquill.running.sample_run import drawn, sample_workspace
from parquill.verification import verify_job
from tests.e2e.kit import Rehearsal, rehearsal, rows
from tests.e2e.remote import served
from tests.e2e.test_realms import PRICE, another_endpoint

BRIEF: dict[str, Any] = {"prompt": {"system": "Be brief."}}
WORDY: dict[str, Any] = {"prompt": {"system": "Tell it at length."}}
FIVE = RunOptions(sample=5)


def files(run: Rehearsal) -> dict[str, str]:
    """Every file of the output and of the folder beside it, without the sample's own."""
    found = [path for top in (run.output, run.folder / "out.parquill") for path in top.rglob("*") if path.is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in found if "sample" not in path.parts}


async def sample_holds(run: Rehearsal, number: int, **sections: Any) -> None:
    def verify() -> None:
        verification = verify_job(sample_job(run.job(**sections), number))
        assert verification.holds, verification.findings

    await asyncio.to_thread(verify)


async def test_a_sample_leaves_the_table_as_it_is_and_stands_beside_it(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, sections={"output": {"rows_per_part": 7}}) as run:
        run.write(rows(30))
        await run.run()
        before, asked = files(run), run.asked
        old = dict(zip(run.column("id"), run.column("answer"), strict=True))
        summary = await run.run(FIVE, **BRIEF)
        assert (files(run), run.asked - asked, summary.requests) == (before, 5, 5)
        assert [row["status"] for row in summary.sample] == ["ok"] * 5
        assert {row["id"]: row["old"] for row in summary.sample}.items() <= old.items()
        assert summary.rows.total == 5, "the rows that were not drawn do not stand in the sample"
        await run.must_hold()
        await sample_holds(run, 5, **BRIEF)


async def test_the_same_sample_again_sends_nothing_and_shows_the_same(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as run:
        run.write(rows(12))
        await run.run()
        first = await run.run(FIVE, **BRIEF)
        again = await run.run(FIVE, **BRIEF)
        assert (again.requests, again.cost_pico, again.sample) == (0, 0, first.sample)


async def test_a_run_takes_the_answers_of_a_sample_over_at_no_cost(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as run:
        run.write(rows(12))
        await run.run()
        tried = await run.run(FIVE, **BRIEF)
        summary = await run.run(RunOptions(replace=True), **BRIEF)
        assert (summary.requests, summary.rows.reused, summary.rows.ok) == (7, 5, 12)
        table = {row["id"]: row for row in run.table().to_pylist()}
        for row in tried.sample:
            standing = table[row["id"]]
            assert (standing["answer"], standing["cost_source"], standing["cost_usd"]) == (row["new"], "reused", 0)
        await run.must_hold(**BRIEF)
        await sample_holds(run, 5, **BRIEF)
        assert (await run.books()).balanced


async def test_an_earlier_prompt_comes_back_at_no_cost(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as run:
        run.write(rows(12))
        first = await run.run(FIVE, **BRIEF)
        other = await run.run(FIVE, **WORDY)
        back = await run.run(FIVE, **BRIEF)
        assert (first.requests, other.requests, back.requests, back.cost_pico) == (5, 5, 0, 0)
        assert (back.sample, back.replaced) == (first.sample, {})
        await sample_holds(run, 5, **BRIEF)


async def test_a_larger_sample_asks_only_the_rows_that_came_to_it_and_a_smaller_one_asks_none(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as run:
        run.write(rows(40))
        small = await run.run(RunOptions(sample=4), **BRIEF)
        large = await run.run(RunOptions(sample=20), **BRIEF)
        again = await run.run(RunOptions(sample=4), **BRIEF)
        assert (small.requests, large.requests, again.requests) == (4, 16, 0)
        assert again.sample == small.sample


async def test_a_sample_larger_than_the_manifest_is_the_whole_manifest(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as run:
        run.write(rows(3))
        summary = await run.run(FIVE, **BRIEF)
        assert [(row["id"], row["old"]) for row in summary.sample] == [("r0", None), ("r1", None), ("r2", None)]
        assert (summary.requests, run.output.exists()) == (3, False), "no output stands yet, and none is made"


async def test_a_sample_of_the_unchanged_job_shows_the_table_and_sends_nothing(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as run:
        run.write(rows(12))
        await run.run()
        summary = await run.run(FIVE)
        assert (summary.requests, all(row["old"] == row["new"] for row in summary.sample)) == (0, True)


async def test_rows_without_an_id_are_named_by_their_position(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, sections={"manifest": {"id_column": None}}) as run:
        run.write({"text": rows(30)["text"]})
        await run.run()
        old = run.column("answer")
        summary = await run.run(FIVE, **BRIEF)
        assert [row["id"] for row in summary.sample] == list(drawn(30, 5))
        assert all(row["old"] == old[row["id"]] for row in summary.sample)
        assert (await run.run(RunOptions(replace=True), **BRIEF)).requests == 25


async def test_old_answers_are_found_where_rows_moved_since(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, sections={"output": {"rows_per_part": 4}}) as run:
        run.write(rows(12))
        await run.run()
        run.write({name: values[::-1] for name, values in rows(12).items()})
        old = dict(zip(run.column("id"), run.column("answer"), strict=True))
        summary = await run.run(FIVE, **BRIEF)
        assert {row["id"]: row["old"] for row in summary.sample}.items() <= old.items()


async def test_pictures_are_found_beside_the_manifest_and_answer_the_run_too(tmp_path: Path) -> None:
    pictures = {"manifest": {"image_columns": ["picture"]}, "images": {"send": "inline"}}
    async with rehearsal(tmp_path, sections=pictures) as run:
        for number in range(4):
            (tmp_path / f"{number}.jpg").write_bytes(serve_picture(f"{number + 1}.jpg").body)
        run.write({**rows(4), "picture": [f"{number}.jpg" for number in range(4)]})
        summary = await run.run(RunOptions(sample=2))
        assert [row["status"] for row in summary.sample] == ["ok", "ok"]
        assert (await run.run()).rows.reused == 2


async def test_the_budget_binds_on_a_sample(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, sections={"budget": {"tokens": 300}}) as run:
        run.write(rows(30))
        summary = await run.run(RunOptions(sample=20), **BRIEF)
        assert (summary.stopped_by, summary.exit_status) == (Stop.BUDGET, 4)
        statuses = [row["status"] for row in summary.sample]
        assert 0 < statuses.count("ok") < 20
        assert statuses.count("ok") + statuses.count("not_attempted") == 20


@pytest.mark.parametrize("policy", ["ask", "refuse"])
async def test_consent_is_not_asked_for_a_sample_and_still_for_the_table(policy: str, tmp_path: Path) -> None:
    async with rehearsal(tmp_path, sections={"output": {"on_change": policy}}) as run:
        run.write(rows(6))
        await run.run()
        for prompt in (BRIEF, WORDY):
            assert (await run.run(RunOptions(sample=3), **prompt)).requests == 3
        with pytest.raises(UsageError, match="6 answers no longer match"):
            await run.run(**BRIEF)


async def test_the_command_prints_the_answers_side_by_side_or_as_json(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as run:
        run.write(rows(12))
        await run.run()
        ended = await run.command("run", "--sample", "5", "--json", "--max-usd", "1", **BRIEF)
        assert ended.status == 0
        assert [sorted(row) for row in ended.json["sample"]] == [["id", "new", "old", "status"]] * 5
        shown = await run.command("run", "--sample", "5", **BRIEF)
        assert (shown.status, shown.out) == (0, "")
        assert "in the table" in shown.err
        assert "in the sample" in shown.err
        assert "The table is as it was" in shown.err
        assert all(row["id"] in shown.err for row in ended.json["sample"])


async def test_sample_and_limit_exclude_each_other(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as run:
        run.write(rows(3))
        ended = await run.command("run", "--sample", "2", "--limit", "2")
        assert (ended.status, run.asked) == (2, 0)
        assert "give one of the two" in ended.err
        with pytest.raises(UsageError, match="at least 1 row"):
            RunOptions(sample=0)


async def test_the_sample_of_a_remote_output_lies_in_the_state_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from moto.server import DomainDispatcherApplication, create_backend_app

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with served(DomainDispatcherApplication(create_backend_app)) as (host, _):
        store = fs.S3FileSystem(endpoint_override=host, scheme="http", region="us-east-1", allow_bucket_creation=True)
        store.create_dir("bucket")
        place = {"path": f"s3://bucket/out?scheme=http&endpoint_override={host}&region=us-east-1"}
        async with rehearsal(tmp_path, sections={"output": place}) as run:
            run.write(rows(8))
            await run.run()
            before = {one.path: one.mtime for one in store.get_file_info(fs.FileSelector("bucket", recursive=True))}
            tried = await run.run(RunOptions(sample=3), **BRIEF)
            after = {one.path: one.mtime for one in store.get_file_info(fs.FileSelector("bucket", recursive=True))}
            assert (tried.requests, after) == (3, before)
            assert all(row["old"] is not None for row in tried.sample)
            assert (await run.run(RunOptions(replace=True), **BRIEF)).requests == 5


async def test_a_simulated_sample_is_no_answer_for_a_real_endpoint(tmp_path: Path) -> None:
    async with another_endpoint() as other, rehearsal(tmp_path) as run:
        run.write(rows(6))
        await run.run(RunOptions(sample=3))
        real: dict[str, Any] = {"model": {"endpoint": other.base_url, "max_tokens": 64, "price": PRICE}}
        assert (await run.run(**real)).requests == 6


async def test_with_refresh_neither_sample_nor_run_takes_over_from_the_other_and_the_notice_says_so(
    tmp_path: Path,
) -> None:
    async with rehearsal(tmp_path, sections={"images": {"refresh": True}}) as run:
        run.write(rows(6))
        tried = await run.run(RunOptions(sample=2))
        assert tried.notices[-1].endswith("with images.refresh a run asks these rows again.")
        assert (await run.run()).requests == 6


async def test_a_path_with_wildcards_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, sections={"output": {"path": str(tmp_path / "out[1]")}}) as run:
        run.write(rows(3))
        with pytest.raises(UsageError, match=r"needs an output\.path without"):
            await run.run(RunOptions(sample=2))
        assert [path.name for path in tmp_path.iterdir() if path.name.startswith("out")] == []


async def test_one_process_asks_a_sample_at_a_time(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as run:
        run.write(rows(3))
        with (
            sample_workspace(run.job()).lock(),
            pytest.raises(UsageError, match=r"the sample of .*: this output is in use"),
        ):
            await run.run(RunOptions(sample=2))


def test_the_rows_drawn_are_the_same_on_every_machine_and_a_larger_sample_holds_a_smaller_one() -> None:
    assert list(drawn(1000, 5)) == [259, 686, 766, 904, 905]
    for total in (1, 2, 7, 100):
        samples = [set(drawn(total, number)) for number in range(1, total + 2)]
        assert [len(one) for one in samples] == [min(number, total) for number in range(1, total + 2)]
        assert all(small <= large for small, large in itertools.pairwise(samples))
        assert samples[-1] == set(range(total))
