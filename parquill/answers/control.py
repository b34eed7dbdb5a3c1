"""Removes control text that a server lets through: turn marks, and thoughts before the answer.

A chat template's marks (`<end_of_turn>`, `<|im_end|>`) and a thinking model's thoughts
(`<think>…</think>`, `[THINK]…[/THINK]`, a channel of analysis) are no part of an answer, but some
servers send them as text. They are taken out where they can be nothing else: thoughts at the
beginning (of JSON also behind a sentence, before the first bracket or quotation mark), marks at
both ends. In plain text what follows the mark that ends the model's turn goes too: the model spoke
on in other roles.

Each is noted as `control:<mark>` in `answer_repairs`; `answer_text` keeps the raw words.
"""

from __future__ import annotations

import re

_NAMES = r"think|thinking|thought|thoughts|reasoning"
"""How models name the marks around their thoughts."""
_THOUGHTS = re.compile(rf"\s*<({_NAMES})>(.*?)</\1>", re.S | re.I)
_UNOPENED = re.compile(r"(.*?)</(think|thinking)>", re.S | re.I)
_UNCLOSED = re.compile(
    rf"\s*(?:<(?:{_NAMES})>|\[THINK\]|(?:<\|start\|>assistant)?<\|channel\|>(?!final))",
    re.I,
)
_BRACKETED = re.compile(r"\s*(\[THINK\])(.*?)\[/THINK\]", re.S)
_CHANNEL = re.compile(
    r"\s*(?:<\|start\|>assistant)?<\|channel\|>(analysis|commentary)<\|message\|>(.*?)<\|(?:end|call)\|>", re.S
)
_SENTENCE = re.compile(rf"[^{{}}\[\]\"<]*+(?=<(?:{_NAMES})>|\[THINK\])", re.I)
_OPENING = re.compile(
    r"\s*(<bos>|<s>|<\|begin_of_text\|>|<start_of_turn>(?:model)?|<\|im_start\|>(?:assistant)?"
    r"|<\|start_header_id\|>assistant<\|end_header_id\|>|(?:<\|start\|>assistant)?<\|channel\|>final<\|message\|>|<end_of_turn>|<\|im_end\|>|<\|eot_id\|>)\n*"
)
_ENDINGS = ("<end_of_turn>", "<eos>", "<|im_end|>", "<|eot_id|>", "<|end_of_text|>", "<|endoftext|>", "<|end|>")
_TURN_ENDS = re.compile("|".join(map(re.escape, _ENDINGS)))


def without_control(text: str, *, plain: bool) -> tuple[str, tuple[str, ...]]:
    """Return a text without the control text around it, and the notes of what was taken out.

    Args:
        text: The model's words.
        plain: The text is the answer itself, in which nothing comes after the mark that ends a turn; in JSON
            such a mark may stand inside a string.
    """
    if "<" not in text and "[THINK]" not in text:
        return text, ()
    notes: list[str] = []
    sentence = None if plain else _SENTENCE.match(text)
    start = _after_openings(text, _after_thoughts(text, sentence.end() if sentence else 0, notes), notes)
    end = len(text)
    if plain and (found := _TURN_ENDS.search(text, start)):
        end = found.start()
        notes.append(found[0])
    end = _before_endings(text, start, end, notes)
    said = ("prose",) if sentence and sentence[0].strip() else ()
    return text[start:end], (*said, *dict.fromkeys(f"control:{note}" for note in notes))


def _after_thoughts(text: str, start: int, notes: list[str]) -> int:
    """Return where the text goes on after the thoughts at `start`."""
    while found := _THOUGHTS.match(text, start) or _BRACKETED.match(text, start) or _CHANNEL.match(text, start):
        start = found.end()
        notes.append(found[1] if found.re is _BRACKETED else f"<{found[1].lower()}>")
    if _UNCLOSED.match(text, start):  # only thoughts came, and they were cut
        notes.append("<think>")
        return len(text)
    # A template may open the thoughts in the prompt: the text begins inside them.
    if (found := _UNOPENED.match(text, start)) and f"<{found[2]}" not in found[1]:
        start = found.end()
        notes.append(f"</{found[2].lower()}>")
    return start


def _after_openings(text: str, start: int, notes: list[str]) -> int:
    """Return where the text goes on after the marks that open a turn; `<s>` of a pair with text after it stays."""
    pair = text.rfind("</s>")
    if pair >= 0 and not text[pair + 4 :].strip():
        pair = text.rfind("</s>", 0, pair)
    while (found := _OPENING.match(text, start)) and not (found[1] == "<s>" and pair >= found.end(1)):
        start = found.end()
        notes.append(found[1])
    return start


def _before_endings(text: str, start: int, end: int, notes: list[str]) -> int:
    """Return where the text ends before the marks that end a turn; `</s>` of a pair stays."""
    opened = text.find("<s>", start, end)
    at = _before_blanks(text, start, end)
    while mark := next((one for one in (*_ENDINGS, "</s>") if text.endswith(one, start, at)), None):
        if mark == "</s>" and 0 <= opened < at:
            break
        notes.append(mark)
        end = at = _before_blanks(text, start, at - len(mark))
    return end


def _before_blanks(text: str, start: int, end: int) -> int:
    while end > start and text[end - 1].isspace():
        end -= 1
    return end
