"""Deduplication: duplicate rows are asked once and share the answer."""

from parquill.deduplication.answered_rows import AnsweredRows
from parquill.deduplication.finder import DuplicateFinder

__all__ = [
    "AnsweredRows",
    "DuplicateFinder",
]
