"""Texts that come with the data do nothing in the page, wherever they stand."""

from __future__ import annotations

import dataclasses
import json
import re
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

from parquill.errors import Stop
from parquill.images.picture_cells import WebPicture
from parquill.results import ItemResult
from parquill.storage import Storage
from parquill.timeline import TimelineSample
from tests.injections import INJECTIONS
from tests.outputs import OK, failed, record, write_output
from tests.page import Page, build

HARMLESS = "plain words"


def hostile_row(text: str) -> ItemResult:
    """An answered row with the text in every field that comes from outside."""
    answer = {"caption": text, "tags": [text, text[:40]], text[:20] or "x": text}
    return dataclasses.replace(
        OK,
        answer=answer,
        answer_text=text,
        provider=text,
        model=text,
        finish_reason=text,
        repairs=(text,),
        generation_id=text,
    )


def hostile_page(folder: Path, texts: tuple[str, ...]) -> bytes:
    """A page with each text as answer, error, key, column, prompt, picture, setting and notice."""
    rows: list[ItemResult] = []
    for text in texts:
        rows += [hostile_row(text), failed(text, text), failed("timeout", text)]
    written = [text.encode("utf-8", "replace").decode() for text in texts for _ in range(3)]
    keys = [f"{text}#{place}" for place, text in enumerate(written)]
    kept = (pa.field(written[-1], pa.string()), pa.field("link", pa.string()), pa.field("kind", pa.string()))
    columns = {"id": keys, written[-1]: written, "link": written, "kind": [text[:9] for text in written]}
    names = sorted({text[:20] or "x" for text in texts})
    fields = [pa.field("caption", pa.string()), pa.field("tags", pa.list_(pa.string()))]
    answer = pa.struct([*fields, *(pa.field(name.encode("utf-8", "replace").decode(), pa.string()) for name in names)])
    output = write_output(folder / "out", rows, columns, kept=kept, answer=answer)
    whole = "\n".join(texts)
    night = record([OK], run_id="b", job=whole, output=whole, stop_message=whole, stopped_by=Stop.BUDGET, notices=texts)
    night = dataclasses.replace(
        night,
        settings={text: {text: [text]} for text in texts},
        price={text: text for text in texts},
        versions={text: text for text in texts},
        timeline=tuple(TimelineSample(at, at, at, at, at, at, text) for at, text in enumerate(texts)),
    )
    return build(
        output, folder / "w", night, job_name=whole,
        prompt_for=lambda row: str(row["link"]), pictures_for=lambda row: [WebPicture(str(row["link"]))],
    )  # fmt: skip


def skeleton(page: Page) -> Counter[tuple[str, tuple[str, ...]]]:
    """Elements with the names of their attributes: what a browser would build."""
    return Counter((tag, tuple(sorted(found))) for tag, found in page.elements)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    return Page(hostile_page(tmp_path_factory.mktemp("hostile"), INJECTIONS))


def test_hostile_texts_make_no_element_and_no_attribute(page: Page, tmp_path: Path) -> None:
    """The same page with harmless texts of the same kind is built of the same things."""
    harmless = tuple(f"{HARMLESS} {place:02d}{'x' * 3 * place}" for place in range(len(INJECTIONS)))
    known = set(skeleton(Page(hostile_page(tmp_path, harmless)))) | {("a", ("dir", "href", "rel", "target"))}
    assert set(skeleton(page)) - known == set()


def test_there_is_one_script_and_one_style_and_no_handler(page: Page) -> None:
    assert len(page.all("script")) == len(page.all("style")) == 1
    assert not [found for _, found in page.elements if any(name.startswith("on") or name == "style" for name in found)]
    assert not {tag for tag, _ in page.elements} & {"iframe", "object", "embed", "base", "animate", "math", "noscript"}


def test_addresses_lead_to_the_web_or_into_the_page(page: Page) -> None:
    addresses = [found["href"] or "" for tag, found in page.elements if tag in ("a", "link")]
    assert [it for it in addresses if not it.startswith(("#", "https://s")) and it != "data:,"] == []
    links = [found for found in page.all("a") if not (found["href"] or "").startswith("#")]
    assert all(found["rel"] == "noopener noreferrer nofollow" for found in links)
    assert not page.all("img")


@pytest.mark.parametrize("place", range(len(INJECTIONS)))
def test_each_text_is_there_to_be_read(page: Page, place: int) -> None:
    """What hides or turns text round is shown as a mark; else it stands there letter for letter."""
    text = INJECTIONS[place].encode("utf-8", "replace").decode().replace("\r\n", "\n")
    wanted = re.sub("[\x00\x07\x1b\x9b\u202e]", "\ufffd", text)
    assert wanted in "".join(page.texts).replace("\r\n", "\n")
    assert not set(page.raw) & set("\x00\x07\x1b\x9b\u202e")


def test_filters_of_cards_are_plain_data(page: Page) -> None:
    groups = [json.loads(found["data-groups"] or "") for tag, found in page.elements if "data-groups" in found]
    assert groups
    assert all(isinstance(group, str) for each in groups for group in each)


def test_foreign_output_columns_with_our_names_are_no_way_in(tmp_path: Path) -> None:
    """Kinds and statuses come from a file: anyone may have written it."""
    evil = 'x" onclick="window.pwned=1" y="'
    output = write_output(tmp_path / "out", [failed(evil, evil)])
    page = Page(build(output, tmp_path / "w"))
    assert isinstance(output, Storage)
    assert {found["data-kind"] for found in page.all("tr") if "data-kind" in found} == {evil}
    assert not [found for _, found in page.elements if "onclick" in found]
