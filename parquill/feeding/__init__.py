"""Rows into the workers, in the manifest's order, and parts of slices that were not asked."""

from parquill.feeding.feed import Feed
from parquill.feeding.held_rows import HeldRow, HeldRows
from parquill.feeding.unasked_parts import write_unasked_parts

__all__ = [
    "Feed",
    "HeldRow",
    "HeldRows",
    "write_unasked_parts",
]
