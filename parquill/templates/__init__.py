"""Templates of the user's text: Jinja2, sandboxed, over a row's columns.

`printable_values.py`   what a template may print, and what stands for everything else.
`joined.py`   templates of text and columns alone, joined without Jinja.
`bounds.py`   how much a template may do for one row.
`sandbox.py`  all others: the only module that imports jinja2 here, loaded where one is used.

What holds: a text is made of texts, numbers, dates, and lists and mappings of these. A null, a method,
a generator or any other object of Python has no text, whichever way it goes (a filter, `~`, a
list, JSON): using it as one is that row's fault.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from parquill.templates.joined import Joined
from parquill.templates.printable_values import PLAIN_KINDS, InsideError, for_template

__all__ = ["PLAIN_KINDS", "InsideError", "Joined", "for_template"]


class Template(Protocol):
    """A compiled template."""

    @property
    def names(self) -> Sequence[str]:
        """The names that it takes from the row, sorted."""

    def render(self, values: Mapping[str, Any]) -> str:
        """Return the text; `values` come from `for_template`. Raises `RowError`, `InsideError` and what Jinja does."""


def compile_template(source: str) -> Template:
    """Compile a template; raises `JobError` for one that is not valid."""
    joined = Joined.of(source)
    if joined is not None:
        return joined
    from parquill.templates.sandbox import JinjaTemplate  # noqa: PLC0415 - most jobs start without it

    return JinjaTemplate(source)
