"""Drawing and reading PDF pages. Imported in worker processes only: PDFs are hostile bytes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pypdfium2

from parquill.documents.selection import select_pages
from parquill.errors import ErrorKind, RowError

MOST_TEXT = 2_000_000
"""Characters: more than any model of today reads."""

_WHY = {
    3: "the PDF is broken",
    4: "the document is encrypted; save it without a password",
    5: "the document is protected in a way that cannot be opened",
}
"""PDFium's FPDF_ERR_FORMAT, _PASSWORD and _SECURITY (fpdfview.h)."""

_NO_PAGES = re.compile(rb"/Type\s*/Pages\b[^>]*/Count\s+0\b")
"""PDFium opens no document without pages, and then tells an older fault, or none."""


def draw(data: bytes | bytearray, *, max_side: int, **selection: Any) -> Iterator[Any]:
    """Yield each selected page as a Pillow picture whose longer side has `max_side` pixels.

    `selection`: what `select_pages` takes besides the count. Raises `RowError(document_invalid)`.
    """
    with _opened(data) as document:
        for index in select_pages(len(document), **selection):
            with closing(document[index]) as page:
                longest = max(page.get_size())
                if not 0 < longest < float("inf"):
                    raise _invalid(f"page {index + 1} has no size")
                yield page.render(scale=max_side / longest, rev_byteorder=True).to_pil().convert("RGB")


def read_text(data: bytes | bytearray, **selection: Any) -> str:
    """Return the text of the selected pages, an empty line between two.

    Raises `RowError(document_invalid)`, also where there is no text (a scan).
    """
    with _opened(data) as document:
        texts = [_page_text(document, index) for index in select_pages(len(document), **selection)]
    text = "\n\n".join(text for text in texts if text)
    if not text:
        raise _invalid("the document holds no text, it may be a scan; documents.send: pages sends it as pictures")
    if len(text) > MOST_TEXT:
        raise _invalid(f"the document holds {len(text):,} characters, more than {MOST_TEXT:,}; choose documents.pages")
    return text


@contextmanager
def _opened(data: bytes | bytearray) -> Iterator[Any]:
    try:
        document = pypdfium2.PdfDocument(bytes(data))
    except pypdfium2.PdfiumError as error:
        if _NO_PAGES.search(data):
            raise _invalid("the document has no pages") from None
        raise _invalid(_WHY.get(error.err_code, "the document cannot be opened")) from None
    with closing(document):
        document.init_forms()  # without it, what was filled into a form is not drawn
        yield document


def _page_text(document: Any, index: int) -> str:
    with closing(document[index]) as page, closing(page.get_textpage()) as text:
        return "\n".join(line.rstrip() for line in text.get_text_bounded().splitlines()).strip()


def _invalid(message: str) -> RowError:
    return RowError(ErrorKind.DOCUMENT_INVALID, message)
