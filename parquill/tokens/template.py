r"""Gemma 3's chat template as arithmetic.

Rendered, a chat is (source: `chat_template` in the tokenizer's configuration):

    <bos>{<start_of_turn>role\n … <end_of_turn>\n} … <start_of_turn>model\n

The system text and two newlines stand before the first user turn's content; the text parts of a
turn are trimmed and joined by nothing. So a chat has 1 + 5 a turn + 3 tokens, and its texts' own.
Runs of newlines are tokens of their own, cut out before any merging, so the texts on both sides of
one are counted apart: the sum is exact.

Pictures, by server (`ImageCost`): Hugging Face's processor and vLLM put `\n\n<start_of_image>`, 256
soft tokens and `<end_of_image>\n\n`: 260, of which a newline run fuses with the role's newline, the
system text's two, or a neighbouring picture's. llama.cpp puts 258, without newlines. Ollama inserts
its 260 after tokenizing, so that nothing fuses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from parquill.chat import ImagePart, Turn

FIXED_TOKENS = 4
"""`<bos>`, and `<start_of_turn>`, `model`, newline at the end."""

TURN_TOKENS = 5
"""`<start_of_turn>`, role, newline, `<end_of_turn>`, newline."""

IMAGE_UPPER = 286
"""Upper bound of one picture's tokens: 260 and 10 %."""

LONGEST_RUN = 31
"""Newlines in the longest token that is only newlines."""


class ImageCost(StrEnum):
    """How a server counts a picture."""

    FUSED = "fused"
    """Hugging Face's processor and vLLM: 260, less one for each newline run that fuses."""
    LLAMA_CPP = "llama.cpp"
    """258: no newlines around a picture."""
    FLAT = "flat"
    """Ollama: always 260."""

    @property
    def tokens(self) -> int:
        """Tokens of one picture, before newlines fuse."""
        return 258 if self is ImageCost.LLAMA_CPP else 260


@dataclass(frozen=True, slots=True)
class Content:
    """One turn's content: its texts as the template trims them, its pictures, its fused runs."""

    texts: tuple[str, ...]
    images: int
    fused: int


@dataclass(frozen=True, slots=True)
class Opening:
    """All turns before the last: template tokens, content, and the newlines the last turn meets."""

    tokens: int
    content: Content
    newlines: int


def lay_content(parts: Sequence[str | ImagePart], newlines: int = 1) -> Content:
    """Lay out one turn's parts; `newlines` is the length of the newline run they follow.

    Neighbouring text parts are joined by a newline, as `chat.turn_content` does on the wire.
    """
    if len(parts) == 1 and isinstance(parts[0], str):
        text = parts[0].strip()
        return Content((text,) if text else (), 0, 0)
    texts: list[str] = []
    pending: list[str] = []
    images = fused = 0
    for part in parts:
        if isinstance(part, str):
            pending.append(part)
            continue
        if text := "\n".join(pending).strip():
            texts.append(text)
            newlines = 0
        pending.clear()
        fused += _runs(newlines) + 1 - _runs(newlines + 2)
        images, newlines = images + 1, 2
    if text := "\n".join(pending).strip():
        texts.append(text)
    return Content(tuple(texts), images, fused)


def lay_opening(turns: Sequence[Turn]) -> Opening:
    """Lay out the turns before the last one: the system text and few-shot turns."""
    tokens, newlines = FIXED_TOKENS, 1
    texts: list[str] = []
    images = fused = 0
    for turn in turns:
        if turn.role == "system":
            extra, core, newlines = _system(_leading_text(turn))
            tokens += extra
            texts += [core] if core else []
            continue
        content = lay_content(turn.parts, newlines)
        texts += content.texts
        images += content.images
        fused += content.fused
        tokens, newlines = tokens + TURN_TOKENS, 1
    return Opening(tokens, Content(tuple(texts), images, fused), newlines)


def _system(text: str) -> tuple[int, str, int]:
    r"""Tokens that `text` + "\n\n" adds to a turn besides its core, the core, and the open newline run.

    The template does not trim the system text, so its outer newlines fuse with those around it.
    """
    core = text.strip("\n")
    if not core:
        newlines = 1 + len(text) + 2
        return _runs(newlines) - 1, "", newlines
    leading = len(text) - len(text.lstrip("\n"))
    newlines = len(text) - len(text.rstrip("\n")) + 2
    return _runs(1 + leading) - 1 + _runs(newlines), core, newlines


def _leading_text(turn: Turn) -> str:
    """All that the template keeps of a system turn: its first content part."""
    texts: list[str] = []
    for part in turn.parts:
        if not isinstance(part, str):
            break
        texts.append(part)
    return "\n".join(texts)


def _runs(newlines: int) -> int:
    """Tokens of a run of newlines."""
    return -(-newlines // LONGEST_RUN)
