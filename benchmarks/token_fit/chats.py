"""Chats of all kinds, and the chat template rendered in full: what the arithmetic is held against."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import jinja2
import orjson

from parquill.chat import ChatRequest, ImagePart, Turn, turn_content

IMAGE_TEXT = "\n\n<start_of_image>" + "<image_soft_token>" * 256 + "<end_of_image>\n\n"
"""What Hugging Face's processor and vLLM put in place of a picture (`full_image_sequence`)."""


def render(template: jinja2.Template, request: ChatRequest) -> str:
    """The whole prompt as the model reads it."""
    messages = []
    for turn in request.turns:
        content = turn_content(turn)
        parts = [{**part, "type": part["type"].removesuffix("_url")} for part in content if isinstance(part, dict)]
        messages.append({"role": turn.role, "content": content if isinstance(content, str) else parts})
    prompt = template.render(messages=messages, bos_token="<bos>", add_generation_prompt=True)
    return prompt.replace("<start_of_image>", IMAGE_TEXT)


def load_template(folder: Path) -> jinja2.Template:
    """The template of the tokenizer's configuration, in the environment that transformers gives it."""
    source = orjson.loads((folder / "tokenizer_config.json").read_bytes())["chat_template"]
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(source)


def make_chat(texts: Sequence[str], rng: random.Random) -> ChatRequest:
    """A chat: perhaps a system text, up to three few-shot turns, and a user's turn with 0 to 4 pictures."""
    turns: list[Turn] = []
    if rng.random() < 0.6:
        turns.append(Turn("system", (_system(texts, rng),)))
    for _ in range(rng.choice((0, 0, 0, 1, 2, 3))):
        turns += [Turn("user", _parts(texts, rng)), Turn("assistant", (_text(texts, rng),))]
    turns.append(Turn("user", _parts(texts, rng)))
    return ChatRequest(tuple(turns))


def _parts(texts: Sequence[str], rng: random.Random) -> tuple[str | ImagePart, ...]:
    images = rng.choice((0, 0, 1, 1, 2, 3, 4))
    parts: list[str | ImagePart] = [ImagePart("https://example.com/picture.jpg")] * images
    for _ in range(rng.choice((1, 1, 1, 2, 3) if images else (1, 1, 2))):
        parts.insert(rng.randint(0, len(parts)), _text(texts, rng))
    return tuple(parts)


def _text(texts: Sequence[str], rng: random.Random) -> str:
    if rng.random() < 0.05:
        return rng.choice(("", " ", "\n\n"))
    edge = ("", "", "", " ", "\n", "  \n\n", "\t", "\u00a0")
    return rng.choice(edge) + rng.choice(texts) + rng.choice(edge)


def _system(texts: Sequence[str], rng: random.Random) -> str:
    """The template does not trim a system text: its newlines fuse with those around it."""
    text = rng.choice(("", "Reply in JSON.", rng.choice(texts)))
    edge = ("", "", "", " ", "\n", "\n\n", "\n" * 31, " \n")
    return rng.choice(edge) + text + rng.choice(edge)
