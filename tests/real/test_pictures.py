"""Pictures and documents of the world: as Pillow shows them, or a typed fault; never a dead worker."""

from __future__ import annotations

import base64
import io
import re
import warnings
from collections.abc import AsyncIterator, Sequence

import pytest
from PIL import Image, ImageChops, ImageOps, ImageStat

from parquill.errors import ErrorKind, RowError
from parquill.images.decoder_pool import DecodePool
from parquill.images.sandbox.messages import Piece
from parquill.images.sandbox.pictures import fitted
from tests.real import pictures
from tests.real.conftest import or_skip
from tests.test_images_hostile import most_memory, workers
from tests.test_images_pictures import TRACES

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

MOST_MEMORY = 700 * 2**20
"""A worker's: the test files of Pillow hold some of 30 and more megapixels."""
EIGHT_BITS = frozenset({"L", "RGB", "P", "RGBA", "LA", "1"})


@pytest.fixture
async def pool() -> AsyncIterator[DecodePool]:
    pool = DecodePool(workers=1)
    yield pool
    await pool.close()


async def made_of(pool: DecodePool, data: bytes, op: str = "picture", **options: object) -> Sequence[Piece] | RowError:
    fault = ErrorKind.IMAGE_INVALID if op == "picture" else ErrorKind.DOCUMENT_INVALID
    try:
        return await pool.run(op, data, fault, **(options or {"max_side": 896}))
    except RowError as error:
        return error


def file_in(piece: Piece) -> bytes:
    return base64.b64decode(piece.payload.partition(b",")[2])


def as_pillow_shows(data: bytes) -> Image.Image | None:
    """The picture upright, on white, of the size that is sent; None where Pillow shows none, or none of 8 bits."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            picture = Image.open(io.BytesIO(data))
            picture.load()
        except Exception:
            return None
        if picture.mode not in EIGHT_BITS or picture.info.get("icc_profile"):
            return None
        upright = ImageOps.exif_transpose(picture).convert("RGBA")
    white = Image.new("RGBA", upright.size, "white")
    shown = Image.alpha_composite(white, upright).convert("RGB")
    return shown.resize(fitted(shown.size, 896), Image.Resampling.BICUBIC)


def distance(one: Image.Image, other: Image.Image) -> float:
    """Root mean square of the difference, in steps of 256."""
    assert one.size == other.size
    return max(ImageStat.Stat(ImageChops.difference(one.convert("RGB"), other.convert("RGB"))).rms)


async def test_photographs_are_sent_as_pillow_shows_them(pool: DecodePool) -> None:
    with or_skip():
        files = list(pictures.photographs())
    assert len(files) >= 25
    compared = 0
    for name, data in files:
        made, right = await made_of(pool, data), as_pillow_shows(data)
        if isinstance(made, RowError):
            assert made.kind is ErrorKind.IMAGE_INVALID
            assert right is None, (name, made)
            continue
        file = file_in(made[0])
        assert not [trace for trace in TRACES if trace in file], name
        if right is not None:
            compared += 1
            assert distance(Image.open(io.BytesIO(file)), right) < 10, name
    assert compared >= 22


async def test_every_orientation_is_turned_as_pillow_turns_it(pool: DecodePool) -> None:
    with or_skip():
        files = {name: data for name, data in pictures.pillow_files() if re.search(r"orientation_\d\.", name)}
    assert {int(name[-5 if name[-4] == "." else -6]) for name in files} == set(range(1, 9))
    assert len(files) >= 20
    for name, data in files.items():
        made, right = await made_of(pool, data), as_pillow_shows(data)
        assert not isinstance(made, RowError), (name, made)
        assert right is not None
        assert distance(Image.open(io.BytesIO(file_in(made[0]))), right) < 16, name


async def test_the_files_pillow_is_tested_with_end_as_pictures_or_typed_faults(pool: DecodePool) -> None:
    with or_skip():
        files = list(pictures.pillow_files())
    assert len(files) > 1000
    await made_of(pool, files[0][1])
    (first,) = workers()
    ends: dict[str, int] = {}
    for name, data in files:
        made = await made_of(pool, data)
        end = "picture" if not isinstance(made, RowError) else made.kind.value
        ends[end] = ends.get(end, 0) + 1
        assert not isinstance(made, RowError) or "crashed" not in made.message, (name, made)
        if not isinstance(made, RowError):
            assert not [trace for trace in TRACES if trace in file_in(made[0])], name
    assert ends["picture"] > 300
    assert ends.keys() <= {"picture", ErrorKind.IMAGE_INVALID, ErrorKind.IMAGE_REFUSED}
    assert workers() == [first], "no file took the worker down"
    assert most_memory(first) < MOST_MEMORY


async def test_documents_of_others_become_pages_and_text(pool: DecodePool) -> None:
    with or_skip():
        files = list(pictures.documents())
    assert len(files) >= 12
    choice = {"wanted": None, "max_pages": 3, "take": "first"}
    drawn = read = 0
    for name, data in files:
        pages = await made_of(pool, data, "pages", max_side=896, **choice)
        text = await made_of(pool, data, "text", **choice)
        if isinstance(pages, RowError):
            assert pages.kind is ErrorKind.DOCUMENT_INVALID, name
            continue
        drawn += 1
        assert all(max(page.width, page.height) in (895, 896, 897) for page in pages)
        shades = Image.open(io.BytesIO(file_in(pages[0]))).convert("L").getextrema()
        assert shades[0] < 128 < shades[1], f"{name}: dark on light"
        read += not isinstance(text, RowError) and len(text[0].payload) > 200
    assert drawn >= 12
    assert read >= 3
