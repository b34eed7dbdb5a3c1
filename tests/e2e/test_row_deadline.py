"""A row's deadline: no request is sent that can only be cut off, since that is booked at its worst case."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from parquill.emulator import Misbehaviour, Spread
from parquill.errors import Stop
from tests.e2e.kit import rehearsal, rows

RETRY = {"max_attempts": 6, "deadline_seconds": 1.5}


async def test_rows_whose_every_try_fails_cost_nothing_in_the_end(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, latency=Spread(0.4)) as run:
        run.emulator.set_misbehaviour({Misbehaviour.SERVER_ERROR: 1.0})
        run.write(rows(12))
        summary = await run.run(retry={**RETRY, "give_up_seconds": 4})
        assert summary.stopped_by is Stop.UNREACHABLE
        assert summary.rows.not_attempted == 12
        assert summary.cost_pico == 0
        assert set(run.column("cost_usd")) <= {Decimal(0), None}
        assert set(run.column("cost_source")) <= {"endpoint", None}


async def test_a_second_try_for_an_answer_that_does_not_fit_is_not_made_without_time(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    asked = {"schema": schema, "mode": "json_schema", "max_reasks": 5}
    async with rehearsal(tmp_path, latency=Spread(0.5)) as run:
        run.emulator.set_misbehaviour({Misbehaviour.PHRASE_LOOP: 1.0})
        run.write(rows(6))
        summary = await run.run(retry=RETRY, output=asked)
        assert summary.rows.failed == 6
        assert "timeout" not in summary.errors_by_kind, "the row's fault is its answer's"
        assert max(run.column("attempts")) <= 3
        assert set(run.column("cost_source")) == {"endpoint"}
