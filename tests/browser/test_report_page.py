"""The report in a real browser: opened from disk in silence, used by mouse and keyboard, deaf to hostile texts."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.browser.sample import sample_report
from tests.injections import INJECTIONS
from tests.outputs import failed, night, record, write_output
from tests.page import build
from tests.test_report_hostile import hostile_page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

SAMPLES = Path(__file__).parents[2] / "data" / "samples"
WIDTHS = (390, 1280, 1920)


def write_reports(folder: Path) -> dict[str, Path]:
    results, columns = night(3_000)
    broken = [failed("timeout", "no reply within 60 s", attempts=6)] * 40
    made = {
        "sample": sample_report(folder / "sample"),
        "large": build(write_output(folder / "large", results, columns), folder / "large.parquill", record(results)),
        "failures": build(write_output(folder / "failures", broken), folder / "failures.parquill", record(broken)),
        "hostile": hostile_page(folder / "hostile", INJECTIONS),
    }
    for name, raw in made.items():
        (folder / f"{name}.html").write_bytes(raw)
    return {name: folder / f"{name}.html" for name in made}


@pytest.fixture(scope="module")
def pages(browser: object, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Reports to open; written in a thread, because the browser's driver has an event loop in this one."""
    assert browser
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(write_reports, tmp_path_factory.mktemp("reports")).result()


Open = Callable[..., Any]
ALL = ("sample", "large", "failures", "hostile")


@pytest.mark.parametrize("name", ALL)
def test_it_opens_without_a_complaint_and_asks_for_nothing(visit: Open, pages: dict[str, Path], name: str) -> None:
    seen = visit(pages[name])
    seen.page.mouse.wheel(0, 100_000)
    assert seen.complaints == []
    assert [url for url in seen.requests if not url.startswith("data:")] == [pages[name].as_uri()]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ALL)
