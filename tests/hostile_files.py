"""Files that a careless decoder would choke on, each made here, with the fault it must become."""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

from PIL import Image

from parquill.errors import ErrorKind

INVALID, REFUSED = ErrorKind.IMAGE_INVALID, ErrorKind.IMAGE_REFUSED


def saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def noise(width: int = 64, height: int = 48, mode: str = "RGB") -> Image.Image:
    return Image.effect_noise((width, height), 60).convert(mode)


def png(width: int, height: int, *, depth: int = 8, colour: int = 2, data: bytes = b"", extra: bytes = b"") -> bytes:
    """A PNG with a header that says what it is told to say."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def jpeg_of_size(width: int, height: int) -> bytes:
    """A small JPEG whose frame header claims another size."""
    data = bytearray(saved(noise(16, 16), "JPEG"))
    frame = data.index(b"\xff\xc0") + 5
    data[frame : frame + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def gif_of_size(width: int, height: int) -> bytes:
    data = bytearray(saved(noise(16, 16, "L"), "GIF"))
    data[6:10] = struct.pack("<HH", width, height)
    return bytes(data)


def gif_with_frame_of_size(width: int, height: int) -> bytes:
    """The canvas is small, the frame on it is not."""
    data = bytearray(saved(noise(16, 16, "L"), "GIF"))
    frame = data.index(b",", 13 + 3 * 256)
    data[frame + 5 : frame + 9] = struct.pack("<HH", width, height)
    return bytes(data)


def webp_of_size(width: int, height: int) -> bytes:
    """An extended WebP whose canvas is claimed to be larger than its picture."""
    body = saved(noise(16, 16), "WEBP")[12:]
    canvas = b"VP8X" + struct.pack("<I", 10) + b"\0\0\0\0"
    canvas += (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", 4 + len(canvas) + len(body)) + b"WEBP" + canvas + body


def tiff(width: int, height: int, *, compression: int = 1, data: bytes = b"", **tags: int) -> bytes:
    entries = {256: width, 257: height, 258: 8, 259: compression, 262: 1, 273: 8, 277: 1, 278: height, 279: len(data)}
    entries |= {int(name[1:]): value for name, value in tags.items()}
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(entries.items()))
    start = 8 + len(data) + len(data) % 2
    head = b"II*\0" + struct.pack("<I", start) + data + b"\0" * (len(data) % 2)
    return head + struct.pack("<H", len(entries)) + directory + struct.pack("<I", 0)


def tiff_that_points_at_itself() -> bytes:
    data = bytearray(tiff(8, 8, data=bytes(64)))
    data[-4:] = struct.pack("<I", 8 + 64)
    data[4:8] = struct.pack("<I", len(data) + 100)
    return bytes(data)


def flipped(data: bytes, step: int) -> bytes:
    """Every `step`-th byte after the header turned over."""
    mutable = bytearray(data)
    for place in range(40, len(mutable), step):
        mutable[place] ^= 0xFF
    return bytes(mutable)


def _zeros(size: int) -> bytes:
    return zlib.compress(bytes(size), 9)


JPEG = saved(noise(640, 480), "JPEG")
PNG = saved(noise(64, 48), "PNG")
WEBP = saved(noise(64, 48), "WEBP")
AVIF = saved(noise(64, 48), "AVIF")
TIFF = saved(noise(64, 48), "TIFF", compression="tiff_lzw")
GIF = saved(noise(64, 48, "L"), "GIF")

HOSTILE: dict[str, tuple[Callable[[], bytes], ErrorKind]] = {
    # no picture at all
    "one byte": (lambda: b"\xff", INVALID),
    "zeros": (lambda: bytes(100_000), INVALID),
    "text": (lambda: b"404 page not found\n", INVALID),
    "an HTML page": (lambda: b"<!DOCTYPE html><html><body>Sign in</body></html>", INVALID),
    "an HTML page after blanks": (lambda: b"\xef\xbb\xbf \n\n<html></html>", INVALID),
    "an SVG": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>", INVALID),
    "an SVG with a prologue": (lambda: b"<?xml version='1.0'?><!DOCTYPE svg [<!ENTITY a 'b'>]><svg/>", INVALID),
    "JSON": (lambda: b'{"error": "gone"}', INVALID),
    "a PDF": (lambda: b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n", INVALID),
    "a ZIP": (lambda: b"PK\x03\x04" + bytes(100), INVALID),
    "a gzip bomb": (lambda: gzip.compress(bytes(10**6)), INVALID),
    "a program": (lambda: b"\x7fELF" + bytes(100), INVALID),
    "PostScript": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n(/etc/passwd) (r) file\n", INVALID),
    "an icon": (lambda: saved(noise(), "ICO"), INVALID),
    "a BMP": (lambda: saved(noise(), "BMP"), INVALID),
    "a Photoshop file": (lambda: b"8BPS\0\1" + bytes(100), INVALID),
    "a HEIC": (lambda: b"\0\0\0\x18ftypheic" + bytes(100), INVALID),
    "a video": (lambda: b"\0\0\0\x18ftypmp42" + bytes(100), INVALID),
    "a JPEG 2000": (lambda: saved(noise(), "JPEG2000"), INVALID),
    "a PPM": (lambda: b"P6 60000 60000 255\n", INVALID),
    # more pixels than memory
    "a PNG of 400 megapixels in 50 kB": (
        lambda: png(20_000, 20_000, depth=1, colour=0, data=_zeros(20_000 * 2501)),
        REFUSED,
    ),
    "a PNG of 50,000 x 1": (lambda: png(50_000, 1, data=_zeros(150_001)), REFUSED),
    "a PNG of 1 x 50,000": (lambda: png(1, 50_000, data=_zeros(200_000)), REFUSED),
    "a PNG of 2 billion pixels a side": (lambda: png(2**31 - 1, 2**31 - 1), REFUSED),
    "a JPEG of 65,500 x 65,500": (lambda: jpeg_of_size(65_500, 65_500), REFUSED),
    "a JPEG of 6,400 x 6,400": (lambda: jpeg_of_size(6400, 6400), REFUSED),
    "a GIF of 65,535 x 65,535": (lambda: gif_of_size(65_535, 65_535), REFUSED),
    "a GIF with a huge frame": (lambda: gif_with_frame_of_size(65_535, 65_535), REFUSED),
    "a WebP of 16,384 x 16,384": (lambda: webp_of_size(16_384, 16_384), REFUSED),
    "a TIFF of 100,000 x 100,000": (lambda: tiff(100_000, 100_000), REFUSED),
    "a TIFF deflated a thousandfold": (
        lambda: tiff(30_000, 30_000, compression=8, data=_zeros(2 * 10**7)),
        REFUSED,
    ),
    # less than it says
    "half a JPEG": (lambda: JPEG[: len(JPEG) // 2], INVALID),
    "the head of a JPEG": (lambda: JPEG[:200], INVALID),
    "three bytes of a JPEG": (lambda: JPEG[:3], INVALID),
    "half a PNG": (lambda: PNG[: len(PNG) // 2], INVALID),
    "the signature of a PNG": (lambda: PNG[:8], INVALID),
    "half a WebP": (lambda: WEBP[: len(WEBP) // 2], INVALID),
    "the head of a WebP": (lambda: WEBP[:16], INVALID),
    "half an AVIF": (lambda: AVIF[: len(AVIF) // 2], INVALID),
    "half a TIFF": (lambda: TIFF[: len(TIFF) // 2], INVALID),
    "half a GIF": (lambda: GIF[: len(GIF) // 2], INVALID),
    "the head of a GIF": (lambda: GIF[:10], INVALID),
    # broken or malicious inside
    "a PNG of no width": (lambda: png(0, 10), INVALID),
    "a PNG of a wrong checksum": (lambda: PNG[:30] + b"\0\0\0\0" + PNG[34:], INVALID),
    "a PNG of broken data": (lambda: flipped(PNG, 3), INVALID),
    "a PNG without data": (lambda: png(64, 64), INVALID),
    "a PNG whose data ends early": (lambda: png(4000, 4000, data=_zeros(1000)), INVALID),
    "a PNG of an unknown colour type": (lambda: png(8, 8, colour=9, data=_zeros(100)), INVALID),
    "a PNG with a text bomb": (
        lambda: png(8, 8, data=_zeros(200), extra=chunk(b"zTXt", b"a\0\0" + _zeros(3 * 10**6))),
        INVALID,
    ),
    "a WebP of broken data": (lambda: WEBP[:20] + bytes(20) + WEBP[40:], INVALID),
    "an AVIF of broken data": (lambda: flipped(AVIF, 3), INVALID),
    "a TIFF of broken data": (lambda: flipped(TIFF, 3), INVALID),
    "a TIFF whose directory is beyond its end": (tiff_that_points_at_itself, INVALID),
    "a TIFF whose strips are beyond its end": (lambda: tiff(64, 64, data=bytes(16), t273=10**9), INVALID),
    "a TIFF of 2**31 samples": (lambda: tiff(64, 64, data=bytes(16), t277=2**31 - 1), INVALID),
    "a TIFF of an unknown compression": (lambda: tiff(64, 64, compression=60_000, data=bytes(64)), INVALID),
    "a JPEG of 100,000 empty segments": (lambda: b"\xff\xd8" + b"\xff\xe1\0\2" * 100_000 + b"\xff\xd9", INVALID),
    "a JPEG whose colour profile says it is larger": (
        lambda: b"\xff\xd8\xff\xe2\xff\xffICC_PROFILE\0\1\xff" + JPEG[2:300],
        INVALID,
    ),
    "a PNG with a profile that unpacks to a gigabyte": (
        lambda: png(8, 8, extra=chunk(b"iCCP", b"a\0\0" + _zeros(10**7) * 3)),
        INVALID,
    ),
    "a PNG of 65,000 chunks": (lambda: png(8, 8, extra=chunk(b"teXt", b"") * 65_000), INVALID),
    "a PNG whose chunk is longer than the file": (lambda: PNG[:8] + b"\x7f\xff\xff\xffIHDR" + PNG[16:], INVALID),
    "a GIF whose blocks never end": (lambda: GIF[:200] + b"\xff" * 255 * 40, INVALID),
    "an AVIF of boxes within boxes": (lambda: AVIF[:32] + b"\0\0\0\x10meta\0\0\0\0" * 5_000, INVALID),
    "a WebP whose length is 4 GB": (lambda: WEBP[:4] + b"\xff\xff\xff\xff" + WEBP[8:30], INVALID),
    "a TIFF whose directory lies within itself": (lambda: b"II*\0\x08\0\0\0" + b"\xff\xff" + bytes(100), INVALID),
    "a JPEG header and a script": (lambda: b"\xff\xd8\xff<script>alert(1)</script>", INVALID),
    "a GIF header and a script": (lambda: b"GIF89a/*" + b"\xff" * 20 + b"*/=alert(1);", INVALID),
}
