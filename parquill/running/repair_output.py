"""`run --repair`: takes damaged parts out of the output, and corrects the accounts.

A plain run trusts a part whose footer fits its slice. With `--repair` each part is compared with the list of
checksums, and row for row with the manifest. A part that does not match is set aside beside the output, and its
rows are asked again: a row of a changed file is no proof of an answer. What the accounts then lack or have too
much of is booked: money that was spent and whose answers are gone, or answers whose cost was not booked.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

from parquill.errors import OutputError
from parquill.money import usd
from parquill.planning import Prepared, part_faults
from parquill.results import PartInfo, read_manifest, read_part
from parquill.running.context import RunContext
from parquill.storage import Storage
from parquill.text import counted

ASIDE = "set-aside"
"""A folder beside the output."""


def set_aside(
    opened: Prepared, context: RunContext, parts: Mapping[str, PartInfo], digests: Mapping[str, str]
) -> tuple[dict[str, PartInfo], tuple[str, ...]]:
    """Move what does not match out of the output.

    Args:
        opened: the job.
        context: its output and what stands beside it.
        parts: the parts that stand.
        digests: today's digest of each slice.

    Returns:
        The parts that are left, and what a person should know.
    """
    folder = Storage.at(context.workspace.folder / ASIDE)
    folder.make_ready()
    log = context.workspace.emulator_log
    if log.exists():
        log.rename(context.workspace.folder / ASIDE / log.name)
    changed = {*_rewritten(context, parts), *_unlike(opened, context, parts, digests)}
    for name in sorted(changed):
        folder.write_bytes(f"{parts[name].part_id}-{name}", context.output.read_bytes(name))
        context.output.remove(name)
    left = {name: info for name, info in parts.items() if name not in changed}
    if not changed:
        return left, ()
    rows = sum(parts[name].rows for name in changed)
    told = f"{counted(len(changed), 'part')} had been changed and is set aside in {folder.label}: "
    return left, (f"{told}{counted(rows, 'row')} asked again",)


async def square(context: RunContext, parts: Mapping[str, PartInfo]) -> tuple[str, ...]:
    """Book the difference between what runs spent and where it stands; returns what a person should know."""
    books = await context.ledger.books({name: (info.part_id, info.cost_pico) for name, info in parts.items()})
    difference = books.difference_pico
    if not difference:
        return ()
    await context.ledger.square(difference)
    if difference < 0:
        return (f"${usd(-difference)} was spent on answers that are no more; it stays booked",)
    return (f"${usd(difference)} stands in the output and was not booked; it is now",)


def _rewritten(context: RunContext, parts: Mapping[str, PartInfo]) -> Iterator[str]:
    """Parts that the list of parts knows with another checksum."""
    storage, name = context.workspace.storage(), context.workspace.manifest.name
    try:
        listed, _ = read_manifest(storage, name) if context.workspace.manifest.exists() else ({}, {})
    except OutputError:  # the run writes it anew
        return
    for part in sorted(set(listed) & set(parts)):
        if listed[part].sha256 is not None and context.output.checksum(part) != listed[part].sha256:
            yield part


def _unlike(
    opened: Prepared, context: RunContext, parts: Mapping[str, PartInfo], digests: Mapping[str, str]
) -> Iterator[str]:
    """Parts that say they hold today's slice, and do not."""
    manifest = opened.manifest
    slices = {one.part: one for one in manifest.slices}
    wanted = {name for name, info in parts.items() if digests.get(name) == info.slice_digest}
    columns = manifest.columns.needed(opened.reader.columns)
    chunks = manifest.read(columns, wanted) if wanted else iter(())
    for part, its in itertools.groupby(chunks, key=lambda chunk: chunk.slice.part):
        table = read_part(context.output, part)
        if next(part_faults(opened, slices[part], table, list(its)), None) is not None:
            yield part
