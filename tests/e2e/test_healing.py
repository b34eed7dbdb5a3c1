"""`verify` names a command for each of its findings, and that command repairs it."""

from __future__ import annotations

import asyncio
import json
import shlex
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from parquill.cli import app
from parquill.results import read_part_info, write_part
from parquill.storage import Storage
from tests.e2e.kit import Rehearsal, rehearsal, rows

PARTS = ["manifest.000000.parquet", "manifest.000001.parquet", "manifest.000002.parquet"]


async def command(run: Rehearsal, first: str, *others: str) -> Result:
    """Run `parquill` in this process, in a thread of its own."""
    return await asyncio.to_thread(CliRunner().invoke, app, [first, str(run.job_file()), *others])


Change = Callable[[pa.Table], pa.Table]


def rewrite(run: Rehearsal, name: str, change: Change) -> None:
    """Put another table in a part's place, with a footer that fits it."""
    storage = Storage.at(run.output)
    info = read_part_info(storage, name)
    about = {**info.meta, "part_id": info.part_id, "slice_digest": info.slice_digest, "settings": info.settings}
    write_part(storage, name, change(pq.read_table(run.output / name)), about)


def other(name: str, values: list[object]) -> Change:
    """Return what gives a column other values of its own type."""
    return lambda table: table.set_column(
        table.schema.get_field_index(name), name, pa.array(values, table.schema.field(name).type)
    )


def unlisted(run: Rehearsal) -> None:
    """Take the list of parts away, and with it the checksums."""
    (run.folder / "out.parquill" / "manifest.json").unlink()


def ledger(run: Rehearsal, statement: str) -> None:
    db = sqlite3.connect(run.folder / "out.parquill" / "ledger.sqlite")
    db.execute(statement)
    db.commit()
    db.close()


def changed_text(run: Rehearsal) -> None:
    columns = rows(12)
    columns["text"][5] = "something else"
    run.write(columns)


def tampered(name: str, values: list[object]) -> Callable[[Rehearsal], None]:
    def tamper(run: Rehearsal) -> None:
        rewrite(run, PARTS[0], other(name, values))
        unlisted(run)

    return tamper


def taken(part: str, order: list[int]) -> Callable[[Rehearsal], None]:
    def take(run: Rehearsal) -> None:
        rewrite(run, part, lambda table: table.take(pa.array(order)))
        unlisted(run)

    return take


def foreign_rows(run: Rehearsal) -> None:
    rewrite(run, PARTS[2], lambda _: pq.read_table(run.output / PARTS[1]))


def without_provider(table: pa.Table) -> pa.Table:
    return other("provider", ["a"] * 4)(table).append_column("more", pa.array([1] * 4))


