"""The log of a run: a person can follow it, and it holds no secret and no text of a row."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from parquill.emulator import Misbehaviour
from tests.e2e.kit import KEY_NAME, rehearsal

ROW, OTHER = "CANARY text of a row", "another CANARY"


async def test_a_runs_log_tells_its_story_without_secrets_or_row_texts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="parquill")
    async with rehearsal(tmp_path) as run:
        run.emulator.plan(Misbehaviour.SERVER_ERROR)
        run.write({"id": ["CANARY-1", "CANARY-2", "CANARY-3"], "text": [ROW, OTHER, ROW]})
        summary = await run.run()
    assert summary.rows.ok == 3
    told = [(one.levelname, one.name.removeprefix("parquill."), one.getMessage()) for one in caplog.records]
    said = "\n".join(message for _, _, message in told)
    infos = "\n".join(message for level, _, message in told if level == "INFO")
    for words in (
        "job rehearsal: endpoint",
        "plan: 3 rows in 1 slices, 0 complete, 1 open; 3 rows are not answered yet",
        "part manifest.000000.parquet written: 3 rows, 3 answered, 0 failed",
        "run ends: 3 rows answered, 0 failed, 0 not attempted",
    ):
        assert words in infos
    for words in ("slice 0 is open: no part stands", "server_error", "is a duplicate of row"):
        assert words in said
    assert "CANARY" not in said
    assert os.environ[KEY_NAME] not in said


async def test_verbose_writes_the_log_to_standard_error_alone(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as run:
        run.write({"id": ["a"], "text": ["one"]})
        quiet = await run.command("run", "--json", "--quiet")
        assert quiet.err == ""
        again = await run.command("run", "--json", "--quiet", "-v")
    assert "INFO parquill.running.startup: plan: 1 rows" in again.err
    assert "DEBUG" not in again.err
    assert again.out.startswith("{")
