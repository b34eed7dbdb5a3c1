"""Plain text: the answer of a job without a schema.

Every language is kept as it is, character for character; only white space and control text around it go.
`output.max_chars` is a free cut, noted as `cut`: the whole text stays in `answer_text`.
"""

from __future__ import annotations

import unicodedata

from parquill.answers.control import without_control
from parquill.answers.parse import LONG, Answer, failed
from parquill.answers.repetition import repetition_in
from parquill.finish_reasons import Ending


def parse_text(text: str, ending: Ending, max_chars: int | None) -> Answer:
    """Return the text as an answer; one that was cut off, is empty or loops is a fault."""
    bare, notes = without_control(text, plain=True)
    stripped = bare.strip()
    found = repetition_in(stripped, cut_off=False) if ending is not Ending.CUT and len(stripped) >= LONG else ""
    if found:  # of the text without its marks: `failed` would look at the last of them
        return Answer(False, None, text, errors=(found,), fault="loop")
    if ending is Ending.CUT or not stripped:
        if text.strip() and not stripped and ending is not Ending.CUT:
            return Answer(False, None, text, errors=(f"no answer stands beside {_named(notes)}",), fault="empty")
        return failed(text, ending)
    if max_chars is not None and len(stripped) > max_chars:
        return Answer(True, cut(stripped, max_chars), text, repairs=(*notes, "cut"))
    return Answer(True, stripped, text, repairs=notes)


def _named(notes: tuple[str, ...]) -> str:
    return ", ".join(note.removeprefix("control:") for note in notes)


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
