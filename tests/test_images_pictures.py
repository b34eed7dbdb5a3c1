"""What one picture becomes: upright, sRGB, opaque, no larger than wanted, and without a word about its owner."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageCms, ImageDraw, ImageOps, ImageStat, PngImagePlugin

from parquill.errors import ErrorKind, RowError
from parquill.images.sandbox.messages import Piece
from parquill.images.sandbox.pictures import LONGEST_SIDE, fitted, shrink
from tests.hostile_files import chunk, noise, png, saved

SAMPLES = Path(__file__).parents[1] / "data" / "samples" / "pictures"
TRACES = (b"CANARY", b"Exif", b"eXIf", b"ns.adobe.com", b"xmpmeta", b"GPS", b"ICC_PROFILE", b"tEXt", b"iTXt")
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description canary="XMP-CANARY"/></x:xmpmeta>'


def sent(piece: Piece) -> tuple[str, bytes]:
    """The media type and the file's bytes in a data: URL."""
    head, _, body = piece.payload.partition(b";base64,")
    return head.decode().removeprefix("data:"), base64.b64decode(body, validate=True)


def opened(piece: Piece) -> Image.Image:
    return Image.open(io.BytesIO(sent(piece)[1]))


def difference(one: Image.Image, other: Image.Image) -> float:
    """Root mean square of the difference, in steps of 256."""
    assert one.size == other.size
    return max(ImageStat.Stat(ImageChops.difference(one.convert("RGB"), other.convert("RGB"))).rms)


def photo(width: int = 640, height: int = 480) -> Image.Image:
    """Each corner another colour, so that no turn looks like another."""
    picture = Image.new("RGB", (width, height), "grey")
    draw = ImageDraw.Draw(picture)
    for place, colour in enumerate(("red", "green", "blue", "yellow")):
        left, top = place % 2 * width // 2, place // 2 * height // 2
        draw.rectangle((left, top, left + width // 2, top + height // 2), fill=colour)
    return picture


def camera_exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "MAKER-CANARY"
    exif.get_ifd(0x8825)[1] = "N"
    exif.get_ifd(0x8825)[2] = (54.0, 19.0, 12.0)
    return exif


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_comes_out_as_pillow_turns_it(orientation: int, kind: str) -> None:
    data = saved(photo(), kind, exif=camera_exif(orientation))
    right = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    piece = shrink(data, max_side=320)
    assert (piece.width, piece.height) == right.size
    assert difference(opened(piece), right.resize(fitted(right.size, 320))) < 12


def test_an_orientation_that_is_none_leaves_the_picture_as_it_is() -> None:
    for orientation in (0, 9, 65_535):
        assert (
            difference(opened(shrink(saved(photo(), "JPEG", exif=camera_exif(orientation)), max_side=640)), photo())
            < 12
        )


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "GIF"])
def test_nothing_about_the_owner_is_sent(kind: str) -> None:
    options: dict[str, object] = {"exif": camera_exif(6)} if kind != "GIF" else {"comment": b"COMMENT-CANARY"}
    if kind in ("JPEG", "WEBP", "AVIF"):
        options["xmp"] = XMP
    if kind == "JPEG":
        options["comment"] = b"COMMENT-CANARY"
    if kind == "PNG":
        texts = PngImagePlugin.PngInfo()
        texts.add_text("Author", "TEXT-CANARY", zip=False)
        texts.add_itxt("XML:com.adobe.xmp", XMP.decode())
        options["pnginfo"] = texts
    data = saved(photo().convert("P") if kind == "GIF" else photo(), kind, **options)
    assert b"CANARY" in data
    for max_side in (320, 896):
        piece = shrink(data, max_side=max_side)
        _, file = sent(piece)
        for trace in (
            b"CANARY",
            b"Exif",
            b"eXIf",
            b"http://ns.adobe.com",
            b"xmpmeta",
            b"GPS",
            b"ICC_PROFILE",
            b"tEXt",
            b"iTXt",
        ):
            assert trace not in file
        assert not opened(piece).getexif()
        assert segments(file) <= {0xC0, 0xC4, 0xDA, 0xDB, 0xE0}, "JPEG: tables, frame, scan, JFIF"


