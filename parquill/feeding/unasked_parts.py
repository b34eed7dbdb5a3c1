"""Writes the parts of slices that the run did not reach: every row in them is not attempted."""

from __future__ import annotations

import itertools
from collections.abc import MutableMapping

from parquill.feeding.feed import Feed
from parquill.planning import RunPlan
from parquill.publishing import Publisher
from parquill.results import PartInfo, not_attempted_table


async def write_unasked_parts(
    plan: RunPlan, feed: Feed, publisher: Publisher, published: MutableMapping[int, PartInfo], message: str
) -> None:
    """Write the parts of slices that nothing is known of, all rows at once, without looking at each.

    They are added to `published`, by the number of their slice; `message` says why they were not attempted.
    """
    left = {one.slice.part: one for one in plan.open if one.number not in feed.opened and one.old is None}
    for part, chunks in itertools.groupby(
        plan.manifest.read(plan.manifest.columns.copied, set(left)), key=lambda chunk: chunk.slice.part
    ):
        work = await feed.open_blank(left[part])
        for chunk in chunks:
            work.take(chunk, plan.manifest)
        table = not_attempted_table(publisher.schema, work.manifest_table(), message)
        published[work.plan.number] = await publisher.put(work.plan, work.slice_id, table)
