"""Splits what a portion spent by the time of its requests, for the rows of each part.

A portion's own ledger knows when each request was sent. Its rows, once they have an outcome, do not. So the sums
of a part's rows are taken from the portion's oldest quarter hours first. When its last part and its rest are
booked, each quarter hour holds exactly what the portion sent in it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from parquill.ledger import QUARTER_US, SPEND_SUMS, DatedSpend, Spend, TakenRow
from parquill.money import to_pico
from parquill.portions.mailbox import LEASE, Mailbox, PortionReport
from parquill.portions.work_order import WorkOrder
from parquill.storage import is_remote

_NOTHING = Spend(0, 0, 0, 0, 0, 0, 0)


def spent_by(order: WorkOrder, mailbox: Mailbox, report: PortionReport | None, now: float) -> list[DatedSpend]:
    """Return what a portion booked; its whole share where only its machine knows. Blocks.

    `now` in unix seconds: what has no date (a lost machine's, a report of an earlier version) is dated by the last
    moment at which the portion can have sent.
    """
    if report is not None and report.by_quarter:
        return list(report.by_quarter)
    if report is not None:
        spent = report.spent
    elif not is_remote(order.output) or not mailbox.begun:
        return []  # its ledger would be here: it never began
    else:
        budget, most = order.budget, sum(one.requests_per_day or 0 for one in order.limits)
        cap = 0 if budget.usd is None else to_pico(budget.usd)
        spent = Spend(most, cap, budget.tokens or 0, 0, 0, 1, cap)
    shown = mailbox.shown()
    last = now if shown is None else min(now, shown.at + LEASE)
    return [DatedSpend(quarter_of(last), spent)]


def quarter_of(wall: float) -> int:
    """Return the quarter hour of a time in unix seconds."""
    return int(wall * 1_000_000) // QUARTER_US


def of_rows(rows: Sequence[TakenRow]) -> Spend:
    """Return the sum of what rows show."""
    total = _NOTHING
    for row in rows:
        sums = (row.attempts, row.cost_pico, row.tokens, row.prompt_tokens or 0, row.completion_tokens or 0, 0, 0)
        total = total.plus(Spend(*sums))
    return total


def divide(spent: Sequence[DatedSpend], part: Spend, otherwise: int) -> tuple[list[DatedSpend], list[DatedSpend]]:
    """Return the dates of a part's spend, and what is left of the portion's.

    What the part has more than the portion is dated by the quarter hour `otherwise`: no row's cost is dropped.
    """
    taken, left, missing = [], [], dataclasses.asdict(part)
    for one in sorted(spent, key=lambda dated: dated.quarter):
        has = dataclasses.asdict(one.spent)
        share = {name: min(has[name], missing[name]) for name in SPEND_SUMS}
        missing = {name: missing[name] - share[name] for name in SPEND_SUMS}
        taken.append(DatedSpend(one.quarter, Spend(**share)))
        left.append(DatedSpend(one.quarter, Spend(**{name: has[name] - share[name] for name in SPEND_SUMS})))
    taken.append(DatedSpend(otherwise, Spend(**missing)))
    return [one for one in taken if one.spent != _NOTHING], [one for one in left if one.spent != _NOTHING]
