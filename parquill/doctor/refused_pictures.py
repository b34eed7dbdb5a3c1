"""How many rows have a picture or document that a rule of the job refuses: judged without network."""

from __future__ import annotations

from parquill.errors import ErrorKind, RowError
from parquill.planning import Prepared, PreparedRow

MOST_ROWS = 10_000
"""Rows that are judged, from the manifest's first on."""

_KINDS = frozenset({ErrorKind.IMAGE_REFUSED, ErrorKind.IMAGE_INVALID, ErrorKind.DOCUMENT_INVALID})


def refused_pictures(opened: Prepared) -> str:
    """Say how many rows would be refused for a picture, and why the first of them; empty where none would."""
    manifest, reader = opened.manifest, opened.reader
    if not (manifest.columns.images or manifest.columns.documents):
        return ""
    judged, refused, first = 0, 0, ""
    for chunk in manifest.read(reader.columns):
        for row in reader.read(chunk, range(chunk.start, chunk.start + MOST_ROWS - judged)):
            judged += 1
            if fault := _fault(opened, row):
                refused, first = refused + 1, first or fault.message
        if judged >= MOST_ROWS:
            break
    of = f"{judged:,}" if judged == manifest.rows else f"the first {judged:,}"
    return f"{refused:,} of {of} rows have a picture that would be refused: {first}" if refused else ""


def _fault(opened: Prepared, row: PreparedRow) -> RowError | None:
    try:
        if row.fault is not None:
            raise row.fault
        opened.images.judge_unopened(row.pictures, row.documents)
    except RowError as fault:
        return fault if fault.kind in _KINDS else None
    return None
