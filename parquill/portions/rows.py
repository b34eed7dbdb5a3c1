"""Which rows each process asks: the rows to send, each once, in portions of equal length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from parquill.batch.portions import Spreading
from parquill.batch.twins import Elsewhere
from parquill.estimate.planning import TODO, Sorter, StillShelf, realm_of
from parquill.ledger import Glance


@dataclass(frozen=True, slots=True)
class SliceToAsk:
    """A slice by its part's name: rows to send, and the rows that are not for the portion that has it."""

    part: str
    todo: int
    without: tuple[int, ...]


def rows_to_ask(work: Spreading) -> tuple[SliceToAsk, ...]:
    """Sort the rows of every open slice; blocks while the manifest is read once.

    Left to the run itself: rows that an equal row, the archive or another output answers, rows
    certain to fail, and rows that were asked before and have no outcome: their attempts count on.
    """
    plan, realm = work.plan, realm_of(emulated=work.facts.emulated)
    opened = replace(work.opened, manifest=plan.manifest.only({one.slice.part for one in plan.open}))
    carried = {one.slice.part: set(one.carried) for one in plan.open}
    found: dict[str, tuple[int, list[int]]] = {}
    with Glance.at(work.workspace.ledger) as glance:
        shelf = StillShelf(glance, realm)
        elsewhere = Elsewhere.open(opened.job.output.reuse_from, emulated=work.facts.emulated)
        begun = {} if glance is None else {one.name: glance.attempted(one.id) for one in glance.slices()}
        for rows in Sorter(opened, plan, shelf, elsewhere, work.options.chosen).chunks(()):
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


def divide(slices: Sequence[SliceToAsk], count: int) -> tuple[Mapping[str, tuple[int, ...]], ...]:
    """Divide slices among `count` portions (at most one a slice): neighbours together, as equal as slices allow."""
    total, done = sum(one.todo for one in slices), 0
    portions: list[dict[str, tuple[int, ...]]] = [{}]
    for number, one in enumerate(slices):
        still = count - len(portions)
        is_full = done + one.todo / 2 > len(portions) * total / count
        if portions[-1] and still and (is_full or len(slices) - number <= still):
            portions.append({})
        portions[-1][one.part] = one.without
        done += one.todo
    return tuple(portions)
