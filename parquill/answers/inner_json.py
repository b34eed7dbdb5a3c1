"""Reads JSON text that stands as a string inside an answer, where an object or a list is expected."""

from __future__ import annotations

from typing import Any

from parquill.answers.python_literals import literal, parse_expression
from parquill.answers.strict_json import RELAXED, RepeatedKeyError


def inner_json(text: str) -> Any:
    """Return the object or list that a whole text writes, in JSON's or Python's form; None for any other text."""
    text = text.strip()
    if text[:1] not in ("{", "[") or text[-1:] not in ("}", "]"):
        return None
    try:
        return RELAXED.decode(text)
    except RepeatedKeyError:
        return None
    except (ValueError, RecursionError):
        pass
    try:
        return literal(parse_expression(text))
    except (ValueError, RecursionError):
        return None
