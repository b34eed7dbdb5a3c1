"""Single rows of parts, for rows that are answered elsewhere: each part is read once, whatever is asked at a time."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import threading
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from parquill.errors import OutputError
from parquill.planning.part_reader import PartReader
from parquill.results import PartInfo, part_name, read_part_info
from parquill.storage import Storage
from tests.outputs import OK, write_output

ROWS = 400
PARTS = 10
EACH = ROWS // PARTS


class CountedStorage(Storage):
    """Counts how often its files are opened; while `held` is not set, what opens one waits."""

    opened: list[str]
    held: threading.Event

    def open(self, name: str) -> Any:
        self.opened.append(name)
        self.held.wait(60)
        return super().open(name)


@pytest.fixture
def storage(tmp_path: Path) -> CountedStorage:
    write_output(
        tmp_path, [dataclasses.replace(OK, answer_text=f"answer {row}") for row in range(ROWS)], rows_per_part=EACH
    )
    storage = CountedStorage.at(tmp_path)
    assert isinstance(storage, CountedStorage)
    storage.opened, storage.held = [], threading.Event()
    storage.held.set()
    return storage


def parts(storage: CountedStorage) -> list[PartInfo]:
    infos = [read_part_info(storage, part_name("manifest", number)) for number in range(PARTS)]
    storage.opened.clear()
    return infos


async def test_rows_that_want_a_part_at_the_same_time_open_it_once(storage: CountedStorage, tmp_path: Path) -> None:
    infos, reader, order = parts(storage), PartReader(), list(range(ROWS))
    random.Random(1).shuffle(order)
    found = await asyncio.gather(*(reader.row(storage, infos[row // EACH], row % EACH) for row in order))
    assert sorted(storage.opened) == [info.name for info in infos]
    by_pyarrow = pq.read_table(tmp_path).column("answer_text").to_pylist()
    assert [one and one.answer_text for one in found] == [by_pyarrow[row] for row in order]


async def test_a_row_that_is_cut_off_leaves_the_reading_to_the_others(storage: CountedStorage) -> None:
    info, reader = parts(storage)[0], PartReader()
    storage.held.clear()
    first, second = (asyncio.ensure_future(reader.row(storage, info, row)) for row in (0, 1))
    await asyncio.sleep(0)
    first.cancel()
    storage.held.set()
    result = await second
    assert result is not None
    assert result.answer_text == "answer 1"
    with pytest.raises(asyncio.CancelledError):
        await first
    assert storage.opened == [info.name]


async def test_a_part_that_could_not_be_read_is_read_anew(storage: CountedStorage, tmp_path: Path) -> None:
    info, reader = parts(storage)[0], PartReader()
    whole = (tmp_path / info.name).read_bytes()
    (tmp_path / info.name).write_bytes(b"")
    faults = await asyncio.gather(*(reader.row(storage, info, row) for row in range(3)), return_exceptions=True)
    assert [type(fault) for fault in faults] == [OutputError] * 3
    (tmp_path / info.name).write_bytes(whole)
    result = await reader.row(storage, info, 2)
    assert result is not None
    assert result.answer_text == "answer 2"


async def test_only_the_parts_that_were_used_last_are_kept(storage: CountedStorage) -> None:
    infos, reader = parts(storage), PartReader()
    for info in (*infos, *infos[-4:], infos[0]):
        await reader.row(storage, info, 0)
    assert storage.opened == [info.name for info in (*infos, infos[0])]
