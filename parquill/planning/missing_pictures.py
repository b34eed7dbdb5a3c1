"""Rows without a picture, in jobs whose manifest has columns for pictures or documents.

A model that is asked about a picture it was not given makes one up, and the answer is paid. So such
rows are counted and said by every run and estimate, and `images.required` makes them `bad_row`.
"""

from __future__ import annotations

from dataclasses import dataclass

from parquill.job import ManifestSettings
from parquill.text import counted


@dataclass(slots=True)
class MissingPictures:
    """How many rows of a run were sent without a picture or document."""

    rows: int = 0


def shown_columns(manifest: ManifestSettings) -> tuple[str, ...]:
    """Return the columns that hold pictures and documents."""
    return (*manifest.image_columns, *manifest.document_columns)


def missing_pictures_notice(rows: int, manifest: ManifestSettings, *, sent: bool) -> str | None:
    """Say how many rows have no picture; None where each has one.

    Args:
        rows: Their number.
        manifest: Names the columns.
        sent: They were sent, and are not only about to be.
    """
    if not rows:
        return None
    asked = "was asked" if sent and rows == 1 else "were asked" if sent else "would be asked"
    return (
        f"{counted(rows, 'row')} without a picture (nothing in {', '.join(shown_columns(manifest))}) {asked} with the "
        "text alone; with images.required: true such a row fails as bad_row and costs nothing"
    )