def segments(file: bytes) -> set[int]:
    """The markers before a JPEG's scan; none for a PNG."""
    found, place = set(), 2
    while file[:2] == b"\xff\xd8" and 0xDA not in found:
        found.add(file[place + 1])
        place += 2 + struct.unpack(">H", file[place + 2 : place + 4])[0]
    return found


@pytest.mark.parametrize("name", sorted(path.name for path in SAMPLES.glob("*.*g") if path.stem != "broken"))
@pytest.mark.parametrize("max_side", [224, 896])
def test_real_pictures_look_as_pillow_shows_them(name: str, max_side: int) -> None:
    data = (SAMPLES / name).read_bytes()
    right = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    right = right.resize(fitted(right.size, max_side), Image.Resampling.BICUBIC)
    assert difference(opened(shrink(data, max_side=max_side)), right) < 9


def test_the_broken_sample_is_invalid() -> None:
    with pytest.raises((RowError, OSError)):
        shrink((SAMPLES / "broken.jpg").read_bytes(), max_side=896)


@given(st.integers(1, LONGEST_SIDE), st.integers(1, LONGEST_SIDE), st.integers(32, 8192))
def test_a_picture_keeps_its_proportions_and_never_grows(width: int, height: int, max_side: int) -> None:
    new = fitted((width, height), max_side)
    assert max(new) == min(max(width, height), max_side)
    assert min(new) >= 1
    if min(new) > 1:
        assert abs(new[0] / new[1] / (width / height) - 1) <= 1 / min(new)


def test_extreme_shapes_and_tiny_pictures_pass() -> None:
    for size in ((1, 1), (2, 1), (16_000, 1), (1, 16_000), (16_384, 2)):
        piece = shrink(saved(Image.new("RGB", size, "red"), "PNG"), max_side=896)
        assert (piece.width, piece.height) == size
        assert opened(piece).size == fitted(size, 896)


def test_a_large_jpeg_is_decoded_small_and_looks_the_same() -> None:
    large = Image.open(SAMPLES / "astronaut.jpg").convert("RGB").resize((4000, 3000), Image.Resampling.BICUBIC)
    piece = shrink(saved(large, "JPEG", quality=92), max_side=896)
    assert (piece.width, piece.height) == (4000, 3000)
    assert difference(opened(piece), large.resize((896, 672), Image.Resampling.LANCZOS)) < 6


def test_line_art_is_sent_as_png_and_photos_as_jpeg() -> None:
    chart = Image.new("RGB", (800, 600), "white")
    ImageDraw.Draw(chart).text((100, 100), "Revenue 2026", fill="black", font_size=40)
    assert sent(shrink(saved(chart, "PNG"), max_side=896))[0] == "image/png"
    assert difference(opened(shrink(saved(chart, "PNG"), max_side=896)), chart) == 0
    assert sent(shrink(saved(noise(800, 600), "PNG"), max_side=896))[0] == "image/jpeg"
    assert sent(shrink(saved(photo(), "JPEG"), max_side=896))[0] == "image/jpeg"


def test_the_same_content_has_the_same_key_whatever_its_metadata() -> None:
    plain, tagged = saved(photo(), "PNG"), saved(photo(), "PNG", exif=camera_exif(1))
    assert plain != tagged
    assert shrink(plain, max_side=320).digest == shrink(tagged, max_side=320).digest
    assert shrink(plain, max_side=320).digest != shrink(saved(photo().rotate(180), "PNG"), max_side=320).digest
    assert len(shrink(plain, max_side=320).digest) == 16


