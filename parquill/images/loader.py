"""`ImageLoader`: a run's pictures and documents, from manifest cells to parts of a request."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from parquill.chat import ImageFigures, ImagePart
from parquill.clock import Clock
from parquill.errors import ErrorKind, RowError, row_errors
from parquill.event_loop import together
from parquill.fetch import Fetcher, UrlRules, check_port, check_url
from parquill.images.byte_budget import ByteBudget
from parquill.images.cache import Opened, PictureCache
from parquill.images.decoder_pool import DecodePool
from parquill.images.objects import StoredObjects
from parquill.images.picture_cells import PathPicture, PictureValue, WebPicture, identity, is_path, named, read_cell
from parquill.images.sandbox.messages import Piece
from parquill.images.sources import Sources
from parquill.images.stores import StorePlaces
from parquill.job import DocumentSettings, ImageSettings
from parquill.threads import in_thread

_NO_URLS = re.compile(
    r"invalid image input|must be (a )?base64|only .{0,40}(base64|data:)|"
    r"urls? .{0,40}(not|n't) (supported|allowed|accepted)|not (support|accept|allow)\w* .{0,40}\burls?\b",
    re.IGNORECASE,
)
"""Seen: Ollama's "invalid image input", LM Studio's "'url' field must be a base64 encoded image"."""

BYTES_AT_ONCE = 128 * 10**6
"""Bytes of files, as they were read, that all rows together hold."""


class ImageLoader:
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
        self._may_turn = settings.send == "auto"
        self.passes_urls = settings.send == "url" or (settings.send == "auto" and endpoint_fetches)
        self._rules = UrlRules.of(settings)
        self._places = StorePlaces.of(settings.allow_buckets, settings.root, manifest_folder)
        self._fetcher = Fetcher(self._rules, clock, contact=settings.contact)
        most = self._rules.file_bytes
        objects = StoredObjects(clock, most)
        root = settings.root or manifest_folder
        self._sources = Sources(root, self._fetcher, objects, most, settings.allow_buckets)
        self._memory = ByteBudget(BYTES_AT_ONCE)
        self._pool = DecodePool()
        self._cache = PictureCache(settings.cache, settings.cache_mb) if settings.cache else None

    @property
    def largest_cell(self) -> int:
        """Bytes of a cell that may hold a picture or document: a file of `images.max_bytes`, in base64."""
        return self._rules.file_bytes * 4 // 3 + 4096

    async def __aenter__(self) -> ImageLoader:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the worker processes and close the connections; nothing where none was started."""
        await self._pool.close()
        await self._fetcher.close()

    def turns_to_inline(self, status: int, message: str) -> bool:
        """Heed a reply which says that the endpoint takes no addresses; from then on `send: auto` inlines.

        False for every other reply, and where the job itself says how pictures are sent.
        """
        if not self._may_turn or status not in (400, 415, 422, 501) or not _NO_URLS.search(message):
            return False
        self.passes_urls = False
        return True

    def check(self, cell: Any) -> tuple[PictureValue, ...]:
        """Return one picture cell as typed values, in order; pure and quick.

        Raises `RowError` for what can never be a picture: `bad_row`, `image_refused` or
        `image_invalid`.
        """
        values = read_cell(cell, self._rules)
        self._places.judge(values)
        return values

    def check_named_by_job(self, source: str) -> tuple[PictureValue, ...]:
        """Return a picture that the job itself names, as `check` does: its objects need no leave."""
        return read_cell(source, self._rules)

    def check_document(self, cell: Any) -> tuple[PictureValue, ...]:
        """Return one document cell as typed values; like `check`, but bytes must be a PDF's (`document_invalid`)."""
        values = read_cell(cell, self._rules, "document")
        self._places.judge(values)
        return values

    def identity(self, value: PictureValue) -> bytes:
        """Return the 16 bytes that stand for `value` in a fingerprint; looks at a local file's size and time only."""
        return identity(value, self._sources.stat)

    def opens(self, pictures: Sequence[PictureValue], documents: Sequence[PictureValue]) -> bool:
        """Whether a row's pictures or pages are, or may be, opened and drawn here before they are sent."""
        if documents and self._documents.send == "pages":
            return True
        passes = self._settings.send == "url"
        return not all(passes and isinstance(value, WebPicture) for value in pictures)

    def local_path(self, text: str) -> Path | None:
        """Return where the picture that a cell's text names lies on this machine; None for a URL or a bucket."""
        return self._sources.local_path(text) if is_path(text) else None

    def judge_unopened(self, pictures: Sequence[PictureValue], documents: Sequence[PictureValue]) -> None:
        """Raise `RowError` for what a rule refuses that can be judged without opening anything, nor any network."""
        for value in (*documents, *pictures):
            if isinstance(value, WebPicture) and (value in documents or not self.passes_urls):
                check_port(check_url(value.url, self._rules), self._rules)
            elif isinstance(value, PathPicture):
                self._sources.judge_path(value.path)

    def judge_count(self, pictures: int) -> None:
        """Raise `RowError(bad_row)` for more pictures in a row than `images.max_per_row`."""
        most = self._settings.max_per_row
        if pictures > most:
            raise RowError(ErrorKind.BAD_ROW, f"the row has {pictures} pictures, more than images.max_per_row = {most}")

    def parts_now(self, values: Sequence[PictureValue]) -> tuple[ImagePart, ...] | None:
        """Return the parts where nothing has to be opened for them, else None.

        Raises `RowError(bad_row)` for more than `images.max_per_row` values.
        """
        self.judge_count(len(values))
        if self._looks or not self.passes_urls:
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
        return await together([self._part(value) for value in values], expected=RowError)

    def is_elsewhere(self, value: PictureValue) -> bool:
        """Whether what a value names can change without its identity: neither bytes nor a file of this machine."""
        return self._sources.is_elsewhere(value)

    async def changed(self, value: PictureValue, seen: ImageFigures | None) -> bool | None:
        """Return whether a picture is another than the one that was `seen`; None where that is unknown.

        Its host is asked for its state. Where that has passed, or has no name, the picture is
        opened and its bytes decide: a new ETag on an old picture is no change. A value that says
        itself what it holds never changes.
        """
        if not self.is_elsewhere(value):
            return False
        if seen is None:
            return None
        try:
            if isinstance(value, WebPicture) and seen.version is not None:
                version = await self._fetcher.probe(value.url, seen.version)
                if version == seen.version:
                    return False
                if seen.digest is None or self.passes_urls:
                    return None if version is None else True
            if seen.digest is None or (self.passes_urls and isinstance(value, WebPicture)):
                return None
            return (await self._anew(value, *self._as_picture)).pieces[0].source.hex() != seen.digest
        except RowError:
            return None

    async def document_parts(self, values: Sequence[PictureValue]) -> tuple[str | ImagePart, ...]:
        """Return documents as they are sent: their pages as pictures, or each one's text.

        Raises the `RowError` of the first that fails: `document_invalid` for one that cannot be
        opened, has too many pages or none; `image_unreachable` and `image_refused` as `parts`.
        """
        found = await together([self._document(value) for value in values], expected=RowError)
        return tuple(part for parts in found for part in parts)

    @property
    def _looks(self) -> bool:
        """Whether a host is asked before a URL of its is passed on: is the picture there, and in which state."""
        return self._settings.check or self._settings.refresh

    async def _part(self, value: PictureValue) -> ImagePart:
        if self.passes_urls and isinstance(value, WebPicture):
            version = await self._fetcher.probe(value.url) if self._looks else None
            return ImagePart(value.url, figures=ImageFigures.of_state(version) if version else None)
        opened = await self._opened(value, *self._as_picture)
        return _as_part(opened, opened.pieces[0])

    @property
    def _as_picture(self) -> tuple[str, ErrorKind, dict[str, Any]]:
        return "picture", ErrorKind.IMAGE_INVALID, {"max_side": self._settings.max_side}

    async def _document(self, value: PictureValue) -> tuple[str | ImagePart, ...]:
        settings = self._documents
        options: dict[str, Any] = {"wanted": settings.pages, "max_pages": settings.max_pages, "take": settings.take}
        if settings.send == "pages":
            options["max_side"] = self._settings.max_side
        opened = await self._opened(value, settings.send, ErrorKind.DOCUMENT_INVALID, options)
        if settings.send == "text":
            return tuple(piece.payload.decode() for piece in opened.pieces)
        return tuple(_as_part(opened, piece) for piece in opened.pieces)

    async def _opened(self, value: PictureValue, op: str, fault: ErrorKind, options: dict[str, Any]) -> Opened:
        """Return what a worker, now or in an earlier run, made of a value."""
        if self._cache is None:
            return await self._worked(value, op, fault, options)
        kept = await in_thread(self._cache.get, await self._key(value, op, options))
        return kept if kept is not None else await self._anew(value, op, fault, options)

    async def _anew(self, value: PictureValue, op: str, fault: ErrorKind, options: dict[str, Any]) -> Opened:
        """Open a value, whatever is kept of it, and keep what it became."""
        opened = await self._worked(value, op, fault, options)
        if self._cache is not None:
            await in_thread(self._cache.put, await self._key(value, op, options), opened)
        return opened

    async def _key(self, value: PictureValue, op: str, options: dict[str, Any]) -> str:
        return PictureCache.key(await in_thread(self.identity, value), op, options)

    async def _worked(self, value: PictureValue, op: str, fault: ErrorKind, options: dict[str, Any]) -> Opened:
        async with self._memory.lease() as lease:
            with row_errors(fault, f"{named(value)} cannot be opened"):
                data, version = await self._sources.read(value, lease)
            try:
                return Opened(await self._pool.run(op, data, fault, **options), len(data), version)
            except RowError as error:
                raise RowError(error.kind, f"{named(value)}: {error.message}") from None


def _as_part(opened: Opened, piece: Piece) -> ImagePart:
    figures = ImageFigures(
        opened.fetched, len(piece.payload), piece.width, piece.height, piece.source.hex(), opened.version
    )
    return ImagePart(piece.payload.decode("ascii"), piece.digest, figures)
