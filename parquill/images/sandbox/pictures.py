"""One picture in, one shrunk picture out: upright, sRGB, opaque, without any metadata.

The order keeps memory small: the header's size is judged before a pixel is read; JPEG is
decoded at the reduced scale nearest above the wanted size (libjpeg's DCT scaling, "draft");
the rest is shrunk in its own mode first; orientation, colour profile and alpha are applied to
the small picture.

Accepted trade-offs: of an animation or a file of several pages the first frame is taken;
shrinking happens in the picture's own colour space, as every viewer does.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import io
from typing import Any

from PIL import AvifImagePlugin, ExifTags, Image, ImageCms, TiffImagePlugin, UnidentifiedImageError, WebPImagePlugin

from parquill.errors import ErrorKind, RowError
from parquill.images.kinds import looks_like, picture_kind
from parquill.images.sandbox.messages import Piece

MOST_PIXELS = 40_000_000
LONGEST_SIDE = 16_384
FEW_COLOURS = 4096
"""Line art, charts and screenshots keep fewer colours than this when shrunk; photos never do."""
QUALITY = 85

Image.MAX_IMAGE_PIXELS = None  # `judge_size` refuses earlier, and names its limit

PLUGINS = (AvifImagePlugin, TiffImagePlugin, WebPImagePlugin)
"""Imported here so that Pillow does not look for them by importing all forty it has."""

_LOSSLESS = frozenset({"PNG", "GIF", "TIFF", "WEBP"})
_FILTER = Image.Resampling.HAMMING
"""Half of BICUBIC's cost, and twice as near to LANCZOS as BILINEAR; JPEG's own loss is larger than what is left."""
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation (EXIF 2.32, tag 0x0112) -> what makes the picture upright."""
_SIDEWAYS = frozenset(_TURNS[orientation] for orientation in (5, 6, 7, 8))


def shrink(data: bytes | bytearray, *, max_side: int) -> Piece:
    """Return the picture with its longer side at most `max_side` pixels, as a JPEG or PNG data: URL.

    Raises `RowError`: `image_refused` for one with too many pixels, `image_invalid` for what is
    no picture; and whatever Pillow raises for a broken one.
    """
    kind = picture_kind(data)
    if kind is None:
        raise RowError(ErrorKind.IMAGE_INVALID, f"not a picture: the file is {looks_like(data)}")
    if kind == "WEBP":
        judge_size(*_webp_size(data))
    with _opened(data, kind) as picture:
        width, height = picture.size
        judge_size(width, height)
        if kind == "JPEG":
            picture.draft(None, fitted(picture.size, max_side))
        picture.load()
        turn = _TURNS.get(picture.getexif().get(ExifTags.Base.Orientation, 1))
        small = _shrunk(picture, fitted((width, height), max_side))
        if turn is not None:
            small = small.transpose(turn)
            width, height = (height, width) if turn in _SIDEWAYS else (width, height)
        return encode(_opaque(_in_srgb(small, picture.info.get("icc_profile"))), width, height, kind in _LOSSLESS)


def _opened(data: bytes | bytearray, kind: str) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=[kind])
    except UnidentifiedImageError:
        raise RowError(ErrorKind.IMAGE_INVALID, f"the {kind} is broken: its header cannot be read") from None


def _webp_size(data: bytes | bytearray) -> tuple[int, int]:
    """Read a WebP's size (RFC 9649): Pillow's decoder sets its whole canvas aside before it tells it."""
    if data[12:16] == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if data[12:16] == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF


def judge_size(width: int, height: int) -> None:
    """Raise `RowError(image_refused)` for more pixels than memory is set aside for."""
    if width * height > MOST_PIXELS or max(width, height) > LONGEST_SIDE:
        raise RowError(
            ErrorKind.IMAGE_REFUSED,
            f"the picture has {width:,} x {height:,} pixels;"
            f" at most {MOST_PIXELS // 10**6} megapixels and {LONGEST_SIDE:,} a side are opened",
        )


def fitted(size: tuple[int, int], max_side: int) -> tuple[int, int]:
    """Return `size` with its longer side at most `max_side`, proportions kept, never larger."""
    longest = max(size)
    if longest <= max_side:
        return size
    return max(1, round(size[0] * max_side / longest)), max(1, round(size[1] * max_side / longest))


def encode(picture: Image.Image, width: int, height: int, lossless: bool) -> Piece:
    """Return `picture` (L or RGB) as a data: URL: JPEG, or PNG where that is no larger and loses nothing.

    `width` and `height` are the original's. Nothing of `picture.info` is written.
    """
    picture.info.clear()
    best, mime = _saved(picture, "JPEG", quality=QUALITY), "image/jpeg"
    if lossless and picture.getcolors(FEW_COLOURS) is not None:
        exact = _saved(picture, "PNG")
        if len(exact) <= len(best):
            best, mime = exact, "image/png"
    url = b"data:" + mime.encode() + b";base64," + base64.b64encode(best)
    return Piece(url, width, height, hashlib.blake2b(best, digest_size=16).digest())


def _saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def _shrunk(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Shrink in a mode whose pixels can be averaged: palettes and bits cannot, 16-bit samples can."""
    deep = picture.mode[0] in "IF"
    if picture.mode in ("1", "P", "PA") or ("transparency" in picture.info and not deep):
        picture = picture.convert("RGBA" if picture.has_transparency_data else "L" if picture.mode == "1" else "RGB")
    if picture.size != size:
        gap = None if deep else 2.0  # Pillow reduces no 16-bit picture
        picture = picture.resize(size, _FILTER, reducing_gap=gap)
    return _in_eight_bits(picture) if deep else picture


def _in_eight_bits(picture: Image.Image) -> Image.Image:
    """16-bit samples become their high byte; 32-bit and float ones, which have no fixed white, are stretched."""
    if picture.mode.startswith("I;16"):
        picture, (low, high) = picture.convert("I"), (0.0, 65_535.0)
    else:
        low, high = picture.getextrema()  # type: ignore[assignment] # a pair, since there is one band
    scale = 255.0 / (high - low) if high > low else 0.0
    return picture.convert("F").point(lambda value: value * scale - low * scale).convert("L")


def _in_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """Apply an embedded colour profile; a broken or unfitting one is left out, as viewers do."""
    if profile:
        try:
            transform = _to_srgb(bytes(profile), picture.mode)
            return picture if transform is None else ImageCms.applyTransform(picture, transform) or picture
        except (ImageCms.PyCMSError, ValueError, OSError):
            pass
    return picture if picture.mode in ("L", "LA", "RGB", "RGBA") else picture.convert("RGB")


@functools.lru_cache(maxsize=8)
def _to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    if mode != "CMYK" and "sRGB" in ImageCms.getProfileDescription(source):
        return None
    target = "RGBA" if mode == "RGBA" else "RGB"
    return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, target)


def _opaque(picture: Image.Image) -> Image.Image:
    """Lay a transparent picture on white: models see no alpha, and black would swallow dark drawings."""
    if picture.mode not in ("LA", "RGBA"):
        return picture
    alpha = picture.getchannel("A")
    below = Image.new(picture.mode[:-1], picture.size, "white")
    below.paste(picture.convert(below.mode), mask=alpha)
    return below
