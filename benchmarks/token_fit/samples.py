"""Texts and chats with their true counts: what the fast tests hold the code against.

All texts are free to use: the Universal Declaration (public domain), this project's own code, and
generated ones. Those of the Declaration are of the half that the fit did not learn from.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
from tokenizers import Tokenizer

from benchmarks.token_fit.chats import load_template, make_chat, render
from benchmarks.token_fit.corpora import Corpora
from benchmarks.token_fit.model import count_tokens
from benchmarks.token_fit.sources import cut
from parquill.chat import ChatRequest, ImagePart
from parquill.tokens.template import lay_content, lay_opening

FREE = ("Latin prose", "Cyrillic and Greek", "CJK", "Arabic and Hebrew", "Indic", "JSON", "URLs", "digits", "emoji")
EACH = 12


def make(tokenizer: Tokenizer, texts: Corpora, folder: Path) -> bytes:
    """The sample file: `texts` by kind as [text, tokens]; `chats` as {turns, tokens, texts}."""
    rng = random.Random(5)
    kinds = {kind: _pick([text for some in texts.held_back[kind].values() for text in some], rng) for kind in FREE}
    kinds["code"] = _pick(_own_code(rng), rng)
    counted = {
        kind: [[text, int(count)] for text, count in zip(some, count_tokens(tokenizer, some), strict=True)]
        for kind, some in kinds.items()
    }
    short = [text[:40] for some in kinds.values() for text in some[:3]]
    chats = [_chat(make_chat(short, rng), tokenizer, folder) for _ in range(60)]
    return orjson.dumps({"texts": counted, "chats": chats}, option=orjson.OPT_INDENT_2) + b"\n"


def _pick(texts: Sequence[str], rng: random.Random) -> list[str]:
    return [text[:420] for text in rng.sample(texts, min(EACH, len(texts)))]


def _own_code(rng: random.Random) -> list[str]:
    package = Path(__file__).parents[2] / "parquill"
    files = [package / name for name in ("chat.py", "clock.py", "errors.py")]
    return [piece for path in files for piece in cut(path.read_text(encoding="utf-8"), rng)]


def _chat(chat: ChatRequest, tokenizer: Tokenizer, folder: Path) -> dict[str, Any]:
    """A chat with the count of its rendered prompt, and the count of each text the arithmetic meets."""
    prompt = render(load_template(folder), chat)
    opening = lay_opening(chat.turns[:-1])
    met = sorted({*opening.content.texts, *lay_content(chat.turns[-1].parts, opening.newlines).texts})
    turns = [
        [turn.role, *({"url": part.url} if isinstance(part, ImagePart) else part for part in turn.parts)]
        for turn in chat.turns
    ]
    counts = count_tokens(tokenizer, met) if met else []
    return {
        "turns": turns,
        "tokens": int(count_tokens(tokenizer, [prompt])[0]),
        "texts": {text: int(count) for text, count in zip(met, counts, strict=True)},
    }
