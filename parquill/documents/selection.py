"""Which pages of a document are taken: pure."""

from __future__ import annotations

from parquill.errors import ErrorKind, RowError


def select_pages(count: int, wanted: str | None, max_pages: int, take: str) -> list[int]:
    """Return the pages to take, counted from 0, in the order they are wanted, none twice.

    `wanted` is like "1-3, 7, 9-" (None: all), counted from 1; pages beyond `count` are left out.
    More than `max_pages` are a fault, unless `take` is "first": then the first of them.

    Raises `RowError(document_invalid)`.
    """
    if count < 1:
        raise _invalid("the document has no pages")
    pages = range(count) if wanted is None else _listed(wanted, count)
    if not pages:
        raise _invalid(f"the document has {_pages(count)}; documents.pages asks for {wanted.strip() if wanted else ''}")
    if len(pages) > max_pages and take != "first":
        asked = "" if wanted is None else f", {len(pages):,} of them asked for"
        raise _invalid(
            f"the document has {_pages(count)}{asked}, more than documents.max_pages = {max_pages}"
            f" (documents.take: first sends the first {max_pages})"
        )
    return list(pages[:max_pages])


def _listed(wanted: str, count: int) -> list[int]:
    pages: dict[int, None] = {}
    for item in wanted.split(","):
        first, dash, last = (text.strip() for text in item.partition("-"))
        end = int(last) if last else count if dash else int(first)
        pages.update(dict.fromkeys(range(max(int(first), 1) - 1, min(end, count))))
    return list(pages)


def _pages(count: int) -> str:
    return f"{count:,} page{'s' if count != 1 else ''}"


def _invalid(message: str) -> RowError:
    return RowError(ErrorKind.DOCUMENT_INVALID, message)
