"""Typed answers with enums over several runs of one output."""

from __future__ import annotations

from pathlib import Path

from parquill.planning import RunOptions
from tests.e2e.kit import rehearsal, rows

SCHEMA = {
    "type": "object",
    "properties": {"tone": {"enum": ["warm", "cold"]}, "size": {"enum": ["s", "m", "l"]}},
    "required": ["tone", "size"],
    "additionalProperties": False,
}


async def test_rows_answered_later_join_those_that_stand(tmp_path: Path) -> None:
    """A part of answers and nulls, its dictionary empty where all were null: rewriting it once killed the process."""
    async with rehearsal(tmp_path, sections={"output": {"schema": SCHEMA}}) as work:
        work.write(rows(12))
        kept: list[object] = []
        for limit in (2, 2, 5, 12):
            await work.run(RunOptions(limit=limit))
            work.table().validate(full=True)
            answers = work.column("answer")
            assert answers[: len(kept)] == kept
            assert [answer is not None for answer in answers] == [place < limit for place in range(12)]
            kept = answers[:limit]
        await work.must_hold()