FAULTS: dict[str, tuple[str, Callable[[Rehearsal], object]]] = {
    "a part that is gone": ("missing part", lambda run: (run.output / PARTS[1]).unlink()),
    "a part that came later": ("missing part", lambda run: run.write(rows(13))),
    "a slice that is no more": ("foreign part", lambda run: run.write(rows(8))),
    "most slices are no more": ("foreign part", lambda run: run.write(rows(4))),
    "a part of other columns": ("schema", lambda run: rewrite(run, PARTS[0], without_provider)),
    "a changed kept column": ("copied column", tampered("text", ["a", "b", "c", "d"])),
    "an edited manifest": ("stale row", changed_text),
    "a changed fingerprint": ("stale row", tampered("fingerprint", ["ab" * 16] * 4)),
    "a repeated row": ("repeated row", taken(PARTS[0], [0, 0, 2, 3])),
    "a missing row": ("missing row", taken(PARTS[0], [0, 0, 2, 3])),
    "a foreign row": ("foreign row", foreign_rows),
    "rows in another order": ("order", taken(PARTS[1], [1, 0, 2, 3])),
    "no list of parts": ("no list of parts", unlisted),
    "a damaged list of parts": (
        "list of parts",
        lambda run: (run.folder / "out.parquill" / "manifest.json").write_text("{"),
    ),
    "a changed answer": ("checksum", lambda run: rewrite(run, PARTS[0], other("latency_ms", [1, 2, 3, 4]))),
    "a cost that is gone": ("books", lambda run: rewrite(run, PARTS[0], other("cost_usd", [0] * 4))),
    "spending that is not noted": ("books", lambda run: ledger(run, "UPDATE spend SET pico = pico - 1000")),
    "spending that is nowhere": ("books", lambda run: ledger(run, "UPDATE spend SET pico = pico + 1000")),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_the_command_that_verify_names_repairs_what_it_found(fault: str, tmp_path: Path) -> None:
    kind, make = FAULTS[fault]
    async with rehearsal(tmp_path, sections={"output": {"rows_per_part": 4}}) as run:
        run.write(rows(12))
        await run.run()
        make(run)
        found = await command(run, "verify", "--json")
        assert found.exit_code == 3
        findings = {one["kind"]: one for one in json.loads(found.stdout)["findings"]}
        assert kind in findings
        *words, options = [*shlex.split(findings[kind]["command"])[:3], shlex.split(findings[kind]["command"])[3:]]
        assert words == ["parquill", "run", "JOB"]
        healing = await command(run, "run", *options)
        assert healing.exit_code == 0, healing.output
        held = await command(run, "verify")
        assert held.exit_code == 0, held.output
        assert (await run.run()).requests == 0


async def test_a_changed_prompt_is_healed_by_replace(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, sections={"output": {"rows_per_part": 4}}) as run:
        run.write(rows(12))
        await run.run()
        run.sections["prompt"] = {"system": "Be brief."}
        found = json.loads((await command(run, "verify", "--json")).stdout)["findings"]
        assert {one["command"] for one in found} == {"parquill run JOB --replace"}
        assert (await command(run, "run", "--replace")).exit_code == 0
        assert (await command(run, "verify")).exit_code == 0


async def test_a_bill_that_was_changed_is_set_aside(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, sections={"model": {"endpoint": "emulator"}}) as run:
        run.write(rows(4))
        await run.run()
        log = tmp_path / "out.parquill" / "emulator.jsonl"
        log.write_text(log.read_text() * 2)
        found = await command(run, "verify", "--json")
        assert [one["kind"] for one in json.loads(found.stdout)["findings"]] == ["bill"]
        assert json.loads(found.stdout)["findings"][0]["command"] == "parquill run JOB --repair"
        assert (await command(run, "run", "--repair")).exit_code == 0
        assert (await command(run, "verify")).exit_code == 0


async def test_verify_names_the_command_with_the_job_and_its_overrides(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, sections={"output": {"rows_per_part": 4}}) as run:
        run.write(rows(12))
        await run.run()
        rewrite(run, PARTS[0], other("latency_ms", [1, 2, 3, 4]))
        said = (await command(run, "verify", "--set", "budget.tokens=9000000")).stdout
        assert f"to repair: parquill run {run.folder / 'job.json'} --set budget.tokens=9000000 --repair" in said


async def test_a_repair_keeps_what_it_sets_aside_and_says_what_is_asked_again(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, sections={"output": {"rows_per_part": 4}}) as run:
        run.write(rows(12))
        await run.run()
        rewrite(run, PARTS[0], other("latency_ms", [1, 2, 3, 4]))
        await run.run()
        assert not (await run.verify()).holds, "a later run does not forget what was written"
        repaired = await command(run, "run", "--repair")
        assert "1 part had been changed and is set aside" in " ".join(repaired.output.split())
        assert run.asked == 16
        (aside,) = (run.folder / "out.parquill" / "set-aside").glob("*.parquet")
        assert pq.read_table(aside).column("latency_ms").to_pylist() == [1, 2, 3, 4]
