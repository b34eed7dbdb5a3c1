"""From a chunk of the manifest to rows ready to be asked: text, pictures, fingerprint.

Nothing here waits or sends: planning, the run itself, the dry run and `verify` read rows
through the same code, so that they cannot disagree about what a row is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from parquill.errors import RowError
from parquill.images import ImageRoom, PictureValue
from parquill.manifest import Chunk, Columns
from parquill.prompts import Asking, UserText


@dataclass(frozen=True, slots=True)
class PreparedRow:
    """One row of the manifest; `row` is its place in the slice.

    Where it cannot be asked, `fault` says why and there is no fingerprint.
    """

    row: int
    fingerprint: bytes | None
    text: str
    pictures: tuple[PictureValue, ...]
    documents: tuple[PictureValue, ...]
    fault: RowError | None


class RowReader:
    """Prepares the rows of chunks, one after another."""

    def __init__(self, text: UserText, asking: Asking, images: ImageRoom, columns: Columns) -> None:
        self._text = text
        self._asking = asking
        self._images = images
        self._image_columns = columns.images
        self._document_columns = columns.documents
        self.columns = tuple(dict.fromkeys([*text.columns, *columns.images, *columns.documents]))
        """The columns that decide what is asked."""

    def read(self, chunk: Chunk, wanted: Collection[int] | None = None) -> Iterator[PreparedRow]:
        """Yield the chunk's rows in order; with `wanted` only those places in the slice."""
        columns = {name: chunk.table.column(name).to_pylist() for name in self.columns}
        for place in range(chunk.table.num_rows):
            row = chunk.start + place
            if wanted is None or row in wanted:
                yield self._prepare(row, {name: values[place] for name, values in columns.items()})

    def stamp(self, text: str) -> bytes:
        """Return what names the present state of a local picture or document."""
        try:
            return b"".join(self._images.identity(value) for value in self._images.check(text))
        except RowError as fault:
            return fault.kind.encode()

    def _prepare(self, row: int, values: dict[str, Any]) -> PreparedRow:
        try:
            text = self._text.render(values)
            pictures = _values(values, self._image_columns, self._images.check)
            documents = _values(values, self._document_columns, self._images.check_document)
            identities = [self._images.identity(value) for value in (*pictures, *documents)]
        except RowError as fault:
            return PreparedRow(row, None, "", (), (), fault)
        return PreparedRow(row, self._asking.fingerprint(text, identities), text, pictures, documents, None)


def _values(
    values: dict[str, Any], columns: tuple[str, ...], check: Callable[[Any], tuple[PictureValue, ...]]
) -> tuple[PictureValue, ...]:
    return tuple(value for name in columns for value in check(values[name])) if columns else ()
