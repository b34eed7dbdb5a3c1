"""Turns a chunk of the manifest into rows ready to be asked: text, pictures, fingerprint.

Nothing here waits or sends. Planning, the run, the dry run and `verify` all read rows through this module, so
they agree on what a row is. Rows are made in blocks whose columns stay columns; iterate a block for single rows.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from parquill.errors import ErrorKind, RowError, row_errors
from parquill.images import ImageLoader, PictureValue
from parquill.manifest import Chunk, Columns
from parquill.prompts import Asking, UserText

_BLOCK = 64
"""Rows made together where they are taken one by one: small enough that the caller does not wait long."""

Values = tuple[PictureValue, ...]


@dataclass(frozen=True, slots=True)
class PreparedRow:
    """One row of the manifest; `row` is its place in the slice.

    Where it cannot be asked, `fault` says why and there is no fingerprint.
    """

    row: int
    fingerprint: bytes | None
    text: str
    pictures: Values
    documents: Values
    fault: RowError | None


@dataclass(frozen=True, slots=True)
class PreparedRows:
    """Neighbouring rows, column by column: what `PreparedRow` holds of one."""

    rows: list[int] = field(default_factory=list)
    fingerprints: list[bytes | None] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    pictures: list[Values] = field(default_factory=list)
    documents: list[Values] = field(default_factory=list)
    faults: list[RowError | None] = field(default_factory=list)

    def __iter__(self) -> Iterator[PreparedRow]:
        """Yield the rows in order."""
        return itertools.starmap(PreparedRow, zip(*self._columns, strict=True))

    def __len__(self) -> int:
        """Return how many they are."""
        return len(self.rows)

    def at(self, places: Sequence[int]) -> PreparedRows:
        """Return some of them: those at these places, counted from the first."""
        if len(places) == len(self.rows):
            return self
        return PreparedRows(*([column[place] for place in places] for column in self._columns))

    @property
    def _columns(self) -> tuple[list[Any], ...]:
        return self.rows, self.fingerprints, self.texts, self.pictures, self.documents, self.faults


LONGEST_TEXT = 16_000_000
"""Characters of a row's own text, more than any model's context holds; judged before the text is copied."""


class RowReader:
    """Prepares the rows of chunks, one after another."""

    def __init__(
        self, text: UserText, asking: Asking, images: ImageLoader, columns: Columns, *, pictures_required: bool = False
    ) -> None:
        """`pictures_required`: a row without any picture or document cannot be asked."""
        self._pictures_required = pictures_required
        self._text = text
        self._asking = asking
        self._images = images
        self._image_columns = columns.images
        self._document_columns = columns.documents
        self.columns = tuple(dict.fromkeys([*text.columns, *columns.images, *columns.documents]))
        """The columns that decide what is asked."""
        pictures = frozenset((*columns.images, *columns.documents))
        self._most = {name: images.largest_cell if name in pictures else LONGEST_TEXT * 4 for name in self.columns}
        """Bytes of a cell: a file in base64, or the longest text in UTF-8."""
        self._made_of = (text, asking, images, columns)

    @functools.cached_property
    def earlier(self) -> RowReader:
        """Read the same rows with the fingerprints of versions that did not count how pictures are opened."""
        text, asking, images, columns = self._made_of
        return RowReader(text, asking.without_opening(), images, columns)

    def read(self, chunk: Chunk, wanted: Collection[int] | None = None) -> Iterator[PreparedRow]:
        """Yield the chunk's rows in order; with `wanted` only those places in the slice."""
        for block in self._blocks(chunk, wanted, _BLOCK):
            yield from block

    def read_together(self, chunk: Chunk, wanted: Collection[int] | None = None) -> PreparedRows:
        """Return the same rows at once."""
        return next(self._blocks(chunk, wanted, chunk.table.num_rows), PreparedRows())

    def stamp(self, text: str) -> bytes:
        """Return what names the present state of a local picture or document."""
        try:
            with row_errors(ErrorKind.BAD_ROW, "the picture cannot be named"):
                return b"".join(self._images.identity(value) for value in self._images.check(text))
        except RowError as fault:
            return fault.kind.encode()

    def _blocks(self, chunk: Chunk, wanted: Collection[int] | None, size: int) -> Iterator[PreparedRows]:
        columns, faults = self._cells_of(chunk)
        start, count = chunk.start, chunk.table.num_rows
        rows = [row for row in range(start, start + count) if wanted is None or row in wanted]
        for first in range(0, len(rows), size):
            block = rows[first : first + size]
            if len(block) == count:
                yield self._prepare(block, columns, faults)
            else:
                some = {name: [of[row - start] for row in block] for name, of in columns.items()}
                yield self._prepare(block, some, faults)

    def _cells_of(self, chunk: Chunk) -> tuple[Mapping[str, Sequence[Any]], Mapping[int, RowError]]:
        """Return the values of the columns, and the fault of each row (by its place in the slice) that lacks one."""
        columns: dict[str, Sequence[Any]] = {}
        faults: dict[int, RowError] = {}
        for name in self.columns:
            columns[name], unfit = chunk.cells(name, self._most[name])
            for place, why in unfit.items():
                fault = RowError(ErrorKind.BAD_ROW, f"the column {name!r} holds {why} in this row")
                faults.setdefault(chunk.start + place, fault)
        return columns, faults

    def _require(self, pictures: Values) -> None:
        if not pictures:
            names = ", ".join((*self._image_columns, *self._document_columns))
            raise RowError(ErrorKind.BAD_ROW, f"the row has no picture, and images.required is true (columns: {names})")

    def _prepare(
        self, rows: list[int], columns: Mapping[str, Sequence[Any]], faults: Mapping[int, RowError]
    ) -> PreparedRows:
        texts = self._text.render_all(columns, len(rows))
        pictures, documents = (_cells(columns, names) for names in (self._image_columns, self._document_columns))
        made: list[tuple[Any, ...]] = []
        for row, text, shown, enclosed in zip(rows, texts, pictures, documents, strict=False):
            try:
                with row_errors(ErrorKind.BAD_ROW, "the row cannot be prepared"):
                    made.append(self._prepare_one(faults.get(row, text), shown, enclosed))
            except RowError as fault:
                made.append((None, "", (), (), fault))
        return PreparedRows(rows, *map(list, zip(*made, strict=True)))

    def _prepare_one(self, text: str | RowError, shown: Sequence[Any], enclosed: Sequence[Any]) -> tuple[Any, ...]:
        if isinstance(text, RowError):
            raise text
        if len(text) > LONGEST_TEXT:
            said = f"the text has {len(text)} characters, more than the {LONGEST_TEXT} that a prompt may have"
            raise RowError(ErrorKind.CONTEXT_OVERFLOW, said)
        images = self._images
        seen, read = _values(shown, images.check), _values(enclosed, images.check_document)
        if self._pictures_required:
            self._require(seen or read)
        states = map(images.identity, (*seen, *read))
        fingerprint = self._asking.fingerprint(text, states, are_opened=images.opens(seen, read))
        return fingerprint, text, seen, read, None


def _cells(columns: Mapping[str, Sequence[Any]], names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Each row's cells of some columns; without a column there is no end of rows that have none."""
    return zip(*[columns[name] for name in names], strict=True) if names else itertools.repeat(())


def _values(cells: Sequence[Any], check: Callable[[Any], Values]) -> Values:
    if len(cells) <= 1:
        return check(cells[0]) if cells else ()
    return tuple([value for cell in cells for value in check(cell)])
