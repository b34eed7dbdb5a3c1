"""The report's page: what it says, that it is one file, and that it stays small."""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from parquill.clock import SystemClock
from parquill.cost_range import CostRange
from parquill.images import ImageLoader
from parquill.images.picture_cells import BytesPicture, PathPicture, WebPicture
from parquill.job import DocumentSettings, ImageSettings
from parquill.report import MOST_BYTES, Asked, build_report, thumbnail_settings
from parquill.report.format import change, link_of
from parquill.report.headline import against_estimate
from parquill.results import CostSource
from parquill.storage import Storage
from tests.lanes import is_thorough
from tests.outputs import OK, START, STOPPED, failed, night, record, write_output
from tests.page import Page, build

PICTURES = Path(__file__).parents[1] / "data" / "samples" / "pictures"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """A night of 400 rows after a smaller one."""
    folder = tmp_path_factory.mktemp("night")
    results, columns = night(400)
    output = write_output(folder / "out", results, columns)
    before = record(results[:300], run_id="a", started_at=START - dt.timedelta(days=1))
    raw = build(
        output,
        folder / "out.parquill",
        before,
        record(results, run_id="b"),
        prompt_for=lambda row: f"Describe {row['title']}.",
    )
    return Page(raw)


def test_the_headline_compares_with_the_estimate_and_the_last_run(page: Page) -> None:
    assert "385 of 400 rows answered, 15 failed." in page.text
    assert "2 % below the estimate" in page.text
    assert re.search(r"3\d % more than in the last run", page.text)
    assert "50 kept, 8 reused" in page.text


def test_every_section_is_there_and_reachable(page: Page) -> None:
    targets = [link["href"].removeprefix("#") for link in page.all("a") if (link["href"] or "").startswith("#")]
    ids = {found["id"] for _, found in page.elements if "id" in found}
    assert targets == ["main", "gallery", "failures", "figures", "answers", "rows", "facts"]
    assert set(targets) <= ids


def test_a_card_shows_answer_prompt_tokens_cost_and_why_it_is_there(page: Page) -> None:
    for text in (
        "longest answer",
        "language: Arabic",
        "Describe Red",
        "tokens in,",
        "$0.0000",
        "Repaired: code fence removed",
    ):
        assert text in page.text


def test_failures_say_what_to_do_with_examples(page: Page) -> None:
    assert "No answer in time: raise retry.deadline_seconds" in page.text
    assert "The next run asks again on its own." in page.text
    assert "--retry moderated" in page.text
    assert "no reply within 60 s" in page.text


def test_charts_are_drawn_and_have_tables(page: Page) -> None:
    drawings = [found for tag, found in page.elements if tag == "svg" and found.get("role") == "img"]
    assert len(drawings) >= 7
    assert all(len(found["aria-label"] or "") > 10 for found in drawings)
    for title in (
        "Cost",
        "Tokens a minute",
        "Requests in flight",
        "Latency",
        "Tokens in",
        "Tokens out",
        "What held the run back",
    ):
        assert title in page.texts or any(title in text for text in page.texts)


def test_fields_of_the_answers_are_counted(page: Page) -> None:
    assert "calm" in page.texts
    assert "tags[]" in page.texts
    assert re.search(r"writing: Latin \d\d %, Kana", page.text)


def test_settings_price_providers_and_versions_stand_below(page: Page) -> None:
    for text in (
        "limits.requests_per_minute",
        "0.00000002",
        "Parasail",
        "3.11.7",
        "Describe {{ title }} in {{ language }}.",
    ):
        assert text in page.texts


def test_the_page_loads_nothing_and_its_policy_holds_for_its_own_style_and_script(page: Page) -> None:
    policy = page.all("meta", **{"http-equiv": "Content-Security-Policy"})[0]["content"] or ""
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert "http" not in policy
    for name, tag in (("style-src", "style"), ("script-src", "script")):
        text = re.findall(f"<{tag}>(.*?)</{tag}>", page.raw, re.DOTALL)
        assert len(text) == 1
        digest = base64.b64encode(hashlib.sha256(text[0].encode()).digest()).decode()
        assert f"{name} 'sha256-{digest}'" in policy
    assert not [found for _, found in page.elements if "style" in found or any(key.startswith("on") for key in found)]
    assert all((found["src"] or "").startswith("data:") for found in page.all("img"))
    assert [found["href"] for found in page.all("link")] == ["data:,"]


def test_the_same_output_gives_the_same_page(tmp_path: Path) -> None:
    results, columns = night(60)
    output = write_output(tmp_path / "out", results, columns)
    assert build(output, tmp_path / "w", record(results)) == build(output, tmp_path / "w", record(results))


