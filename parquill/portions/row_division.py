"""Divides the rows to send among processes: each row once, portions of equal length."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from parquill.endpoint import realm_of
from parquill.ledger import ReadOnlyLedger
from parquill.planning import TODO, DryArchive, OtherOutputs, RetryChoice, Rows, RowSorter
from parquill.portions.work_order import RunToShare


@dataclass(frozen=True, slots=True)
class SliceToAsk:
    """A slice by its part's name: how many rows are to send, and the rows that are not for any portion, in order."""

    part: str
    todo: int
    without: tuple[int, ...]


def rows_to_ask(work: RunToShare) -> tuple[SliceToAsk, ...]:
    """Sort the rows of every open slice; blocks while the manifest is read once.

    Left to the run itself: rows that a duplicate, the archive or another output answers, rows
    certain to fail, rows that failed alike in `retry.max_runs` runs, and rows that were asked before
    and have no outcome: their attempts count on.
    """
    plan, realm = work.plan, realm_of(emulated=work.facts.emulated)
    opened = replace(work.opened, manifest=plan.manifest.only({one.slice.part for one in plan.open}))
    carried = {one.slice.part: set(one.carried) for one in plan.open}
    found: dict[str, tuple[int, list[int]]] = {}
    with ReadOnlyLedger.at(work.workspace.ledger) as recorded:
        archive = DryArchive(recorded, realm)
        other_outputs = OtherOutputs.open(opened.job, emulated=work.facts.emulated)
        begun = {} if recorded is None else {one.name: recorded.attempted(one.id) for one in recorded.slices()}
        retry = RetryChoice(work.options.retry, opened.job.retry.max_runs)
        for rows in RowSorter(opened, plan, archive, other_outputs, work.options.chosen, retry).chunks(()):
            part, start = rows.chunk.slice.part, rows.chunk.start
            others = carried[part] | begun.get(part, set())
            todo, without = found.get(part, (0, []))
            for row, state in enumerate(rows.states, start):
                if state is TODO and row not in others:
                    todo += 1
                else:
                    without.append(row)
            found[part] = (todo, without)
    return tuple(SliceToAsk(part, todo, tuple(without)) for part, (todo, without) in found.items() if todo)


def divide(slices: Sequence[SliceToAsk], count: int) -> tuple[Mapping[str, Rows], ...]:
    """Divide the rows to send among `count` portions, at most one a row: neighbours together, equal to a row.

    A slice that lies across a border has a part in two portions.
    """
    total, done = sum(one.todo for one in slices), 0
    borders = [total * number // count for number in range(count + 1)]
    portions: list[dict[str, Rows]] = [{} for _ in range(count)]
    for one in slices:
        for number, portion in enumerate(portions):
            first, last = max(borders[number] - done, 0), min(borders[number + 1] - done, one.todo)
            if first < last:
                portion[one.part] = _cut(one, first, last)
        done += one.todo
    return tuple(portions)


def _cut(one: SliceToAsk, first: int, last: int) -> Rows:
    """Return the slice's rows to send, from the `first` of them to before the `last`."""
    start = 0 if first == 0 else _place(one.without, first)
    stop = None if last == one.todo else _place(one.without, last)
    return Rows(start, stop, frozenset(row for row in one.without if start <= row and (stop is None or row < stop)))


def _place(without: Iterable[int], number: int) -> int:
    """Return the row that has `number` rows to send before it."""
    place = number
    for row in without:
        if row > place:
            break
        place += 1
    return place