def test_it_fits_the_window_and_every_picture_is_whole(
    visit: Open, pages: dict[str, Path], tmp_path: Path, name: str, width: int
) -> None:
    for scheme in ("light", "dark"):
        page = visit(pages[name], viewport={"width": width, "height": 900}, color_scheme=scheme).page
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
        shot = page.screenshot(path=tmp_path / f"{name}-{width}-{scheme}.png", full_page=True)
        assert len(shot) > 20_000


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["sample", "failures", "hostile"])
def test_axe_finds_no_serious_fault(visit: Open, pages: dict[str, Path], name: str, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.base", reason="axe is not installed (make test-browser)")
    page = visit(pages[name], color_scheme=scheme).page
    page.evaluate(axe.AXE_FILE_PATH.read_text(encoding="utf-8"))  # not a script element: the policy would refuse it
    found = page.evaluate("axe.run()")["violations"]
    assert [
        (fault["id"], fault["nodes"][0]["html"][:200]) for fault in found if fault["impact"] in ("serious", "critical")
    ] == []


def test_the_gallery_is_filtered_by_mouse_and_by_keyboard(visit: Open, pages: dict[str, Path]) -> None:
    page = visit(pages["sample"]).page
    shown = page.locator(".card:visible")
    everything = shown.count()
    page.get_by_role("button", name="most expensive").click()
    assert shown.count() == 4
    page.get_by_role("button", name="most repaired").focus()
    page.keyboard.press("Enter")
    assert 0 < shown.count() <= 4
    assert page.get_by_role("button", name="most repaired").get_attribute("aria-pressed") == "true"
    assert page.locator("#cards-shown").inner_text().endswith("shown")
    page.keyboard.press("Shift+Tab")
    page.get_by_role("button", name="all").press("Space")
    assert shown.count() == everything


def test_the_table_searches_filters_and_turns_pages(visit: Open, pages: dict[str, Path]) -> None:
    page = visit(pages["large"]).page
    rows, told = page.locator("#table tbody tr:visible"), page.locator("#rows-shown")
    assert rows.count() == 25
    assert told.inner_text() == "1 to 25 of 2,000 rows"
    page.get_by_role("button", name="Next").click()
    assert told.inner_text() == "26 to 50 of 2,000 rows"
    page.get_by_label("Search").fill("kettle german")
    assert all("kettle" in text.lower() and "German" in text for text in rows.all_inner_texts())
    page.get_by_label("Search").fill("no such words anywhere")
    assert told.inner_text() == "No row fits"
    page.get_by_label("Search").fill("")
    page.get_by_label("Status").select_option("timeout")
    assert {text.split("\t")[3].strip() for text in rows.all_inner_texts()} == {"timeout"}


def test_the_table_sorts_by_keyboard_numbers_as_numbers(visit: Open, pages: dict[str, Path]) -> None:
    page = visit(pages["large"]).page
    head = page.locator("#table th", has_text="seconds")
    seconds = page.locator("#table tbody tr:visible td:nth-child(9)")
    head.locator("button").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    shown = [float(text) for text in seconds.all_inner_texts()]
    assert shown == sorted(shown, reverse=True)
    assert shown[0] > 2.5


def test_light_and_dark_follow_the_system_and_the_button(visit: Open, pages: dict[str, Path]) -> None:
    page = visit(pages["sample"], color_scheme="dark").page
    paper = lambda: page.evaluate("getComputedStyle(document.body).backgroundColor")  # noqa: E731 - asked four times
    dark = paper()
    page.get_by_role("button", name="Light").click()
    light = paper()
    assert light != dark
    page.get_by_role("button", name="Dark").press("Enter")
    assert paper() == dark
    assert (
        visit(pages["sample"], color_scheme="light").page.evaluate("getComputedStyle(document.body).backgroundColor")
        == light
    )


def test_the_keyboard_reaches_the_content_first_and_everything_after(visit: Open, pages: dict[str, Path]) -> None:
    page = visit(pages["sample"]).page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    reached = set()
    for _ in range(400):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.closest('section')?.getAttribute('aria-labelledby') ?? ''"))
    assert {"gallery", "failures", "figures", "answers", "rows", "facts"} <= reached


def test_it_can_be_read_without_scripts(visit: Open, pages: dict[str, Path]) -> None:
    page = visit(pages["large"], java_script_enabled=False).page
    assert page.locator("#table tbody tr:visible").count() == 2_000
    assert page.locator("#search").is_hidden()
    assert page.locator("#theme").is_hidden()


def test_it_prints_without_controls(visit: Open, pages: dict[str, Path], tmp_path: Path) -> None:
    page = visit(pages["sample"], color_scheme="dark").page
    page.emulate_media(media="print")
    assert page.locator("nav").is_hidden()
    assert page.locator("#search").is_hidden()
    assert page.locator(".card").first.is_visible()
    page.pdf(path=tmp_path / "report.pdf", format="A4", print_background=True)
    assert (tmp_path / "report.pdf").stat().st_size > 50_000


def test_forty_hostile_texts_do_nothing(visit: Open, pages: dict[str, Path]) -> None:
    seen = visit(pages["hostile"])
    page = seen.page
    for details in page.locator("details").all():
        details.evaluate("element => { element.open = true }")
    touch = "for (const one of document.querySelectorAll('*')) for (const kind of ['mouseover', 'focus', 'click'])"
    page.evaluate(f"{touch} if (!one.closest('a, form, .top')) one.dispatchEvent(new Event(kind))")
    page.get_by_label("Search").fill("<script>")
    page.get_by_role("button", name="all").first.click()
    assert page.evaluate("window.pwned") is None
    assert page.url == pages["hostile"].as_uri()
    assert seen.complaints == []
    assert [url for url in seen.requests if not url.startswith("data:")] == [pages["hostile"].as_uri()]


def test_a_policy_stands_behind_the_escaping(visit: Open, pages: dict[str, Path], tmp_path: Path) -> None:
    """Were a text ever to become markup, the page would still run and load nothing."""
    evil = "<script>window.pwned=1</script><img src=x onerror=window.pwned=2><img src=https://evil.example/p.png>"
    broken = tmp_path / "broken.html"
    broken.write_text(pages["sample"].read_text(encoding="utf-8").replace("<main", f"{evil}<main", 1), encoding="utf-8")
    seen = visit(broken)
    assert seen.page.evaluate("window.pwned") is None
    assert any("Content Security Policy" in complaint for complaint in seen.complaints)
    assert set(seen.requests) - set(seen.refused) == {broken.as_uri()} | {
        it for it in seen.requests if it[:5] == "data:"
    }


def test_directions_do_not_leak_into_what_follows(visit: Open, pages: dict[str, Path]) -> None:
    """An isolate without an end in one text must not turn the words beside it."""
    page = visit(pages["hostile"]).page
    marked = page.locator("#table td > span", has_text="isolated without an end").first
    assert marked.evaluate("element => getComputedStyle(element).unicodeBidi") in ("isolate", "plaintext")


@pytest.mark.parametrize("name", ["large", "hostile"])
def test_a_saved_table_holds_no_formula(visit: Open, pages: dict[str, Path], name: str) -> None:
    page = visit(pages[name]).page
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as CSV").click()
    text = Path(saved.value.path()).read_text(encoding="utf-8-sig")
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert len(rows) == page.locator("#table tbody tr").count() + 1
    assert len({len(row) for row in rows}) == 1
    cells = [cell for row in rows for cell in row]
    assert not [cell for cell in cells if cell.lstrip()[:1] in tuple("=+-@|%＝＋－＠") and cell.strip()]
    if name == "hostile":
        assert any(cell.startswith("'=HYPERLINK") for cell in cells)
