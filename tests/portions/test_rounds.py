"""Rounds of portions: what is lost is shared out once more, and what ends a run ends them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from parquill.errors import OutputError, Stop
from parquill.portions.merge import Portions
from parquill.portions.work_order import RunToShare, SharedOutcome
from tests.clock import ManualClock


class Rounds:
    """A run whose portions end as told, and what each round was given."""

    def __init__(self, folder: Path, *ends: SharedOutcome | None) -> None:
        self.crowded: list[bool] = []
        self.ends = list(ends)
        nothing = cast(Any, None)
        workspace = cast(Any, SimpleNamespace(portions=folder, attempts=folder, drift=folder, output="out"))
        spread = self.spread if ends else None
        job = cast(Any, SimpleNamespace(output=SimpleNamespace(path=str(folder / "out"))))
        self.portions = Portions(job, workspace, nothing, ManualClock(), spread, run_job=nothing)

    async def spread(self, work: RunToShare) -> SharedOutcome | None:
        return self.ends.pop(0)

    async def work(self, crowded: bool) -> RunToShare:
        self.crowded.append(crowded)
        return cast(RunToShare, None)


STOPPED = (Stop.BUDGET, "used up")


@pytest.mark.parametrize(
    ("ends", "crowded", "stopped"),
    [
        ([SharedOutcome()], [False], None),
        ([None], [False], None),
        ([SharedOutcome(STOPPED, lost=True)], [False], STOPPED),
        ([SharedOutcome(lost=True), SharedOutcome()], [False, True], None),
        ([SharedOutcome(lost=True), SharedOutcome(STOPPED)], [False, True], STOPPED),
        ([SharedOutcome(lost=True), SharedOutcome(lost=True)], [False, True], None),
        ([], [], None),
    ],
)
async def test_what_was_lost_is_shared_out_once_more_as_among_others_who_used_the_rates(
    tmp_path: Path, ends: list[SharedOutcome | None], crowded: list[bool], stopped: object
) -> None:
    rounds = Rounds(tmp_path, *ends)
    assert rounds.portions.shares is bool(ends)
    assert await rounds.portions.share(rounds.work) == stopped
    assert (rounds.crowded, rounds.ends) == (crowded, [])


async def test_other_files_beside_the_orders_hide_none_of_them(tmp_path: Path) -> None:
    rounds = Rounds(tmp_path, SharedOutcome())
    (tmp_path / "#draft.json").write_text("no order")
    await rounds.portions.take_over()
    (tmp_path / "p1.json").write_text("no order either")
    with pytest.raises((OutputError, ValueError)):
        await rounds.portions.take_over()
