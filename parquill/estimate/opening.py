"""Pictures and documents of rows, as parts of a request.

A picture costs the same whatever it shows, so it is opened only to see whether it can be had
(`check_images`). Of a document the pages have to be known: it is always opened.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from parquill.batch.rows import PreparedRow
from parquill.chat import ImagePart
from parquill.errors import RowError
from parquill.images import ImageRoom

T = TypeVar("T")
Wait = Callable[[Coroutine[Any, Any, T]], T]
"""Runs a coroutine in the event loop's thread and waits for it."""

Parts = tuple[str | ImagePart, ...]

_AT_ONCE = 64
_UNOPENED = ImagePart("data:,")


class PartsOf:
    """Makes the parts of rows to ask; the rows that cannot be asked come back as their fault."""

    def __init__(self, images: ImageRoom, *, check: bool, wait: Wait[list[Parts | RowError]]) -> None:
        self._images = images
        self._check = check
        self._wait = wait

    def all(self, rows: Sequence[PreparedRow]) -> list[Parts | RowError]:
        """Return parts or fault for each row, in order."""
        if any(row.documents or (self._check and row.pictures) for row in rows):
            return self._wait(self._open_all(rows))
        return [self._unopened(row) for row in rows]

    def _unopened(self, row: PreparedRow) -> Parts | RowError:
        if not row.pictures:
            return ()
        try:
            now = self._images.parts_now(row.pictures)
        except RowError as fault:
            return fault
        return now if now is not None else (_UNOPENED,) * len(row.pictures)

    async def _open_all(self, rows: Sequence[PreparedRow]) -> list[Parts | RowError]:
        turn = asyncio.Semaphore(_AT_ONCE)

        async def open_one(row: PreparedRow) -> Parts | RowError:
            async with turn:
                return await self._opened(row)

        return await asyncio.gather(*(open_one(row) for row in rows))

    async def _opened(self, row: PreparedRow) -> Parts | RowError:
        try:
            pictures: Parts | RowError = (
                await self._images.parts(row.pictures) if self._check and row.pictures else self._unopened(row)
            )
            if isinstance(pictures, RowError) or not row.documents:
                return pictures
            return (*pictures, *await self._images.document_parts(row.documents))
        except RowError as fault:
            return fault
