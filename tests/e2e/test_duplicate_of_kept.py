"""A new row that equals one which stays in the table is not paid again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.kit import rehearsal, rows


@pytest.mark.parametrize("before", [1, 3])
async def test_a_new_row_that_equals_a_kept_one_is_not_asked(tmp_path: Path, before: int) -> None:
    async with rehearsal(tmp_path) as run:
        run.write(rows(before))
        await run.run()
        columns = rows(before + 1)
        columns["text"][before] = columns["text"][0]
        run.write(columns)
        again = await run.run()
        assert (again.requests, again.rows.ok, again.rows.reused) == (0, before + 1, 1)
        assert run.column("answer")[before] == run.column("answer")[0]
        assert run.column("cost_source")[before] == "reused"
        await run.must_hold()
