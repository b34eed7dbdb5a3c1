"""Duplicate rows: asked once, answered from one another."""

from parquill.deduplication.answered_rows import AnsweredRows
from parquill.deduplication.finder import DuplicateFinder

__all__ = [
    "AnsweredRows",
    "DuplicateFinder",
]