def test_transparent_pictures_lie_on_white() -> None:
    clear = Image.new("RGBA", (100, 100), (0, 0, 0, 0))
    palette = Image.new("P", (100, 100), 0)
    palette.putpalette([200, 0, 0, 0, 0, 200])
    grey = Image.new("LA", (100, 100), (0, 0))
    keyed = Image.new("RGB", (100, 100), (1, 2, 3))
    for data in (
        saved(clear, "PNG"),
        saved(clear, "WEBP", lossless=True),
        saved(palette, "PNG", transparency=0),
        saved(palette, "GIF", transparency=0),
        saved(grey, "PNG"),
        saved(keyed, "PNG", transparency=(1, 2, 3)),
    ):
        for max_side in (50, 100):
            assert opened(shrink(data, max_side=max_side)).convert("RGB").getpixel((20, 20)) == (255, 255, 255)


def test_half_transparent_edges_keep_no_dark_seam() -> None:
    """Averaging colours without their alpha mixes the hidden black into the edge."""
    disc = Image.new("RGBA", (400, 400), (0, 0, 0, 0))
    ImageDraw.Draw(disc).ellipse((40, 40, 360, 360), fill=(255, 0, 0, 255))
    small = opened(shrink(saved(disc, "PNG"), max_side=64)).convert("RGB")
    assert min(small.getchannel("R").getextrema()) > 240


def test_sixteen_bit_pictures_keep_their_range() -> None:
    """Pillow's own conversion cuts every value above 255 to white."""
    ramp = Image.new("I;16", (256, 4))
    ramp.putdata([column * 257 for _ in range(4) for column in range(256)])
    right = list(range(256))
    for kind in ("PNG", "TIFF"):
        got = [opened(shrink(saved(ramp, kind), max_side=896)).convert("L").getpixel((x, 1)) for x in range(256)]
        assert max(abs(a - b) for a, b in zip(got, right, strict=True)) <= 3
    for step in (0, 32_896, 65_535):
        deep = saved(Image.new("I;16", (3000, 20), step), "PNG")
        shade = opened(shrink(deep, max_side=100)).convert("L").getpixel((5, 0))
        assert isinstance(shade, int)
        assert abs(shade - step // 257) <= 2


def test_sixteen_bit_colour_is_read() -> None:
    row = b"\0" + struct.pack(">HHH", 65_535, 32_768, 0) * 8
    data = png(8, 8, depth=16, colour=2, data=zlib.compress(row * 8))
    assert opened(shrink(data, max_side=896)).convert("RGB").getpixel((4, 4)) in [
        (255, 128, 0),
        (255, 127, 0),
        (254, 128, 0),
    ]


def test_float_and_thirty_two_bit_pictures_are_stretched_to_what_can_be_seen() -> None:
    for mode, low, high in (("F", 0.0, 1.0), ("F", -3e5, 7e9), ("I", -70_000, 70_000), ("I", 0, 1)):
        picture = Image.new(mode, (64, 64), low)
        picture.paste(high, (32, 0, 64, 64))
        small = opened(shrink(saved(picture, "TIFF"), max_side=896)).convert("L")
        assert small.getpixel((5, 5)) == 0
        assert small.getpixel((60, 5)) == 255
    flat = opened(shrink(saved(Image.new("F", (64, 64), float("nan")), "TIFF"), max_side=896))
    assert flat.size == (64, 64)


def test_cmyk_is_shown_in_its_colours() -> None:
    red = Image.new("CMYK", (64, 64), (0, 255, 255, 0))
    for kind in ("JPEG", "TIFF"):
        pixel = opened(shrink(saved(red, kind), max_side=896)).convert("RGB").getpixel((30, 30))
        assert isinstance(pixel, tuple)
        assert pixel[0] > 200
        assert max(pixel[1:]) < 60


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "YCbCr", "LAB"])
def test_every_mode_is_read(mode: str) -> None:
    kind = {"LAB": "TIFF", "YCbCr": "TIFF"}.get(mode, "PNG")
    picture = photo() if mode != "LAB" else Image.new("LAB", (640, 480), (200, 128, 128))
    piece = shrink(saved(picture.convert(mode) if mode != "LAB" else picture, kind), max_side=320)
    assert opened(piece).mode in ("L", "RGB")


