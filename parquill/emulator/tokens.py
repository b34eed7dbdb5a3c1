r"""How many tokens a request has, by Gemma 3's own template.

Pieces stand in for the tokenizer: a run of up to 8 ASCII letters, of up to 2 other letters,
of line breaks, or one other sign. That gives about 4.4 characters a token for English prose
and 2 for Chinese, digits one each, as the real one does. Never more pieces than characters.

Template and arithmetic (checked against the real tokenizer):
    prompt = 1 (bos) + sum over turns (5 + T_i) + 3 + [system: T_sys + 1] + 260 k - m
with k pictures; m = 1 for each turn that begins with a picture and 1 for each pair of
pictures side by side, whose line breaks fuse.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

IMAGE_TOKENS = 260
"""256 soft tokens, their two marks and the line breaks around them."""

PIECE = re.compile(r"[A-Za-z]{1,8}|[^\W\d_]{1,2}|\n+|\S")


def count_text(text: str) -> int:
    """Return how many pieces the text has."""
    return len(PIECE.findall(text))


def count_prompt(system: str | None, turns: Sequence[Sequence[str | None]]) -> int:
    """Return `usage.prompt_tokens`; a turn is its parts in order, None for a picture."""
    total = 4 + (count_text(system) + 1 if system is not None else 0)
    for parts in turns:
        total += 5
        previous_is_image = True
        for part in parts:
            if part is None:
                total += IMAGE_TOKENS - previous_is_image
            else:
                total += count_text(part.strip())
            previous_is_image = part is None
    return total


def cut(text: str, tokens: int) -> str:
    """Return the beginning of the text that has at most `tokens` pieces."""
    for index, piece in enumerate(PIECE.finditer(text)):
        if index == tokens:
            return text[: piece.start()]
    return text
