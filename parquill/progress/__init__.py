"""Showing people how a run goes: while it runs, and when it has ended.

    rates.py    rows and tokens a second over the last ten seconds
    view.py     RunState -> what is drawn: three widths, or one line, or one JSON object
    show.py     when it is drawn: the styles, their pace, and log lines beside them
    closing.py  the table that closes a run

The view asks (`state()`), it is never told: a run does not know whether anyone looks. Everything
goes to the console it is given, which is standard error; standard output belongs to `--json`. A
display that fails or cannot be written to is given up or skipped, and never holds up the run.
"""

from parquill.progress.closing import figures_grid, render_summary, rows_against_estimate
from parquill.progress.rates import RateWindow
from parquill.progress.show import Style, choose_style, show
from parquill.progress.view import line
from parquill.text import printable

__all__ = [
    "RateWindow",
    "Style",
    "choose_style",
    "figures_grid",
    "line",
    "printable",
    "render_summary",
    "rows_against_estimate",
    "show",
]
