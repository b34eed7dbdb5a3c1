"""`ImageRoom`: a run's pictures and documents, from manifest cells to parts of a request."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from parquill.chat import ImageFigures, ImagePart
from parquill.clock import Clock
from parquill.errors import ErrorKind, RowError
from parquill.fetch import Fetcher, UrlRules
from parquill.images.memory import ByteBudget
from parquill.images.pool import DecodePool
from parquill.images.sandbox.frames import Piece
from parquill.images.sources import Sources
from parquill.images.values import PictureValue, WebPicture, identity, read_cell
from parquill.job import DocumentSettings, ImageSettings

BYTES_AT_ONCE = 128 * 10**6
"""Bytes of files, as they were read, that all rows together hold."""


class ImageRoom:
    """One for a run; an async context manager.

    The fetch session and the worker processes start when the first picture needs them: a run
    of text, or of URLs that are passed on, starts neither.
    """

    def __init__(
        self,
        settings: ImageSettings,
        documents: DocumentSettings,
        *,
        manifest_folder: str,
        endpoint_fetches: bool,
        clock: Clock,
    ) -> None:
        """`endpoint_fetches`: whether the endpoint takes http(s) URLs, for `images.send: auto`."""
        self._settings, self._documents = settings, documents
        self._passes = settings.send == "url" or (settings.send == "auto" and endpoint_fetches)
        self._rules = UrlRules.of(settings)
        self._fetcher = Fetcher(self._rules, clock)
        self._sources = Sources(settings.root or manifest_folder, self._fetcher)
        self._memory = ByteBudget(BYTES_AT_ONCE)
        self._pool = DecodePool()

    async def __aenter__(self) -> ImageRoom:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._pool.close()
        await self._fetcher.close()

    def check(self, cell: Any) -> tuple[PictureValue, ...]:
        """Return one picture cell as typed values, in order; pure and quick.

        Raises `RowError` for what can never be a picture: `bad_row`, `image_refused` or
        `image_invalid`.
        """
        return read_cell(cell, self._rules)

    def check_document(self, cell: Any) -> tuple[PictureValue, ...]:
        """Return one document cell as typed values; like `check`, but bytes must be a PDF's (`document_invalid`)."""
        return read_cell(cell, self._rules, "document")

    def identity(self, value: PictureValue) -> bytes:
        """Return the 16 bytes that stand for `value` in a fingerprint; looks at a local file's size and time only."""
        return identity(value, self._sources.stat)

    def parts_now(self, values: Sequence[PictureValue]) -> tuple[ImagePart, ...] | None:
        """Return the parts where nothing has to be opened for them, else None.

        Raises `RowError(bad_row)` for more than `images.max_per_row` values.
        """
        self._judge_count(values)
        if self._settings.check or not self._passes:
            return None if values else ()
        parts = tuple([ImagePart(value.url) for value in values if isinstance(value, WebPicture)])
        return parts if len(parts) == len(values) else None

    async def parts(self, values: Sequence[PictureValue]) -> tuple[ImagePart, ...]:
        """Return each picture as it is sent: its URL, or fetched, shrunk and inlined.

        Raises the `RowError` of the first picture that fails: `image_unreachable`,
        `image_refused` or `image_invalid`; `bad_row` for too many.
        """
        now = self.parts_now(values)
        if now is not None:
            return now
        return await _each([self._part(value) for value in values])

    def _judge_count(self, values: Sequence[PictureValue]) -> None:
        if len(values) > self._settings.max_per_row:
            raise RowError(
                ErrorKind.BAD_ROW,
                f"the row has {len(values)} pictures, more than images.max_per_row = {self._settings.max_per_row}",
            )

    async def _part(self, value: PictureValue) -> ImagePart:
        if self._passes and isinstance(value, WebPicture):
            if self._settings.check:
                await self._fetcher.probe(value.url)
            return ImagePart(value.url)
        async with self._memory.lease() as lease:
            data = await self._sources.read(value, lease)
            (piece,) = await self._pool.run("picture", data, ErrorKind.IMAGE_INVALID, max_side=self._settings.max_side)
        return _as_part(piece, len(data))


def _as_part(piece: Piece, fetched: int) -> ImagePart:
    figures = ImageFigures(fetched, len(piece.payload), piece.width, piece.height)
    return ImagePart(piece.payload.decode("ascii"), piece.digest, figures)


async def _each(jobs: Sequence[Any]) -> tuple[Any, ...]:
    """Run `jobs` together; the first failure in their order is raised, once the others are cancelled."""
    if len(jobs) == 1:
        return (await jobs[0],)
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        return tuple([await task for task in tasks])
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
