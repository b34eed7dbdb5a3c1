"""The table of an estimate: rows, tokens, cost with its interval, time.

`sections` is what it says, as plain texts; a terminal and a flow's artifact each lay it out in their way.
"""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from parquill import hints
from parquill.estimation.estimate import Estimate
from parquill.estimation.sample_size import NARROW
from parquill.money import dollars
from parquill.progress import figures_grid
from parquill.text import count, counted, duration, percent, printable

_MOST_GROUPS = 20

Line = tuple[str, str, str]
"""What is told, its figure, and a remark."""


@dataclass(frozen=True, slots=True)
class Section:
    """Lines that belong together; every text is fit for a terminal."""

    title: str
    lines: list[Line]


def sections(estimate: Estimate) -> list[Section]:
    """Return what an estimate says: the figures, then what was asked for besides."""
    found = [Section("", _figures(estimate))]
    if estimate.failing_by_kind:
        found.append(Section("certain to fail", _failing(estimate)))
    if estimate.groups:
        found.append(Section(f"by {printable(estimate.by or '')}", _groups(estimate)))
    if estimate.comparison:
        title = "the same tokens at other prices (other models count 10 to 30 % otherwise)"
        found.append(Section(title, _comparison(estimate)))
    return found


def render_estimate(estimate: Estimate, console: Console) -> None:
    """Print the estimate; every text of foreign origin is made harmless first."""
    blocks: list[RenderableType] = [_headline(estimate)]
    blocks += [_laid_out(section) for section in sections(estimate)]
    blocks.append(_closing(estimate))
    console.print(Padding(Group(*(Padding(block, (0, 0, 1, 0)) for block in blocks)), (1, 1, 0, 1)))


def _headline(estimate: Estimate) -> Text:
    rows, cost = estimate.rows, estimate.cost
    if not rows.todo:
        word, style = "nothing to send: $0.00", "green"
    elif cost is None:
        word, style = f"{counted(rows.todo, 'row')} to send, at an UNKNOWN PRICE", "yellow"
    else:
        word, style = f"{counted(rows.todo, 'row')} to send, about {dollars(cost.expected_pico)}", "green"
    return Text.assemble(
        (printable(estimate.job), "bold"), "  ", (word, style), (f"  {printable(estimate.model)}", "dim")
    )


def _figures(estimate: Estimate) -> list[Line]:
    rows, tokens = estimate.rows, estimate.tokens
    lines: list[Line] = [
        ("to send", count(rows.todo), ""),
        ("kept", count(rows.kept), "answered before"),
        ("equal", count(rows.equal), "answered by another row or output, without a request"),
        ("failing", count(rows.failing), "certain to fail, or failed before and not asked again: free"),
    ]
    lines = [line for line in lines if line[1] != "0" or line[0] == "to send"]
    if (replaced := estimate.replaced) is not None:
        lines.append(("no longer match", count(replaced.answers), f"answers in the table: {replaced.why}"))
    if rows.todo:
        lines += [
            ("tokens in", count(tokens.prompt), _prompts(estimate)),
            ("tokens out", count(tokens.completion), _answers(estimate)),
            *_costs(estimate),
            ("time", *_time(estimate)),
        ]
    return [*lines, ("price", "", printable(estimate.price_line))]


def _prompts(estimate: Estimate) -> str:
    told = f"{counted(estimate.images, 'picture')}; " if estimate.images else ""
    records = estimate.usage_records
    return told + (f"checked by {counted(records, 'usage record')}" if records else "no usage records yet")


def _answers(estimate: Estimate) -> str:
    sources = {
        "answers": "as the answers so far",
        "schema": "a guess from the schema: --calibrate 50 makes it a measurement",
        "limit": "a guess from max_tokens: --calibrate 50 makes it a measurement",
    }
    return f"{estimate.answer_tokens:.0f} a row, {sources[estimate.answer_source]}"


def _costs(estimate: Estimate) -> list[Line]:
    if (cost := estimate.cost) is None:
        return [("cost", "unknown", "no price is known")]
    share = f", give or take {percent(cost.half)}" if cost.expected_pico else ""
    if (more := estimate.narrowing) is not None:
        share += f"; --calibrate {more} would bring it under {percent(NARROW)}"
    return [
        ("cost", dollars(cost.expected_pico), f"expected{_beyond(estimate.surplus - 1)}"),
        ("", f"{dollars(cost.low_pico)} to {dollars(cost.high_pico)}", f"in 95 of 100 cases{share}"),
        ("", dollars(cost.worst_pico), "at worst: the longest answers and prompts, each row sent once"),
    ]


def _beyond(share: float) -> str:
    """What rows cost besides one answer each, where usage records show it."""
    if abs(share) < 0.005:
        return ""
    more = "more" if share > 0 else "less"
    return f"; {percent(abs(share))} {more} than one answer a row: second tries, lost replies, discounts, as so far"


def _time(estimate: Estimate) -> tuple[str, str]:
    if estimate.seconds is None:
        return "unknown", estimate.pace
    ends = f"; started now, done {estimate.ends_at:%a %H:%M}" if estimate.ends_at else ""
    return duration(estimate.seconds), f"{estimate.pace}{ends}"


def _failing(estimate: Estimate) -> list[Line]:
    by_number = sorted(estimate.failing_by_kind.items(), key=lambda item: -item[1])
    return [(printable(kind), count(number), hints.what_to_do(kind)) for kind, number in by_number]


def _groups(estimate: Estimate) -> list[Line]:
    lines = []
    for one in estimate.groups[:_MOST_GROUPS]:
        cost = "unknown" if one.expected_pico is None else dollars(one.expected_pico)
        lines.append((printable(one.value, 60), cost, counted(one.rows, "row")))
    if len(estimate.groups) > _MOST_GROUPS:
        lines.append(("…", "", f"{count(len(estimate.groups) - _MOST_GROUPS)} more, in --json"))
    return lines


def _comparison(estimate: Estimate) -> list[Line]:
    return [
        (printable(row.model, 60), dollars(row.cost_pico), f"price of {row.as_of}" if row.as_of else "")
        for row in estimate.comparison
    ]


def _laid_out(section: Section) -> Table:
    body = figures_grid(section.lines)
    if not section.title:
        return body
    grid = Table.grid()
    grid.add_row(Text(section.title, "bold"))
    grid.add_row(body)
    return grid


def _closing(estimate: Estimate) -> Text:
    lines = [printable(notice, most=600) for notice in estimate.notices]
    if (sent := estimate.calibration) is not None:
        lines.insert(0, f"Calibrated with {counted(sent.rows, 'row')} for {dollars(sent.cost_pico)}; they are kept.")
    else:
        lines.append("Nothing was sent.")
    return Text("\n".join(lines))
