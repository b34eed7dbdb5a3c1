"""Pictures: those that the emulator serves, and the check of those in a request.

Served under /pictures/: `good.jpg`, `good.png`, `good.webp`, `good.gif`; any number as a
name (`17.jpg`) is a picture of its own; `big.jpg` (2400 x 1800); `slow.jpg` after two
seconds; `redirect.jpg` to good.jpg; `error.jpg` (500), `page.jpg` (a web page), `torn.jpg`
(half a file); every other name is 404.

In a request a data: URL is decoded; a URL of the emulator's own pictures is looked up; any
other http(s) URL counts as a picture and is not fetched: the emulator opens no connection.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from parquill.emulator.error_replies import ErrorReply, classic

PREFIX = "/pictures/"
SLOW_SECONDS = 2.0
MAX_PIXELS = 50_000_000

_DATA_URL = re.compile(r"data:([a-z0-9.+/-]*)(;base64)?,", re.IGNORECASE)
_FORMATS = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "GIF": "image/gif"}
_SUFFIXES = {"jpg": "JPEG", "jpeg": "JPEG", "png": "PNG", "webp": "WEBP", "gif": "GIF"}
_NAME = re.compile(r"(good|big|slow|torn|[0-9]{1,9})\.(jpg|jpeg|png|webp|gif)")


@dataclass(frozen=True, slots=True)
class Served:
    """What a GET of a picture gives."""

    status: int
    content_type: str
    body: bytes
    location: str | None = None
    seconds: float = 0.0


def serve_picture(name: str) -> Served:
    """Return the picture of that name, or the failure that the name stands for."""
    if name == "redirect.jpg":
        return Served(302, "text/plain", b"", location=f"{PREFIX}good.jpg")
    if name == "error.jpg":
        return Served(500, "text/plain", b"simulated failure")
    if name == "page.jpg":
        return Served(200, "text/html", b"<!doctype html><title>no picture</title>")
    found = _NAME.fullmatch(name)
    if not found:
        return Served(404, "text/plain", b"no such picture")
    what, form = found[1], _SUFFIXES[found[2]]
    body = _drawn(what, form)
    if what == "torn":
        body = body[: len(body) // 2]
    return Served(200, _FORMATS[form], body, seconds=SLOW_SECONDS if what == "slow" else 0.0)


@lru_cache(maxsize=64)
def _drawn(what: str, form: str) -> bytes:
    from PIL import Image, ImageDraw  # noqa: PLC0415 - costs 30 ms, and most runs never draw

    number = int(what) if what.isdigit() else 7
    size = (2400, 1800) if what == "big" else (96, 72)
    picture = Image.new("RGB", size, (number * 67 % 256, number * 131 % 256, number * 29 % 256))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((size[0] // 4, size[1] // 4, size[0] // 2, size[1] * 3 // 4), fill=(250, 240, 200))
    draw.text((4, 4), str(number), fill=(255, 255, 255))
    out = io.BytesIO()
    picture.save(out, form)
    return out.getvalue()


async def check_images(urls: Sequence[str], origins: Sequence[str], *, fetches_urls: bool) -> None:
    """Raise the 400 `ErrorReply` of the first picture that a provider would refuse."""
    for url in urls:
        if url[:5].lower() == "data:":
            await asyncio.to_thread(check_data_url, url)
        elif not url[:8].lower().startswith(("http://", "https://")):
            raise _image_fault("invalid_image", "Invalid image URL: a http(s) or data: URL is expected")
        elif not fetches_urls:
            raise _image_fault("invalid_image", "invalid image input")
        else:
            _check_own(url, origins)


def _check_own(url: str, origins: Sequence[str]) -> None:
    own = next((origin for origin in origins if url.startswith(origin + PREFIX)), None)
    if own is None:
        return
    name = url[len(own) + len(PREFIX) :].partition("?")[0]
    served = serve_picture("good.jpg" if name == "redirect.jpg" else name)
    if served.status != 200:
        raise _image_fault("image_download_failed", f"Failed to download image: HTTP {served.status}")
    check_bytes(served.body)


def check_data_url(url: str) -> None:
    """Decode a data: URL's picture; raises the 400 `ErrorReply` it deserves."""
    head = _DATA_URL.match(url)
    if not head or not head[2]:
        raise _image_fault("invalid_image", "Invalid image data: a base64 data: URL is expected")
    if head[1] and head[1].lower().replace("image/jpg", "image/jpeg") not in _FORMATS.values():
        raise _image_fault("unsupported_image_format", f"Unsupported image format: {head[1]}")
    try:
        data = base64.b64decode(url[head.end() :], validate=True)
    except binascii.Error:
        raise _image_fault("invalid_image", "Invalid base64 image data") from None
    check_bytes(data)


def check_bytes(data: bytes) -> None:
    """Decode a picture; a JPEG at an eighth of its size, which reads all of its data."""
    from PIL import Image  # noqa: PLC0415 - costs 30 ms, and text runs never decode

    try:
        with Image.open(io.BytesIO(data), formats=tuple(_FORMATS)) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise _image_fault("image_too_large", "Image has too many pixels")
            picture.draft("RGB", (64, 64))
            picture.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _image_fault("invalid_image", "Failed to decode image") from None


def _image_fault(error_type: str, message: str) -> ErrorReply:
    return classic(400, message, error_type=error_type, metadata={"provider_name": "emulator"})
