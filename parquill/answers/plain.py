"""Plain text: the answer of a job without a schema.

Every language is kept as it is, character for character; only white space around the text goes.
`output.max_chars` is a free cut, noted as `cut`: the whole text stays in `answer_text`.
"""

from __future__ import annotations

import unicodedata

from parquill.answers.loops import loop_in
from parquill.answers.parse import CUT_OFF, LONG, Answer, failed


def parse_text(text: str, finish_reason: str | None, max_chars: int | None) -> Answer:
    """Return the text as an answer; one that was cut off, is empty or loops is a fault."""
    stripped = text.strip()
    if finish_reason == CUT_OFF or not stripped or (len(stripped) >= LONG and loop_in(stripped, cut_off=False)):
        return failed(text, finish_reason)
    if max_chars is not None and len(stripped) > max_chars:
        return Answer(True, cut(stripped, max_chars), text, repairs=("cut",))
    return Answer(True, stripped, text)


def cut(text: str, limit: int) -> str:
    """Return at most `limit` characters, ending between words if one ends near, never inside an emoji or a letter."""
    near = limit - limit // 5
    end = max(text.rfind(" ", near, limit + 1), text.rfind("\n", near, limit + 1))
    if end < 0:
        end = limit
        while end > 0 and _belong_together(text[end - 1], text[end]):
            end -= 1
    return text[:end].rstrip() or text[:limit]


def _belong_together(left: str, right: str) -> bool:
    """Tell whether a cut between two characters would split what is seen as one."""
    joiner = "\u200d"
    if joiner in (left, right) or unicodedata.category(right).startswith("M"):
        return True
    if "\U0001f3fb" <= right <= "\U0001f3ff":
        return True
    return all("\U0001f1e6" <= char <= "\U0001f1ff" for char in (left, right))
