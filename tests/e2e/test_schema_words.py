"""An endpoint that refuses words of the schema: they are left out, checked in the answers, and no row fails for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from parquill.emulator import PROFILES
from tests.e2e.kit import rehearsal, rows

ROWS = 6
SCHEMA = {
    "type": "object",
    "properties": {"score": {"type": "number", "minimum": 0, "maximum": 1}, "name": {"type": "string"}},
    "required": ["score", "name"],
}
ANTHROPIC = frozenset({"minimum", "maximum", "minLength", "maxLength"})
FREE = {"prompt": "0", "completion": "0"}


@pytest.mark.parametrize("at_home", [False, True])
async def test_words_that_the_endpoint_refuses_are_left_out_and_every_row_is_answered(
    at_home: bool, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {**(PROFILES["lmstudio"] if at_home else {}), "refused_words": ANTHROPIC}
    async with rehearsal(tmp_path, **settings) as run:
        run.write(rows(ROWS))
        sections: dict[str, Any] = {"output": {"schema": SCHEMA}, "limits": {"max_in_flight": 2}}
        if at_home:
            sections["model"] = {"name": "gemma-3-4b-it", "price": FREE}
        summary = await run.run(**sections)
        assert run.column("status") == ["ok"] * ROWS
        assert all(0 <= answer["score"] <= 1 for answer in run.column("answer"))
        refused = summary.requests - ROWS
        assert refused == 1 if at_home else 1 <= refused <= 2, "only what was under way is refused"
        said = [notice for notice in summary.notices if "does not take" in notice]
        assert len(said) == 1 and "maximum, minimum in a schema" in said[0]
        assert {part.meta["rung"] for part in run.parts().values()} == {"json_schema"}
        fingerprints = run.column("fingerprint")
        assert (await run.run(**sections)).requests == 0
        assert run.column("fingerprint") == fingerprints


async def test_words_that_are_refused_in_tools_are_left_out_there(tmp_path: Path) -> None:
    parameters = ("max_tokens", "temperature", "tools", "tool_choice")
    async with rehearsal(tmp_path, refused_words=ANTHROPIC, supported_parameters=parameters) as run:
        run.write(rows(2))
        summary = await run.run(output={"schema": SCHEMA}, limits={"max_in_flight": 1})
        assert run.column("status") == ["ok"] * 2
        assert summary.requests == 3


async def test_a_structure_that_the_endpoint_refuses_leads_to_the_next_output_mode(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, refused_words=frozenset({"properties"})) as run:
        run.write(rows(1))
        summary = await run.run(output={"schema": SCHEMA})
        assert run.column("status") == ["ok"]
        assert {part.meta["rung"] for part in run.parts().values()} == {"json_object"}
        assert summary.requests == 2