def test_ids_are_unique(page: Page) -> None:
    ids = [found["id"] for _, found in page.elements if "id" in found]
    assert len(ids) == len(set(ids))


def test_a_stopped_run_says_why_and_how_to_go_on(tmp_path: Path) -> None:
    results, columns = night(50)
    raw = build(write_output(tmp_path / "out", results, columns), tmp_path / "w", record(results, **STOPPED))
    text = Page(raw).text
    assert "The run stopped: the budget is used up." in text
    assert "--fresh-budget" in text


def test_a_job_of_only_failures_is_reported(tmp_path: Path) -> None:
    results = [failed("timeout", "no reply", attempts=6)] * 30
    page = Page(build(write_output(tmp_path / "out", results), tmp_path / "w", record(results)))
    assert "Not one of 30 rows was answered." in page.text
    assert "There is no answered row to show." in page.text
    assert "30 rows, 100 % of the failures" in page.text


def test_an_output_without_rows_is_reported(tmp_path: Path) -> None:
    write_output(tmp_path / "out", [OK])
    empty = Storage.at(tmp_path / "empty")
    empty.make_ready()
    pq.write_table(
        pq.read_table(next((tmp_path / "out").glob("*.parquet"))).slice(0, 0), tmp_path / "empty" / "m.parquet"
    )
    assert "The output has no rows." in Page(build(empty, tmp_path / "w")).text


def test_without_a_record_the_output_speaks_for_itself(tmp_path: Path) -> None:
    results, columns = night(80)
    page = Page(build(write_output(tmp_path / "out", results, columns), tmp_path / "w"))
    assert "No record of a run was found" in page.text
    assert "Cost" in page.texts


def test_a_damaged_record_does_not_keep_people_from_their_report(tmp_path: Path) -> None:
    results, columns = night(40)
    output = write_output(tmp_path / "out", results, columns)
    (tmp_path / "w" / "runs").mkdir(parents=True)
    (tmp_path / "w" / "runs" / "2026.json").write_bytes(b'{"job": ')
    assert "1 run record could not be read" in Page(build(output, tmp_path / "w", record(results))).text


def test_an_unknown_price_is_not_shown_as_nothing(tmp_path: Path) -> None:
    results = [dataclasses.replace(OK, cost_pico=None, cost_source=CostSource.UNKNOWN)] * 5
    page = Page(build(write_output(tmp_path / "out", results), tmp_path / "w", record(results, unpriced=5)))
    assert "unknown" in page.texts
    assert "No price is known for 5 rows" in page.text
    assert "cost unknown" in page.text


def test_a_rehearsal_says_that_it_was_one(tmp_path: Path) -> None:
    results = [dataclasses.replace(OK, provider="emulator")] * 3
    assert "A rehearsal" in Page(build(write_output(tmp_path / "out", results), tmp_path / "w")).text


def test_plain_text_answers_and_nested_kept_columns_are_shown(tmp_path: Path) -> None:
    results = [dataclasses.replace(OK, answer=f"Plain answer {n}.", answer_text=f"Plain answer {n}.") for n in range(9)]
    kept = (pa.field("boxes", pa.list_(pa.struct([pa.field("x", pa.float64())]))), pa.field("when", pa.timestamp("ms")))
    columns = {"boxes": [[{"x": 1.5}]] * 9, "when": [dt.datetime(2026, 1, 2, 3, 4)] * 9}
    output = write_output(tmp_path / "out", results, columns, kept=kept, answer=pa.string())
    text = Page(build(output, tmp_path / "w")).text
    assert "Plain answer 3." in text
    assert '[{"x": 1.5}]' in text
    assert "2026-01-02 03:04:00" in text


def test_the_page_stays_small_whatever_the_texts(tmp_path: Path) -> None:
    long = "<&\"'>" * 2_000
    answer = {"caption": long, "tags": [long] * 3, "mood": long, "people": 1, "outdoors": True}
    results = [dataclasses.replace(OK, answer=answer, answer_text=long, provider=f"{long}{n % 3}") for n in range(700)]
    columns = {"title": [long] * 700, "id": [f"{n}{long[:300]}" for n in range(700)]}
    raw = build(write_output(tmp_path / "out", results, columns), tmp_path / "w", prompt_for=lambda _: long)
    assert len(raw) < MOST_BYTES
    assert "rows of 700, drawn" in Page(raw).text


def thumbnail_loader() -> ImageLoader:
    settings = thumbnail_settings(ImageSettings(send="url"))
    return ImageLoader(
        settings, DocumentSettings(), manifest_folder=str(PICTURES), endpoint_fetches=True, clock=SystemClock()
    )


