"""Thumbnails for the gallery, decoded in the sandbox; else a link, or the reason why there is none.

Only what `ImageLoader` has decoded and written anew is put into the page. A picture that is only an
http(s) address is fetched when `fetch` allows it, through the same guard as in a run; else it
stands as a link.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from parquill.errors import RowError
from parquill.images import ImageLoader, PathPicture, PictureValue, StoredPicture, WebPicture
from parquill.job import ImageSettings
from parquill.report.format import link_of

PicturesFor = Callable[[Mapping[str, Any]], Sequence[PictureValue]]
"""A row of the output -> its pictures in the manifest; raises `RowError` where they are none."""

SIDE = 360
"""Pixels: sharp at half that size on dense screens."""
_PICTURES_A_ROW = 3


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """One picture of a row: its data: URL, or an address to follow, or words; `name` says what it is."""

    name: str
    data_url: str | None = None
    link: str | None = None
    note: str | None = None


def thumbnail_settings(images: ImageSettings) -> ImageSettings:
    """Return the job's rules for pictures with thumbnails as their purpose: inlined and small."""
    return images.model_copy(update={"send": "inline", "max_side": SIDE, "check": False})


async def make_thumbnails(
    rows: Mapping[int, Mapping[str, Any]],
    pictures_for: PicturesFor,
    loader: ImageLoader | None,
    *,
    fetch: bool,
    most_bytes: int,
) -> dict[int, tuple[Thumbnail, ...]]:
    """Return the thumbnails of rows by their numbers, about `most_bytes` of data: URLs in all."""
    found: dict[int, tuple[Thumbnail, ...]] = {}
    left = most_bytes
    for number, row in rows.items():
        try:
            values = pictures_for(row)
        except RowError as error:
            found[number] = (Thumbnail("picture", note=error.message),)
            continue
        shown = [
            await _thumbnail(value, loader if left > 0 else None, fetch=fetch) for value in values[:_PICTURES_A_ROW]
        ]
        if len(values) > len(shown):
            shown.append(Thumbnail("more", note=f"and {len(values) - len(shown)} more"))
        left -= sum(len(picture.data_url or "") for picture in shown)
        found[number] = tuple(shown)
    return found


async def _thumbnail(value: PictureValue, loader: ImageLoader | None, *, fetch: bool) -> Thumbnail:
    name, link = _name_of(value), link_of(value.url) if isinstance(value, WebPicture) else None
    if loader is None or (isinstance(value, WebPicture) and not fetch):
        return Thumbnail(name, link=link, note=None if link else name)
    try:
        (part,) = await loader.parts([value])
    except RowError as error:
        return Thumbnail(name, link=link, note=error.message)
    return Thumbnail(name, data_url=part.url, link=link)


def _name_of(value: PictureValue) -> str:
    match value:
        case WebPicture(text) | PathPicture(text) | StoredPicture(text):
            return text
        case _:
            return "picture in the manifest"
