"""Values written as Python or JavaScript writes them, read exactly: nothing is evaluated.

`{'sensitive': True, 'date': None}` and `{name: 'x', sensitive: true}` are no JSON but have one
meaning, which Python's own parser finds. Refused: anything that is no plain value, a key that
stands twice, escapes that JSON does not know, comments, and two strings side by side, which
Python joins and which here are a forgotten comma.
"""

from __future__ import annotations

import ast
import math
import re
from typing import Any

MAX_CHARS = 40_000
"""Longer texts are refused: Python's parser takes memory and stack for what it reads."""

_ODD_ESCAPE = re.compile(r"(?<!\\)(?:\\\\)*\\(?![\"'\\nrtbfu])")
_STRING = re.compile(r"\"(?:[^\"\\\n]|\\.)*+\"?|'(?:[^'\\\n]|\\.)*+'?", re.S)
_DOUBTFUL = re.compile(r"\0\s*\0|\w\0|[#\\]")
_ROUNDED = re.compile(r"(?<![\d._])(?=[\d_]*+\.)[\d._]{16}|\d[._]*+[eE]")
"""Fractions of which Python's parser could lose digits, and numbers with an exponent."""
_WORDS = {"true": True, "false": False, "null": None, "undefined": None}


def parse_expression(source: str) -> ast.expr:
    """Return the syntax tree of one expression; raises `ValueError` for any other text."""
    if len(source) > MAX_CHARS or _ODD_ESCAPE.search(source):
        raise ValueError("too long, or with an escape that JSON does not know")
    bare = _STRING.sub("\0", source)
    if _DOUBTFUL.search(bare):
        raise ValueError("strings side by side or with a prefix, or a comment, which may be text")
    if _ROUNDED.search(bare):
        raise ValueError("a number that would be rounded")
    try:
        return ast.parse(source, mode="eval").body
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(f"not one expression: {error}") from None


def literal(node: ast.expr) -> Any:
    """Return the plain JSON value that a syntax tree writes; raises `ValueError` for any other."""
    match node:
        case ast.Constant(value=str() | bool() | int() | None as value):
            return value
        case ast.Constant(value=float() as value) if math.isfinite(value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)) if math.isfinite(value):
            return -value
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [literal(item) for item in items]
        case ast.Dict(keys=keys, values=values):
            return _members([_key(key) for key in keys], [literal(value) for value in values])
        case ast.Name(id=("true" | "false" | "null" | "undefined") as name):
            return _WORDS[name]
    raise ValueError("not a plain value")


def _key(node: ast.expr | None) -> str:
    match node:
        case ast.Constant(value=str() as name):
            return name
        case ast.Name(id=name):
            return name
    raise ValueError("a key that is no name")


def _members(keys: list[str], values: list[Any]) -> dict[str, Any]:
    if len(set(keys)) < len(keys):
        raise ValueError("a key stands twice")
    return dict(zip(keys, values, strict=True))
