"""Counts what pictures and documents add to a request.

A picture costs the same whatever it shows, so it is opened only to see whether it can be had
(`check_images`). Of a document the pages have to be known: it is always opened.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from parquill.chat import ImagePart
from parquill.errors import RowError
from parquill.images import ImageLoader
from parquill.planning import PreparedRow, PreparedRows
from parquill.threads import Wait

Parts = tuple[str | None, ...]
"""A document's texts as they are, and None for each picture or page: rows whose parts are equal cost the same."""

_AT_ONCE = 64


class PartsOf:
    """Says which parts rows to ask have; for rows that cannot be asked, their fault."""

    def __init__(self, images: ImageLoader, *, check: bool, wait: Wait[list[Parts | RowError]]) -> None:
        self._images = images
        self._check = check
        self._wait = wait

    def all(self, rows: PreparedRows) -> list[Parts | RowError]:
        """Return parts or fault for each row, in order."""
        if any(rows.documents) or (self._check and any(rows.pictures)):
            return self._wait(self._open_all(list(rows)))
        counts = [*map(len, rows.pictures)]
        unopened = {count: self._unopened(count) for count in set(counts)}
        return [unopened[count] for count in counts]

    def _unopened(self, pictures: int) -> Parts | RowError:
        try:
            self._images.judge_count(pictures)
        except RowError as fault:
            return fault
        return (None,) * pictures

    async def _open_all(self, rows: Sequence[PreparedRow]) -> list[Parts | RowError]:
        turn = asyncio.Semaphore(_AT_ONCE)

        async def open_one(row: PreparedRow) -> Parts | RowError:
            async with turn:
                return await self._opened(row)

        return await asyncio.gather(*(open_one(row) for row in rows))

    async def _opened(self, row: PreparedRow) -> Parts | RowError:
        pictures = self._unopened(len(row.pictures))
        try:
            if self._check and row.pictures:
                pictures = _bare(await self._images.parts(row.pictures))
            if isinstance(pictures, RowError) or not row.documents:
                return pictures
            return (*pictures, *_bare(await self._images.document_parts(row.documents)))
        except RowError as fault:
            return fault


def _bare(parts: Sequence[str | ImagePart]) -> Parts:
    return tuple(part if isinstance(part, str) else None for part in parts)
