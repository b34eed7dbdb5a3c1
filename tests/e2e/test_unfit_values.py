"""One value of the manifest that cannot be used fails its row; all others are answered, copied, verified, reported."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from tests.e2e.kit import rehearsal
from tests.unfit import UNFIT, column

ASKED = {"prompt": {"user_column": None, "user": "Describe {{ x }} of {{ id }}."}}


@pytest.mark.parametrize("name", UNFIT)
async def test_the_row_of_a_value_that_cannot_be_used_is_bad_and_the_others_are_answered(
    tmp_path: Path, name: str
) -> None:
    async with rehearsal(tmp_path, sections=ASKED) as run:
        run.write(pa.table({"id": ["a", "b", "c"], "x": column(name)}))
        summary = await run.run()
        assert (summary.exit_status, run.asked) == (3, 2)
        assert run.table().column("error_kind").to_pylist() == [None, "bad_row", None]
        assert str(run.table().column("error_message")[1]).startswith("the column 'x' holds a")
        await run.must_hold()
        assert (await run.run()).requests == 0


async def test_a_kept_text_that_is_not_utf8_is_copied_as_far_as_it_can_be_read(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as run:
        texts = {"id": ["a", "b", "c"], "text": ["one", "two", "three"]}
        run.write(pa.table({**texts, "note": column("text"), "at": column("year 10000")}))
        summary = await run.run()
        assert (summary.exit_status, summary.rows.ok) == (0, 3)
        table = run.table()
        table.validate(full=True)
        assert str(table.column("note")[1]) == "a broken \ufffd\ufffd text"
        await run.must_hold()
        assert (await run.run()).requests == 0
