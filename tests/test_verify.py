"""`verify` finds whatever does not match, and says where."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from parquill.ledger import Ledger
from parquill.results import read_part_info, write_part
from parquill.storage import Storage
from parquill.verification import Verification
from tests.e2e.kit import Rehearsal, rehearsal, rows

PARTS = ["manifest.000000.parquet", "manifest.000001.parquet", "manifest.000002.parquet"]


@pytest.fixture
async def done(tmp_path: Path) -> AsyncIterator[Rehearsal]:
    """A finished job of three parts of four rows."""
    async with rehearsal(tmp_path, sections={"output": {"rows_per_part": 4}}) as run:
        run.write(rows(12))
        await run.run()
        yield run


def rewrite(run: Rehearsal, name: str, change: Callable[[pa.Table], pa.Table]) -> None:
    """Put another table in a part's place, with a footer that fits it."""
    storage = Storage.at(run.output)
    info = read_part_info(storage, name)
    about = {**info.meta, "part_id": info.part_id, "slice_digest": info.slice_digest, "settings": info.settings}
    write_part(storage, name, change(pq.read_table(run.output / name)), about)


def kinds(verification: Verification) -> set[str]:
    return {finding.kind for finding in verification.findings}


def example(verification: Verification, kind: str) -> str:
    return next(finding.examples[0] for finding in verification.findings if finding.kind == kind)


async def test_a_finished_job_holds_and_its_books_say_where_the_money_is(done: Rehearsal) -> None:
    verification = await done.must_hold()
    assert dict(verification.rows) == {"total": 12, "ok": 12, "failed": 0, "not_attempted": 0}
    assert verification.books["parts_usd"] == verification.books["runs_usd"] != "0"
    assert sorted(done.parts()) == PARTS


async def test_a_missing_part_is_named(done: Rehearsal) -> None:
    (done.output / PARTS[1]).unlink()
    verification = await done.verify()
    assert {"missing part", "list of parts", "books"} <= kinds(verification)
    assert PARTS[1] in example(verification, "missing part")
    assert verification.to_json()["holds"] is False


async def test_a_part_that_was_changed_is_found_by_its_checksum(done: Rehearsal) -> None:
    rewrite(
        done,
        PARTS[0],
        lambda table: table.set_column(
            table.schema.get_field_index("latency_ms"), "latency_ms", pa.array([1, 2, 3, 4], pa.int32())
        ),
    )
    assert kinds(await done.verify()) == {"checksum"}


async def test_repeated_missing_foreign_and_moved_rows_are_told_apart(done: Rehearsal) -> None:
    rewrite(done, PARTS[0], lambda table: table.take(pa.array([0, 0, 2, 3])))
    rewrite(done, PARTS[1], lambda table: table.take(pa.array([1, 0, 2, 3])))
    rewrite(done, PARTS[2], lambda table: pq.read_table(done.output / PARTS[1]))
    verification = await done.verify()
    assert {"repeated row", "missing row", "order", "foreign row"} <= kinds(verification)
    assert "'r0'" in example(verification, "repeated row")
    assert "'r1'" in example(verification, "missing row")


async def test_an_edited_manifest_makes_rows_stale(done: Rehearsal) -> None:
    columns = rows(12)
    columns["text"][5] = "something else"
    done.write(columns)
    verification = await done.verify()
    assert {"stale row", "copied column"} == kinds(verification)
    assert "'r5'" in example(verification, "stale row")


async def test_rows_that_are_new_in_the_manifest_are_missing(done: Rehearsal) -> None:
    done.write(rows(13))
    assert "missing part" in kinds(await done.verify())


async def test_an_edited_kept_column_is_found(done: Rehearsal) -> None:
    rewrite(
        done,
        PARTS[0],
        lambda table: table.set_column(table.schema.get_field_index("text"), "text", pa.array(["a", "b", "c", "d"])),
    )
    assert "copied column" in kinds(await done.verify())


async def test_money_that_is_nowhere_is_found(done: Rehearsal) -> None:
    ledger = Ledger.open(done.folder / "out.parquill" / "ledger.sqlite", job="rehearsal")
    run = ledger.runs().result()[-1].id
    slice_id = ledger.slice("elsewhere", "x").result().id
    ledger.close()
    assert run and slice_id
    rewrite(
        done,
        PARTS[0],
        lambda table: table.set_column(
            table.schema.get_field_index("cost_usd"), "cost_usd", pa.array([0] * 4, pa.decimal128(18, 12))
        ),
    )
    verification = await done.verify()
    assert "books" in kinds(verification)
    assert "the runs spent $" in example(verification, "books")


async def test_a_part_of_another_form_is_found(done: Rehearsal) -> None:
    rewrite(done, PARTS[0], lambda table: table.append_column("more", pa.array([1, 2, 3, 4])))
    assert "schema" in kinds(await done.verify())


async def test_a_removed_list_of_parts_is_found(done: Rehearsal) -> None:
    (done.folder / "out.parquill" / "manifest.json").unlink()
    assert kinds(await done.verify()) == {"no list of parts"}
    await done.run()
    assert (await done.verify()).holds


async def test_the_embedded_emulators_bill_is_compared(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, sections={"model": {"endpoint": "emulator"}}) as run:
        run.write(rows(5))
        await run.run()
        assert any("to the last digit" in note for note in (await run.must_hold()).notes)
        log = tmp_path / "out.parquill" / "emulator.jsonl"
        lines = log.read_bytes().splitlines(keepends=True)
        log.write_bytes(b"".join([*lines, lines[-1]]))
        verification = await run.verify()
        assert kinds(verification) == {"bill"}
