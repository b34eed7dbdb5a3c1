"""PDFs as pictures of their pages or as text, and what is said where that cannot be."""

from __future__ import annotations

import base64
import io
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from parquill.chat import ImagePart
from parquill.documents import select_pages
from parquill.documents.pages import draw, read_text
from parquill.errors import ErrorKind, RowError
from parquill.images import ImageLoader
from parquill.job import DocumentSettings, ImageSettings
from tests.hostile_files import PNG
from tests.pdfs import encrypted, pdf
from tests.web import EagerClock, reply, web_server

SAMPLES = Path(__file__).parents[1] / "data" / "samples" / "documents"

MakeLoader = Callable[..., ImageLoader]


@pytest.fixture
async def loader() -> AsyncIterator[MakeLoader]:
    loaders: list[ImageLoader] = []

    def make(images: dict[str, Any] | None = None, **settings: Any) -> ImageLoader:
        documents, pictures = DocumentSettings.model_validate(settings), ImageSettings.model_validate(images or {})
        loaders.append(
            ImageLoader(pictures, documents, manifest_folder=str(SAMPLES), endpoint_fetches=True, clock=EagerClock())
        )
        return loaders[-1]

    yield make
    for each in loaders:
        async with each:
            pass


def opened(part: str | ImagePart) -> Image.Image:
    assert isinstance(part, ImagePart)
    return Image.open(io.BytesIO(base64.b64decode(part.url.partition(",")[2])))


async def fault(loader: ImageLoader, cell: Any) -> RowError:
    with pytest.raises(RowError) as raised:
        await loader.document_parts(loader.check_document(cell))
    return raised.value


async def test_pages_become_pictures_as_large_as_the_model_sees(loader: MakeLoader) -> None:
    reading = loader()
    first, second = await reading.document_parts(reading.check_document("invoice.pdf"))
    assert opened(first).size == opened(second).size == (634, 896)
    assert isinstance(first, ImagePart)
    assert isinstance(second, ImagePart)
    assert first.figures is not None
    assert first.figures.bytes_fetched == (SAMPLES / "invoice.pdf").stat().st_size
    assert first.content_key != second.content_key
    small = loader(images={"max_side": 224})
    assert opened((await small.document_parts(small.check_document("invoice.pdf")))[0]).size == (159, 224)


async def test_text_is_read_from_every_form_of_a_value(loader: MakeLoader) -> None:
    async with web_server() as web:
        data = pdf(["Hello", "World"])
        web.answers["/x"] = reply(200, data)
        reading = loader(images={"allow_private": True, "allow_ports": [web.port]}, send="text")
        url = "data:application/pdf;base64," + base64.b64encode(data).decode()
        cells = [web.url("/x"), data, url, {"bytes": data, "path": None}]
        assert await reading.document_parts(reading.check_document(cells)) == ("Hello\n\nWorld",) * 4
        (letter,) = await reading.document_parts(reading.check_document("letter.pdf"))
        assert isinstance(letter, str)
        assert "Käthe Brümmer" in letter
        told = await fault(reading, pdf([""]))
        assert told.kind is ErrorKind.DOCUMENT_INVALID
        assert "the bytes in the manifest: the document holds no text" in told.message


async def test_what_is_no_pdf_says_what_it_is(loader: MakeLoader, tmp_path: Path) -> None:
    reading = loader(images={"root": str(tmp_path)})
    for name, data, words in (("a.png", PNG, "a PNG picture"), ("b.html", b"<html>", "HTML"), ("c.pdf", b"", "empty")):
        (tmp_path / name).write_bytes(data)
        told = await fault(reading, name)
        assert told.kind is ErrorKind.DOCUMENT_INVALID
        assert name in told.message
        assert words in told.message


# The pages themselves


def texts(data: bytes, **settings: Any) -> list[str]:
    return read_text(data, **selection(settings)).split()


def selection(settings: dict[str, Any]) -> dict[str, Any]:
    chosen = DocumentSettings.model_validate(settings)
    return {"wanted": chosen.pages, "max_pages": chosen.max_pages, "take": chosen.take}


@pytest.mark.parametrize(
    ("settings", "taken"),
    [
        ({}, "1 2 3 4 5"),
        ({"pages": "1-3"}, "1 2 3"),
        ({"pages": "4-"}, "4 5"),
        ({"pages": "5, 1"}, "5 1"),
        ({"pages": "2,1-3"}, "2 1 3"),
        ({"pages": "4-99"}, "4 5"),
        ({"max_pages": 2, "take": "first"}, "1 2"),
        ({"max_pages": 2, "take": "first", "pages": "3-"}, "3 4"),
        ({"max_pages": 2, "pages": "2-3"}, "2 3"),
    ],
)
def test_the_chosen_pages_are_taken_in_order(settings: dict[str, Any], taken: str) -> None:
    assert texts(pdf(["1", "2", "3", "4", "5"]), **settings) == taken.split()


def test_pages_that_are_not_there_are_a_fault() -> None:
    with pytest.raises(RowError, match=r"has 1 page; documents\.pages asks for 2-3"):
        texts(pdf(["1"]), pages="2-3")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (encrypted, "encrypted"),
        (lambda: pdf(["a"])[:200], "broken"),
        (lambda: b"%PDF-1.7\n" + b"\0" * 1000, "broken"),
        (lambda: pdf([]), "no pages"),
        (lambda: pdf(["a"] * 9), r"9 pages, more than documents\.max_pages = 8 \(documents\.take: first"),
        (lambda: pdf(["a"] * 5000), "5,000 pages, more than"),
    ],
)
def test_a_document_that_cannot_be_sent_says_why(make: Callable[[], bytes], words: str) -> None:
    data = make()
    with pytest.raises(RowError, match=words) as told:
        texts(data)
    assert told.value.kind is ErrorKind.DOCUMENT_INVALID
    with pytest.raises(RowError, match=words):
        [*draw(data, max_side=896, **selection({}))]


def test_of_five_thousand_pages_the_first_are_drawn() -> None:
    assert len([*draw(pdf(["a"] * 5000), max_side=32, **selection({"take": "first"}))]) == 8


@pytest.mark.parametrize("box", ["0 0 14400 14400", "0 0 3 3", "0 0 100000 1", "0 0 1 5000"])
def test_pages_of_any_size_fit(box: str) -> None:
    (page,) = draw(pdf(["a"], box=box), max_side=896, **selection({}))
    assert max(page.size) <= 897
    assert min(page.size) >= 1


def test_a_page_is_drawn_dark_on_white() -> None:
    (page,) = draw(pdf(["Hello"]), max_side=896, **selection({}))
    assert page.mode == "RGB"
    assert page.getpixel((5, 5)) == (255, 255, 255)
    assert page.convert("L").getextrema()[0] < 60


def test_a_scan_has_no_text_and_the_message_says_what_to_do() -> None:
    with pytest.raises(RowError, match=r"documents\.send: pages"):
        texts(pdf([""]))
    assert [*draw(pdf([""]), max_side=896, **selection({}))]


@given(st.integers(1, 30), st.integers(1, 12), st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), max_size=4))
def test_selected_pages_exist_are_taken_once_and_are_not_too_many(
    count: int, most: int, ranges: list[tuple[int, int]]
) -> None:
    wanted = ", ".join(f"{first}-{last}" for first, last in ranges) or None
    try:
        pages = select_pages(count, wanted, most, "first")
    except RowError:
        assert wanted is not None
        return
    assert 1 <= len(pages) <= most
    assert len(set(pages)) == len(pages)
    assert set(pages) <= set(range(count))
