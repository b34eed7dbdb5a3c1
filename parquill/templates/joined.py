"""Templates of nothing but text and columns, joined as Jinja would."""

from __future__ import annotations

import itertools
import keyword
import re
from collections.abc import Mapping, Sequence
from typing import Any

_PIECE = re.compile(r"((?:[^{]+|\{(?![{%#]))+)|\{\{\s*([A-Za-z_]\w*)\s*\}\}", re.ASCII)
_LINE_BREAK = re.compile(r"\r\n?")
_JINJAS = frozenset(["true", "false", "none", "self", "super", "loop", "caller", "varargs", "kwargs"])
"""Names that mean something to Jinja; so do Python's keywords."""


class Joined:
    """A template like `Describe {{ title }}.`, for a third of what Jinja takes."""

    def __init__(self, pieces: Sequence[tuple[str, str]]) -> None:
        """`pieces`: a text or the name of a column each, the other empty."""
        self._pieces = pieces
        self.names: Sequence[str] = sorted({name for _, name in pieces if name})

    @staticmethod
    def of(source: str) -> Joined | None:
        """Return the template as pieces; None where it has, or may have, anything else in it."""
        pieces: list[tuple[str, str]] = []
        at = 0
        while at < len(source):
            found = _PIECE.match(source, at)
            if found is None or keyword.iskeyword(found[2] or "") or found[2] in _JINJAS:
                return None
            pieces.append((_LINE_BREAK.sub("\n", found[1] or ""), found[2] or ""))
            at = found.end()
        return Joined(pieces)

    def render(self, values: Mapping[str, Any]) -> str:
        """Return the text of one row."""
        return "".join([str(values[name]) if name else text for text, name in self._pieces])

    def render_all(self, columns: Mapping[str, Sequence[Any]], count: int) -> list[str]:
        """Return the texts of `count` rows whose values are all of `PLAIN_KINDS`."""
        pieces = [map(str, columns[name]) if name else itertools.repeat(text, count) for text, name in self._pieces]
        return list(map("".join, zip(*pieces, strict=True))) if pieces else [""] * count
