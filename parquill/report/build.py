"""Builds the page from an output: read, select, draw, fill the template, keep it small.

The page carries its style and its script with it and may load nothing: its content security policy
allows these two by their hashes, and pictures as data: URLs. Every text goes through the template's
escaping; what is marked safe is made in this package from elements (`charts.py`) or ships with it.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from parquill.images import ImageLoader
from parquill.report import chart_data
from parquill.report.collect import collect
from parquill.report.details import facts
from parquill.report.failures import failures
from parquill.report.figures import Collected
from parquill.report.full_cells import whole_cells
from parquill.report.gallery import PromptFor, cards, filters
from parquill.report.headline import headline, tiles
from parquill.report.row_table import table
from parquill.report.runs import Nights, read_nights
from parquill.report.thumbnails import PicturesFor, Thumbnail, make_thumbnails
from parquill.storage import Storage
from parquill.text import count, counted
from parquill.threads import in_thread

MOST_BYTES = 5_000_000

_PICTURE_BYTES = 2_200_000
_TABLE_ROWS = (2_000, 500, 100, 0)
"""Rows of the table: fewer are tried where long texts make the page too large."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the output does not hold and the job knows: prompts, pictures, and how to open these."""

    prompt_for: PromptFor | None = None
    pictures_for: PicturesFor | None = None
    loader: ImageLoader | None = None
    """Opens pictures; made with `thumbnail_settings`. Without it there are links and names only."""
    fetch: bool = False
    """Whether pictures that are only http(s) addresses may be fetched: the job's `report.fetch`."""


async def build_report(
    output: Storage, workspace: Storage, *, job_name: str, run_id: str | None = None, asked: Asked | None = None
) -> bytes:
    """Return the report on an output as one HTML file of less than `MOST_BYTES`.

    `run_id` names the run in the headline; without it that is the newest on record. Raises
    `OutputError` where there is no output, or where a part is damaged.
    """
    asked = asked or Asked()
    collected = await in_thread(collect, output)
    nights = await in_thread(read_nights, workspace, run_id)
    thumbnails = await _thumbnails(output, collected, asked)
    return await in_thread(_page, job_name, collected, nights, thumbnails, asked.prompt_for)


async def _thumbnails(output: Storage, collected: Collected, asked: Asked) -> Mapping[int, tuple[Thumbnail, ...]]:
    if asked.pictures_for is None:
        return {}
    rows = [card.row for card in collected.samples.cards()]
    whole = await in_thread(whole_cells, output, rows, collected.bulky_columns)
    values = {row.number: {**row.values, **whole.get(row.number, {})} for row in rows}
    return await make_thumbnails(values, asked.pictures_for, asked.loader, fetch=asked.fetch, most_bytes=_PICTURE_BYTES)


def _page(
    job_name: str,
    collected: Collected,
    nights: Nights,
    thumbnails: Mapping[int, tuple[Thumbnail, ...]],
    prompt_for: PromptFor | None,
) -> bytes:
    context = _context(job_name, collected, nights, thumbnails, prompt_for)
    rows = collected.samples.table_rows()
    page = b""
    for most in _TABLE_ROWS:
        page = _render({**context, "table": table(collected, _spread_over(rows, most))})
        if len(page) < MOST_BYTES:
            return page
    return _render({**context, "table": table(collected, []), "cards": []})


def _spread_over(rows: Sequence[Any], most: int) -> Sequence[Any]:
    every = -(-len(rows) // most) if most else len(rows) + 1
    return rows[::every] if len(rows) > most else rows


def _context(
    job_name: str,
    collected: Collected,
    nights: Nights,
    thumbnails: Mapping[int, tuple[Thumbnail, ...]],
    prompt_for: PromptFor | None,
) -> dict[str, Any]:
    figures = collected.figures
    shown = cards(collected.samples.cards(), collected, thumbnails, prompt_for)
    return {
        "job_name": job_name,
        "run": nights.current.summary if nights.current else None,
        "headline": headline(figures, nights),
        "tiles": tiles(figures, nights),
        "cards": shown,
        "filters": filters(shown),
        "failures": failures(collected, nights.current.summary.left_by_kind if nights.current else {}),
        "run_charts": chart_data.run_charts(figures, nights),
        "row_charts": chart_data.row_charts(figures),
        "limits": chart_data.limit_bars(nights),
        "fields": chart_data.fields(figures),
        "facts": facts(figures, nights),
    }


def _render(context: Mapping[str, Any]) -> bytes:
    """Fill the template; half a surrogate pair in a text becomes a question mark."""
    page = resources.files("parquill.report") / "page"
    style, script = ((page / name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("parquill.report", "page"),
        autoescape=True,
        finalize=legible,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(count=count, counted=counted)
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; img-src data:; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'"
    )
    text = environment.get_template("report.html.jinja").render(
        **context,
        policy=policy,
        style=Markup(style),  # noqa: S704 - our own file
        script=Markup(script),  # noqa: S704 - our own file
    )
    return text.encode("utf-8", "replace")


_ILLEGIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202d\u202e]")


def legible(value: Any) -> Any:
    """Return what is about to be escaped without what hides or turns text round: control characters, overrides."""
    return _ILLEGIBLE.sub("\ufffd", value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
