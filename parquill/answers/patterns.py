"""Regular expressions of schemas, also those written for Python, Java or JavaScript's lenient mode.

JSON Schema takes the expressions of ECMA 262 in its strict (Unicode) mode. Others are rewritten where they have one
meaning: `\\A` and `\\Z`, `(?P<name>…)`, a hyphen beside `\\w` in a class, braces and brackets that stand for
themselves.
"""

from __future__ import annotations

import functools
import re
from typing import Any

BACKTRACKS = 10_000
"""Steps back that an expression with look-around may take for one value; beyond, the value does not fit."""

LARGEST_PATTERN = 1 << 26
"""Bytes that a compiled expression may have: `[\\p{L}\\p{N}]{0,1024}` has some 20 million."""
UNUSABLE = "cannot be used: no regular expression of ECMA 262, which JSON Schema takes, or one that repeats too much"

_PIECE = re.compile(r"\\.|\[|\]|\{\d+(?:,\d*)?\}|[{}]|\(\?P<|.", re.S)


def bounded_backtracking() -> Any:
    """Return the library's options for expressions with look-around."""
    import jsonschema_rs  # noqa: PLC0415 - as below

    return jsonschema_rs.FancyRegexOptions(backtrack_limit=BACKTRACKS, size_limit=LARGEST_PATTERN)


def is_pattern(pattern: str) -> bool:
    """Tell whether the validator takes an expression as it is."""
    import jsonschema_rs  # noqa: PLC0415 - a job of plain text starts without it

    try:
        jsonschema_rs.Draft7Validator({"pattern": pattern}, pattern_options=bounded_backtracking())
    except (ValueError, jsonschema_rs.ValidationError):
        return False
    return True


@functools.lru_cache(maxsize=4096)
def ecma_pattern(pattern: str) -> str:
    """Return an expression as ECMA 262 writes it; one that cannot be rewritten comes back as it is."""
    if is_pattern(pattern) or "&&" in pattern:  # Java's intersection of classes has no other form
        return pattern
    rewritten = _rewritten(pattern)
    return rewritten if rewritten != pattern and is_pattern(rewritten) else pattern


def _rewritten(pattern: str) -> str:
    out: list[str] = []
    pieces = _PIECE.findall(pattern)
    inside = False
    for i, piece in enumerate(pieces):
        before = out[-1] if out else ""
        if inside:
            inside = piece != "]"
            after = pieces[i + 1] if i + 1 < len(pieces) else ""
            beside_class = any(re.fullmatch(r"\\[wWdDsSpP]", near) for near in (before, after))
            out.append("\\-" if piece == "-" and beside_class else "\\[" if piece == "[" else piece)
        elif piece == "[":
            inside = True
            out.append(piece)
        elif piece in ("\\A", "\\Z", "\\z", "(?P<"):
            out.append({"\\A": "^", "(?P<": "(?<"}.get(piece, "$"))
        elif piece in ("{", "}", "]") and not (before.startswith(("\\p", "\\P")) or _is_property(out, piece)):
            out.append("\\" + piece)
        else:
            out.append(piece)
    return "".join(out)


def _is_property(out: list[str], piece: str) -> bool:
    """Tell whether a closing brace ends `\\p{…}`."""
    return piece == "}" and bool(re.search(r"\\[pPu]\{\w*\Z", "".join(out[-40:])))
