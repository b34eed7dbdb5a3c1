"""JSON, URLs, digits and emoji, made up from a pool of words: as they stand in prompts and columns."""

from __future__ import annotations

import json
import random
import string
import uuid
from collections.abc import Callable, Sequence
from typing import Any

EMOJI = [chr(point) for first, last in ((0x1F600, 0x1F650), (0x1F300, 0x1F5FF), (0x1F680, 0x1F6D0), (0x1F900, 0x1F9FF))
         for point in range(first, last)] + list("❤✨☀⭐✅☕⚡♥☺✔")  # fmt: skip
COMMON_EMOJI = list(
    "😂❤😍🤣😊🙏💕😭😘👍😅👏😁🔥💔💖💙😢🤔😆🙄💪😉☺👌🤗💜😔😎😇🌹🤦🎉💞✌✨🤷😱😌🌸🙌😋💗💚😏💛🙂💓🤩😄😀🖤😃💯🙈👇🎶😒🤭"
)
JOINED_EMOJI = ["👨‍👩‍👧", "👩‍💻", "🏳️‍🌈", "🇩🇪", "🇺🇸", "🇯🇵", "👩🏽‍🔬"]


def generate(kind: str, words: Sequence[str], rng: random.Random) -> str:
    """One text of a kind in `KINDS`; `words` are terms of one to three words."""
    return KINDS[kind](words, rng)


def _json(words: Sequence[str], rng: random.Random) -> str:
    document = {_key(words, rng): _value(words, rng, 0) for _ in range(rng.randint(4, 14))}
    return json.dumps(document, indent=rng.choice((None, None, 2)), ensure_ascii=False)


def _key(words: Sequence[str], rng: random.Random) -> str:
    return rng.choice(words).replace(" ", "_").lower()[:20]


def _value(words: Sequence[str], rng: random.Random, depth: int) -> Any:
    draw = rng.random()
    if draw < 0.3 or (draw >= 0.7 and depth > 2):
        return rng.choice(words)
    if draw < 0.5:
        return rng.randint(0, 10 ** rng.randint(1, 7))
    if draw < 0.6:
        return round(rng.random() * 10 ** rng.randint(0, 4), rng.randint(1, 5))
    if draw < 0.7:
        return rng.choice((True, False, None))
    if draw < 0.85:
        return [_value(words, rng, depth + 1) for _ in range(rng.randint(0, 4))]
    return {_key(words, rng): _value(words, rng, depth + 1) for _ in range(rng.randint(1, 4))}


def _urls(words: Sequence[str], rng: random.Random) -> str:
    return rng.choice(("\n", " ", ", ")).join(_url(words, rng) for _ in range(rng.randint(3, 8)))


def _url(words: Sequence[str], rng: random.Random) -> str:
    prefix = rng.choice(("www.", "cdn.", "img.", "", "shop.", "static."))
    suffix = rng.choice((".com", ".org", ".de", ".co.uk", ".io", ".example"))
    host = prefix + rng.choice(words).split()[0].lower() + suffix
    path = "/".join(_path_step(words, rng) for _ in range(rng.randint(1, 5)))
    ending = rng.choice(("", ".jpg", ".png", ".html", ".webp"))
    fields = [f"{rng.choice(('id', 'q', 'w', 'h', 'utm_source', 'ref', 'v'))}={_field(words, rng)}" for _ in range(4)]
    query = "?" + "&".join(fields[: rng.randint(1, 4)]) if rng.random() < 0.4 else ""
    return f"{rng.choice(('https', 'https', 'http'))}://{host}/{path}{ending}{query}"


def _path_step(words: Sequence[str], rng: random.Random) -> str:
    draw = rng.random()
    if draw < 0.2:
        return rng.choice(words).lower().replace(" ", "-")
    if draw < 0.4:
        return str(rng.randint(1, 10 ** rng.randint(2, 8)))
    if draw < 0.6:
        return "".join(rng.choices("0123456789abcdef", k=rng.choice((8, 16, 32))))
    return rng.choice(("images", "products", "p", "assets", "media"))


def _field(words: Sequence[str], rng: random.Random) -> str:
    token = "".join(rng.choices(string.ascii_letters + string.digits, k=11))
    return rng.choice((str(rng.randint(1, 9999)), rng.choice(words).split()[0], token))


def _digits(_: Sequence[str], rng: random.Random) -> str:
    forms: list[Callable[[], str]] = [
        lambda: str(rng.randint(0, 10 ** rng.randint(1, 10))),
        lambda: f"{rng.random() * 1000:.2f}",
        lambda: f"{rng.randint(1990, 2030)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}",
        lambda: f"{rng.randint(0, 23)}:{rng.randint(0, 59):02}",
        lambda: f"{rng.randint(1, 999)},{rng.randint(0, 999):03}",
        lambda: f"+{rng.randint(1, 99)} {rng.randint(100, 999)} {rng.randint(1000, 9999)}",
        lambda: str(uuid.UUID(int=rng.getrandbits(128))),
        lambda: f"{rng.randint(1, 100)}%",
        lambda: f"${rng.randint(1, 1000)}.{rng.randint(0, 99):02}",
    ]
    return rng.choice((" ", ", ", "\n", "\t", "; ")).join(rng.choice(forms)() for _ in range(rng.randint(20, 60)))


def _emoji(words: Sequence[str], rng: random.Random) -> str:
    return "".join(_one_emoji(words, rng) for _ in range(rng.randint(40, 120)))


def _one_emoji(words: Sequence[str], rng: random.Random) -> str:
    emoji = rng.choice(COMMON_EMOJI if rng.random() < 0.7 else EMOJI)
    draw = rng.random()
    if draw < 0.1:
        emoji += rng.choice("🏻🏼🏽🏾🏿")
    elif draw < 0.2:
        emoji += "\ufe0f"
    elif draw < 0.25:
        emoji = rng.choice(JOINED_EMOJI)
    if rng.random() < 0.2:
        emoji *= rng.randint(2, 4)
    if rng.random() < 0.35:
        return f"{emoji} {rng.choice(words)} "
    return emoji + rng.choice(("", "", " "))


KINDS: dict[str, Callable[[Sequence[str], random.Random], str]] = {
    "JSON": _json,
    "URLs": _urls,
    "digits": _digits,
    "emoji": _emoji,
}