async def test_thumbnails_are_made_anew_and_small(tmp_path: Path) -> None:
    output = write_output(tmp_path / "out", [OK, OK, OK])
    values = {
        "row-000000": [PathPicture("coffee.jpg"), PathPicture("price_tag.png")],
        "row-000001": [WebPicture("https://shop.example/p.jpg"), PathPicture("../../../pyproject.toml")],
        "row-000002": [BytesPicture((PICTURES / "horse.png").read_bytes())] * 5,
    }
    async with thumbnail_loader() as loader:
        asked = Asked(pictures_for=lambda row: values[row["id"]], loader=loader)
        page = Page(await build_report(output, Storage.at(tmp_path / "w"), job_name="x", asked=asked))
    pictures = [found["src"] or "" for found in page.all("img")]
    assert len(pictures) == 5
    assert all(re.match(r"data:image/(jpeg|png|webp);base64,", picture) for picture in pictures)
    assert max(map(len, pictures)) < 60_000
    assert "https://shop.example/p.jpg" in [found["href"] for found in page.all("a")]  # not fetched: a link
    assert "leads out of images.root" in page.text
    assert "and 2 more" in page.text


async def test_pictures_kept_in_the_output_itself_are_shown(tmp_path: Path) -> None:
    """Bytes and data: URLs are left alone by the pass over all rows and read for the gallery only."""
    raw = (PICTURES / "horse.png").read_bytes()
    url = "data:image/png;base64," + base64.b64encode(raw).decode()
    kept = (pa.field("photo", pa.binary()), pa.field("links", pa.list_(pa.string())))
    columns = {"photo": [raw] * 300, "links": [[url]] * 300}
    output = write_output(tmp_path / "out", [OK] * 300, columns, kept=kept, rows_per_part=130)
    async with thumbnail_loader() as loader:
        asked = Asked(
            pictures_for=lambda row: [*loader.check(row["photo"]), *loader.check(row["links"])], loader=loader
        )
        page = Page(await build_report(output, Storage.at(tmp_path / "w"), job_name="x", asked=asked))
    cards = len([found for tag, found in page.elements if "data-groups" in found])
    assert len(page.all("img")) == 2 * cards > 20
    assert "(data: URL of" in page.text


@pytest.mark.parametrize(
    ("text", "is_link"),
    [
        ("https://shop.example/a?b=c#d", True),
        ("HTTP://shop.example", True),
        ("javascript:alert(1)", False),
        (" https://shop.example", False),
        ("https://shop.example/ x", False),
        ("https://shop.example/\u202egpj", True),
        ("data:text/html,x", False),
        ("https://", False),
    ],
)
def test_only_web_addresses_become_links(text: str, is_link: bool) -> None:
    assert (link_of(text) == text) is is_link


@pytest.mark.parametrize(
    ("cost", "said"),
    [(100, "just as the estimate"), (103, "3 % above the estimate"), (130, "outside its range"), (60, "40 % below")],
)
def test_the_estimate_is_held_to_its_word(cost: int, said: str) -> None:
    assert said in against_estimate(cost * 10**12, CostRange(100 * 10**12, 90 * 10**12, 110 * 10**12))


def test_changes_read_as_people_say_them() -> None:
    assert change(88, 100) == "12 % less than in the last run"
    assert change(100, 100) == "as in the last run"
    assert change(5, 0) == "nothing in the last run"


MEASURE = r"""
import asyncio, re, sys
from parquill.report import build_report
from parquill.storage import Storage
page = asyncio.run(build_report(Storage.at(sys.argv[1]), Storage.at(sys.argv[2]), job_name="large"))
peak = re.search(r"VmHWM:\s+(\d+) kB", open("/proc/self/status").read())[1]  # ru_maxrss would be the parent's
print(peak, len(page))
"""


def test_a_hundred_thousand_rows_take_little_memory(tmp_path: Path) -> None:
    results, columns = night(500)
    write_output(
        tmp_path / "out", results * 20, {name: values * 20 for name, values in columns.items()}, rows_per_part=10_000
    )
    part = next((tmp_path / "out").glob("*.parquet"))
    for number in range(1, 10 if is_thorough() else 3):
        shutil.copy(part, tmp_path / "out" / f"manifest.{number:06d}.parquet")
    command = [sys.executable, "-c", MEASURE, str(tmp_path / "out"), str(tmp_path / "w")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])
    kilobytes, size = map(float, done.stdout.split())
    assert kilobytes < 600_000
    assert size < MOST_BYTES