def test_an_embedded_profile_is_applied_and_a_broken_one_is_not() -> None:
    """A profile with red and blue exchanged would show, were it left out or applied twice."""
    exchanged = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    lab_profile_on_rgb = saved(photo(), "JPEG", icc_profile=exchanged)
    broken = saved(photo(), "JPEG", icc_profile=b"\0" * 200)
    srgb = saved(photo(), "JPEG", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for data in (lab_profile_on_rgb, broken, srgb):
        assert difference(opened(shrink(data, max_side=896)), photo()) < 8
    dark = saved(photo(), "JPEG", icc_profile=gamma_profile(1.0))
    assert difference(opened(shrink(dark, max_side=896)), photo()) > 20
    right = ImageCms.profileToProfile(
        Image.open(io.BytesIO(dark)), io.BytesIO(gamma_profile(1.0)), ImageCms.createProfile("sRGB"), outputMode="RGB"
    )
    assert right is not None
    assert difference(opened(shrink(dark, max_side=896)), right) < 8


def gamma_profile(gamma: float) -> bytes:
    """An RGB profile with sRGB's colours and another tone curve."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack(">I", profile[128:132])[0]
    for entry in range(count):
        name, offset, _ = struct.unpack(">4sII", profile[132 + 12 * entry : 144 + 12 * entry])
        if name in (b"rTRC", b"gTRC", b"bTRC"):
            profile[offset : offset + 14] = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))
        if name == b"desc":
            profile[offset:] = profile[offset:].replace("sRGB".encode("utf-16-be"), "test".encode("utf-16-be"))
    return bytes(profile)


def test_of_an_animation_the_first_frame_is_taken() -> None:
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue", "green")]
    for kind in ("GIF", "WEBP", "PNG", "TIFF", "AVIF"):
        options: dict[str, object] = {"lossless": True} if kind == "WEBP" else {}
        data = saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        pixel = opened(shrink(data, max_side=896)).convert("RGB").getpixel((30, 30))
        assert isinstance(pixel, tuple)
        assert pixel[0] > 240
        assert max(pixel[1:]) < 15


def test_a_phone_photo_with_a_second_picture_behind_it_is_read() -> None:
    """Phones write MPO: a JPEG with a depth map or a preview after it."""
    data = saved(
        photo(), "MPO", save_all=True, append_images=[Image.new("RGB", (64, 64), "black")], exif=camera_exif(6)
    )
    piece = shrink(data, max_side=320)
    assert (piece.width, piece.height) == (480, 640)


@pytest.mark.parametrize(
    "options", [{"progressive": True}, {"subsampling": "4:4:4"}, {"quality": 1}, {"restart_marker_rows": 1}]
)
def test_every_kind_of_jpeg_is_read(options: dict[str, object]) -> None:
    assert difference(opened(shrink(saved(photo(1600, 1200), "JPEG", **options), max_side=400)), photo(400, 300)) < 25


def test_an_interlaced_png_and_unknown_chunks_are_read() -> None:
    data = saved(photo(), "PNG")
    data = data[:33] + chunk(b"prIv", b"anything") + data[33:]
    assert difference(opened(shrink(data, max_side=896)), photo()) < 6


def test_too_many_pixels_are_refused_with_their_number() -> None:
    with pytest.raises(RowError, match=r"20,000 x 30,000 pixels; at most 40 megapixels") as fault:
        shrink(png(20_000, 30_000), max_side=896)
    assert fault.value.kind is ErrorKind.IMAGE_REFUSED
