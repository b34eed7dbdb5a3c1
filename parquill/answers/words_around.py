"""Takes off what models write around a single value: markdown, quotation marks, a full stop, a label, a remark.

`**Positive.**`, `"in\\_stock"`, `Sentiment: positive` and `positive (the reader is pleased)` each say one value. What
denies it, doubts it or names a second value leaves it as it is: `not positive`, `positive (or neutral)`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

DOUBT = "\ufdd0"
"""Stands before a character whose backslash JSON does not know: markdown's escape, or a backslash (no character)."""

_LONGEST = 400
"""Characters of a text in which a value with words around it is looked for."""
_MOST_LAYERS = 6
_AROUND = (
    ("**", "**"), ("__", "__"), ("`", "`"), ("*", "*"), ('"', '"'), ("'", "'"), ("“", "”"), ("‘", "’"), ("«", "»"),
)  # fmt: skip
_ESCAPE = re.compile(rf"[\\{DOUBT}](?=[^\w\s]|_)")
_JOINING = re.compile(r"[\s_-]+")
_BLANKS = re.compile(r" {2,}")
_WORD = re.compile(r"\w+(?:['’]\w+)?")
_LABEL = re.compile(r"(?:[^\W\d_]+[ _-]){0,3}[^\W\d_]+(?: ?[:=] ?| is (?:an? |the )?)|(?:an?|the) ", re.IGNORECASE)
_REMARK = re.compile(r"(?<!\s)(?:\s*[(\[]|\s+[-–—]\s|\s*[:;]\s)|[.!]\s|,?\s(?=because\b|since\b)|\n")
_FEWEST_WORDS = 3
"""Of a remark without brackets; fewer may be a second value: `red - dark blue`."""
_DOUBTFUL = frozenset(
    {
        "not", "no", "non", "never", "neither", "nor", "none", "without", "hardly", "barely", "cannot", "or", "maybe",
        "perhaps", "possibly", "probably", "likely", "unlikely", "but", "however", "although", "though", "except",
        "unless", "if", "rather", "instead", "either", "mostly", "mainly", "partly", "partially", "part", "parts",
        "mixed", "somewhat", "slightly", "unsure", "uncertain", "unclear", "unknown", "opposite", "contrary",
        "reverse", "wrong", "incorrect", "previous", "previously", "former", "formerly", "old", "draft", "example",
        "far", "less", "least", "almost", "nearly", "might", "may", "could", "should", "nicht", "kein", "keine",
        "keinen", "nie", "oder", "vielleicht", "aber", "sondern", "ne", "pas", "ou", "mais", "jamais", "pero",
        "nunca", "quizá", "quizás", "ni", "o", "forse", "ma", "né", "não", "talvez", "mas", "nem",
    }
)  # fmt: skip
"""Words of a label or a remark that may deny the value or put another beside it."""


def bare(text: str) -> str:
    """Return a text without markdown's escapes, and without the marks and the full stop behind it."""
    text = _ESCAPE.sub("", text).strip()
    for _ in range(_MOST_LAYERS):
        inner = text[:-1].rstrip() if text.endswith((".", "!")) and not text.endswith("..") else text
        for opening, closing in _AROUND:
            if len(inner) > len(opening) + len(closing) and inner.startswith(opening) and inner.endswith(closing):
                inner = inner[len(opening) : -len(closing)].strip()
                break
        if inner == text:
            break
        text = inner
    return text


def plain(text: str) -> str:
    """Return what two ways of writing a name have in common: its letters and digits, whatever joins them."""
    return _JOINING.sub("", _ESCAPE.sub("", text)).casefold()


def one_value(values: Sequence[str], text: str) -> str | None:
    """Return the one of `values` that a text names, by itself or with words around it; None where that is not sure."""
    said = bare(text)
    if fits := _named(values, said):
        return fits[0] if len(fits) == 1 else None
    if len(said) > _LONGEST:
        return None
    said = bare(_BLANKS.sub(" ", said.replace("**", " ")))
    label = _LABEL.match(said)
    return _remarked(values, said, 0) or (_remarked(values, said, label.end()) if label else None)


def _remarked(values: Sequence[str], said: str, start: int) -> str | None:
    """Return the one value that stands at `start`, with or without a remark behind it; a label may stand before it."""
    remark = _REMARK.search(said, start)
    end = remark.start() if remark else len(said)
    fits = _named(values, bare(said[start:end]))
    if len(fits) != 1:
        return None
    around = f"{said[:start]}\n{said[end:]}"
    return fits[0] if _only_explains(around, fits[0], values, remark) else None


def _named(values: Sequence[str], text: str) -> list[str]:
    wanted = plain(text)
    return [value for value in values if plain(value) == wanted]


def _only_explains(around: str, value: str, values: Sequence[str], remark: re.Match[str] | None) -> bool:
    """Whether the words around a value say nothing against it."""
    words = [word.casefold() for word in _WORD.findall(around)]
    if "?" in around or any(word in _DOUBTFUL or word.endswith(("n't", "n’t")) for word in words):
        return False
    if remark is not None:
        said = len(_WORD.findall(around.partition("\n")[2]))
        if said < (_FEWEST_WORDS - 1 if remark[0].strip() in ("(", "[") else _FEWEST_WORDS):
            return False
    text = f" {' '.join(words)} "
    others = (" ".join(_WORD.findall(other.replace("_", " ").casefold())) for other in values if other != value)
    return not any(f" {other} " in text for other in others if other)
