"""Control text that a server lets through: turn marks, and thoughts before the answer.

A chat template's marks (`<end_of_turn>`, `<|im_end|>`) and a thinking model's thoughts
(`<think>…</think>`) are no part of an answer, but some servers send them as text. They are taken
out where they can be nothing else: thoughts at the beginning, marks at both ends. In plain text
what follows the mark that ends the model's turn goes too: the model spoke on in other roles.

Each is noted as `control:<mark>` in `answer_repairs`; `answer_text` keeps the raw words.
"""

from __future__ import annotations

import re

_THOUGHTS = re.compile(r"\s*<(think|thinking|thought|thoughts|reasoning)>(.*?)</\1>", re.S | re.I)
_UNOPENED = re.compile(r"(.*?)</(think|thinking)>", re.S | re.I)
_UNCLOSED = re.compile(r"\s*<(think|thinking)>", re.I)
_OPENING = re.compile(
    r"\s*(<bos>|<s>(?!.*</s>\s*\S)|<\|begin_of_text\|>|<start_of_turn>(?:model)?|<\|im_start\|>(?:assistant)?"
    r"|<\|start_header_id\|>assistant<\|end_header_id\|>|<end_of_turn>|<\|im_end\|>|<\|eot_id\|>)",
    re.S,
)
_ENDING = "<end_of_turn>|<eos>|<\\|im_end\\|>|<\\|eot_id\\|>|<\\|end_of_text\\|>|<\\|endoftext\\|>|<\\|end\\|>"
_TURN_ENDS = re.compile(_ENDING)
_AT_THE_END = re.compile(rf"\s*({_ENDING}|</s>)\s*$")


def without_control(text: str, *, plain: bool) -> tuple[str, tuple[str, ...]]:
    """Return a text without the control text around it, and the notes of what was taken out.

    Args:
        text: The model's words.
        plain: The text is the answer itself, in which nothing comes after the mark that ends a turn; in JSON
            such a mark may stand inside a string.
    """
    if "<" not in text:
        return text, ()
    notes: list[str] = []
    text = _without_thoughts(text, notes)
    while found := _OPENING.match(text):
        text = text[found.end() :].lstrip("\n")
        notes.append(found[1])
    if plain and (end := _TURN_ENDS.search(text)):
        text = text[: end.start()]
        notes.append(end[0])
    while found := _AT_THE_END.search(text):
        if found[1] == "</s>" and "<s>" in text:
            break
        text = text[: found.start()]
        notes.append(found[1])
    return text, tuple(dict.fromkeys(f"control:{note}" for note in notes))


def _without_thoughts(text: str, notes: list[str]) -> str:
    while found := _THOUGHTS.match(text):
        text = text[found.end() :]
        notes.append(f"<{found[1].lower()}>")
    if _UNCLOSED.match(text):  # only thoughts came, and they were cut
        notes.append("<think>")
        return ""
    # A template may open the thoughts in the prompt: the text begins inside them.
    if (found := _UNOPENED.match(text)) and f"<{found[2]}" not in found[1]:
        text = text[found.end() :]
        notes.append(f"</{found[2].lower()}>")
    return text
