"""Publishing with a real ledger and real parts: killed or unplugged at every step, nothing is lost or doubled."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from parquill.ledger import ArchiveEntry, Ledger
from parquill.results import (
    ItemResult,
    merge_rows,
    output_schema,
    part_name,
    read_part,
    read_part_info,
    results_of,
    write_part,
)
from parquill.storage import Storage
from tests.disks import LATER, Died, DyingDisk, ForgetfulDisk
from tests.test_results import OK

NAME = part_name("a", 0)
SCHEMA = output_schema(pa.field("id", pa.string()), [], pa.string())
MANIFEST = pa.table({"id": ["a", "b", "c"]})
LEDGER_STEPS = ("lift", "begin", "part", "finish")


def as_text(answers: list[object]) -> pa.Array:
    return pa.array(answers, pa.string())


def answer(text: str, cost: int) -> ItemResult:
    return dataclasses.replace(OK, fingerprint=text.encode().ljust(16, b"."), answer=text, cost_pico=cost)


class Night:
    """An output of three rows from last night, of which one changed and was answered anew."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "out"
        self.path = folder / "ledger.sqlite"
        self.ledger = Ledger.open(self.path, job="job")
        self.run = self.ledger.begin_run(realm="real", model="m", settings="s", cap_pico=None).result()

    async def record(self, slice_id: int, row: int, result: ItemResult) -> None:
        attempt, _ = self.ledger.intend(
            run=self.run,
            slice_id=slice_id,
            row=row,
            number=1,
            fingerprint=result.fingerprint or b"",
            worst_pico=99,
            worst_tokens=0,
            sent_at=0,
        )
        await self.ledger.record(
            run=self.run,
            slice_id=slice_id,
            row=row,
            fingerprint=result.fingerprint,
            ok=True,
            payload=result.encode(),
            attempt=attempt,
            cost_pico=result.cost_pico or 0,
            prompt_tokens=0,
            completion_tokens=0,
        )

    async def last_night(self, storage: Storage) -> None:
        storage.make_ready()
        slice_id = (await self.ledger.slice(NAME, "old")).id
        for row, cost in enumerate((5, 7, 9)):
            await self.record(slice_id, row, answer(f"old {row}", cost))
        fresh = [ItemResult.decode(raw) for raw in (await self.ledger.open_rows(slice_id)).values()]
        table = merge_rows(SCHEMA, MANIFEST, MANIFEST_RESULTS.slice(0, 0), [], fresh, [0, 1, 2], as_text)
        await self.ledger.begin_publish(slice_id, "old", None)
        write_part(storage, NAME, table, {"part_id": "old", "slice_digest": "old", "settings": "s"})
        await self.ledger.finish_publish(slice_id)
        await self.record((await self.ledger.slice(NAME, "new")).id, 1, answer("new 1", 40))

    async def publish(self, storage: Storage, on_step: Callable[[str], None]) -> None:
        """Row 1's old answer goes to the archive, its new one into the part, the others stay."""
        held = await self.ledger.slice(NAME, "new")
        (fresh,) = [ItemResult.decode(raw) for raw in (await self.ledger.open_rows(held.id)).values()]
        old = read_part(storage, NAME)
        gone = results_of(old.slice(1, 1))[0]
        entry = ArchiveEntry(gone.fingerprint or b"", "real", True, gone.cost_pico or 0, gone.encode())
        await self.ledger.lift("old", [(1, entry)])
        on_step("lift")
        await self.ledger.begin_publish(held.id, "new", "old")
        on_step("begin")
        table = merge_rows(SCHEMA, MANIFEST, old.take([0, 2]), [0, 2], [fresh], [1], as_text)
        write_part(storage, NAME, table, {"part_id": "new", "slice_digest": "new", "settings": "s"})
        on_step("part")
        await self.ledger.finish_publish(held.id)
        on_step("finish")

    async def next_start(self) -> None:
        """Another process finds what is there, goes on, and ends where an undisturbed one would."""
        self.ledger = Ledger.open(self.path, job="job")
        storage = Storage.at(self.folder)
        storage.remove_leftovers(LATER)
        await self.ledger.recover({NAME: read_part_info(storage, NAME).part_id})
        await self.check_books(storage)
        if read_part_info(storage, NAME).part_id == "old":
            await self.publish(storage, lambda step: None)
        await self.check_books(storage)
        assert await self.ledger.contents() == []
        assert read_part(storage, NAME).column("answer").to_pylist() == ["old 0", "new 1", "old 2"]
        assert [entry.name for entry in storage.files()] == [NAME]
        books = await self.ledger.books({NAME: ("new", read_part_info(storage, NAME).cost_pico)})
        assert (books.parts_pico, books.archive_pico, books.runs_pico) == (54, 7, 61)
        self.ledger.close()

    async def check_books(self, storage: Storage) -> None:
        info = read_part_info(storage, NAME)
        assert (await self.ledger.books({NAME: (info.part_id, info.cost_pico)})).balanced


MANIFEST_RESULTS = merge_rows(
    SCHEMA,
    MANIFEST,
    pa.Table.from_batches([], SCHEMA),
    [],
    [answer(f"old {row}", 0) for row in range(3)],
    [0, 1, 2],
    as_text,
)


@pytest.mark.parametrize("step", LEDGER_STEPS)
async def test_a_process_killed_between_two_steps_is_taken_up_by_the_next(tmp_path: Path, step: str) -> None:
    night = Night(tmp_path)
    storage = Storage.at(night.folder)
    await night.last_night(storage)

    def die(done: str) -> None:
        if done == step:
            raise Died(step)

    with pytest.raises(Died):
        await night.publish(storage, die)
    night.ledger.close()
    await night.next_start()


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", ["create", "write", "sync", "rename", "sync_folder"])
async def test_a_process_killed_while_its_part_is_written_is_taken_up_by_the_next(
    tmp_path: Path, step: str, *, after: bool
) -> None:
    night = Night(tmp_path)
    await night.last_night(Storage.at(night.folder))
    with pytest.raises(Died):
        await night.publish(Storage.at(night.folder, disk=DyingDisk(step, after=after)), lambda step: None)
    night.ledger.close()
    await night.next_start()


@pytest.mark.parametrize("step", ["create", "write", "sync", "rename", "sync_folder", "finish"])
async def test_a_power_cut_while_a_part_is_published_is_survived(tmp_path: Path, step: str) -> None:
    """The ledger's file is what its last commit synced; the output's folder is any state a cut may leave."""
    for seed in range(5):
        folder = tmp_path / str(seed)
        folder.mkdir()
        night, disk = Night(folder), ForgetfulDisk()
        await night.last_night(Storage.at(night.folder, disk=disk))
        disk.die_at(step)

        def die(done: str) -> None:
            if done == "finish":
                raise Died(done)

        with pytest.raises(Died):
            await night.publish(Storage.at(night.folder, disk=disk), die)
        night.ledger.close()
        disk.cut(night.folder, random.Random(seed))
        await night.next_start()
