"""The texts the fit learns from, and those held back to measure it, by kind."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.token_fit import generated, sources

GENERATED = 1500
"""Texts of each generated kind to learn from."""

JAPANESE = 3
"""How often Japanese sentences are gone through."""


@dataclass
class Corpora:
    """`learn` is (source, text); `held_back` is kind to sub-kind (a language, or the kind) to texts."""

    learn: list[tuple[str, str]] = field(default_factory=list)
    held_back: dict[str, dict[str, list[str]]] = field(default_factory=dict)

    def hold_back(self, kind: str, part: str, texts: Sequence[str]) -> None:
        self.held_back.setdefault(kind, {})[part] = [text for text in texts if len(text) >= 200]


def gather(seed: int = 1) -> Corpora:
    """Read all sources; the same texts each time."""
    corpora, rng = Corpora(), random.Random(seed)
    _declaration(corpora, rng)
    _code(corpora, rng)
    for language in sources.SALAD:
        salad = sources.word_salad(language, rng)
        corpora.learn += [("salad", text) for text in sources.joined(salad, rng, 40, 900)]
    _translations(corpora, rng)
    _messages(corpora, rng)
    _japanese(corpora, rng)
    _generated(corpora, rng)
    return corpora


def _declaration(corpora: Corpora, rng: random.Random) -> None:
    """Every second paragraph is held back in the measured languages, and learnt in all languages."""
    measured = {code: kind for kind, codes in sources.LANGUAGES.items() for code in codes.values()}
    for code in sources.declaration_codes():
        paragraphs = sources.declaration(code)
        known, kept = paragraphs[0::2], paragraphs[1::2]
        rounds = 6 if code in measured else 1
        for _ in range(rounds):
            rng.shuffle(known)
            corpora.learn += [("declaration", text) for text in sources.joined(known, rng, 100, 700)]
        if code in measured:
            corpora.hold_back(measured[code], code, sources.joined(kept, rng, 200, 450))


def _code(corpora: Corpora, rng: random.Random) -> None:
    modules = sources.standard_library(rng)
    half = len(modules) // 2
    for module in modules[:half]:
        corpora.learn += [("code", text) for text in sources.cut(module, rng)]
    corpora.learn += [("docstrings", text) for text in sources.docstrings(modules[:half])]
    pieces = [text for module in modules[half:] for text in sources.cut(module, rng)]
    corpora.hold_back("code", "code", rng.sample(pieces, 800))
    corpora.hold_back("English docstrings", "docstrings", sources.docstrings(modules[half:]))


def _translations(corpora: Corpora, rng: random.Random) -> None:
    for language, messages in sources.translations().items():
        rng.shuffle(messages)
        fifth = len(messages) // 5
        corpora.learn += [("translations", text) for text in sources.joined(messages[fifth:], rng, 40, 900)]
        corpora.hold_back("interface messages", language, sources.joined(messages[:fifth], rng, 200, 700))


def _messages(corpora: Corpora, rng: random.Random) -> None:
    for messages in sources.compiler_messages().values():
        rng.shuffle(messages)
        corpora.learn += [("messages", text) for text in sources.joined(messages, rng, 40, 900)]


def _japanese(corpora: Corpora, rng: random.Random) -> None:
    """Words drawn one by one do not make Japanese, whose endings run together; there is little that anyone wrote
    among the other sources, so it is joined in another order each time."""
    for texts in (sources.compiler_messages()["ja"], sources.editor_texts(), *map(sources.manual, sources.MANUALS)):
        for _ in range(JAPANESE):
            rng.shuffle(texts)
            corpora.learn += [("Japanese", text) for text in sources.joined(texts, rng, 40, 900)]
    for package in sources.OTHER_MANUALS:
        corpora.hold_back("Japanese manuals", package, sources.joined(sources.manual(package), rng, 200, 450))


def _generated(corpora: Corpora, rng: random.Random) -> None:
    salad = [text for source, text in corpora.learn if source == "salad"]
    learnt = [word for text in rng.sample(salad, 5000) for word in text.split()]
    kept = " ".join(sources.declaration("eng")).split()
    terms, other_terms = _terms(learnt, rng), _terms(kept, rng)
    for kind in generated.KINDS:
        corpora.learn += [(kind, generated.generate(kind, terms, rng)) for _ in range(GENERATED)]
        corpora.hold_back(kind, kind, [generated.generate(kind, other_terms, rng) for _ in range(500)])


def _terms(words: Sequence[str], rng: random.Random) -> list[str]:
    starts = (rng.randrange(len(words) - 3) for _ in range(3000))
    return [" ".join(words[start : start + rng.randint(1, 3)]).strip(",.;:") or "item" for start in starts]
