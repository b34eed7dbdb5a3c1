"""Feeding: hands rows to the workers in the manifest's order, and writes parts of slices that were not asked."""

from parquill.feeding.feed import Feed
from parquill.feeding.held_rows import HeldRow, HeldRows
from parquill.feeding.unasked_parts import write_unasked_parts

__all__ = [
    "Feed",
    "HeldRow",
    "HeldRows",
    "write_unasked_parts",
]
