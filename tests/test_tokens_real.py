"""The arithmetic and the estimator against Gemma 3's real tokenizer, fetched for the lane with npm."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import orjson
import pytest
from tokenizers import Tokenizer

from benchmarks.token_fit import chats, generated, sources
from parquill.job import ModelSettings
from parquill.tokens import TokenCounter
from parquill.tokens.estimator import FittedMeter

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def folder() -> Path:
    try:
        sources.fetch_npm(*sources.DECLARATION, "declaration/")
        return sources.tokenizer_folder()
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"the tokenizer cannot be fetched with npm: {error}")


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Tokenizer:
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


@pytest.fixture(scope="module")
def meter() -> FittedMeter:
    return FittedMeter()


def _count(tokenizer: Tokenizer, texts: list[str]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array([len(e) for e in tokenizer.encode_batch_fast(texts, add_special_tokens=False)], np.int64)


def _paragraphs() -> list[str]:
    codes = [code for some in sources.LANGUAGES.values() for code in some.values()]
    return [text for code in codes for text in sources.declaration(code)]


def _installed_code(rng: random.Random) -> list[str]:
    """Code that the fit has not seen: packages of this environment, not the standard library."""
    site = Path(next(path for path in sys.path if path.endswith("site-packages")))
    files = sorted(path for name in ("pydantic", "hypothesis") for path in (site / name).rglob("*.py"))
    return [piece for path in files for piece in sources.cut(path.read_text(encoding="utf-8"), rng)][:500]


def _held_back(rng: random.Random) -> dict[str, list[str]]:
    kinds = {
        kind: [
            text
            for code in codes.values()
            for text in sources.joined(sources.declaration(code)[1::2], rng, 200, 450)
            if len(text) >= 200
        ]
        for kind, codes in sources.LANGUAGES.items()
    }
    words = " ".join(sources.declaration("eng")[1::2]).split()
    for kind in generated.KINDS:
        texts = [generated.generate(kind, words, rng) for _ in range(300)]
        kinds[kind] = [text for text in texts if len(text) >= 200]
    return {**kinds, "code": _installed_code(rng)}


def test_a_thousand_chats_of_all_kinds_are_exact_to_the_token(folder: Path, tokenizer: Tokenizer) -> None:
    rng = random.Random(2026)
    template = chats.load_template(folder)
    counter = TokenCounter(ModelSettings(tokenizer=str(folder / "tokenizer.json")))
    texts = [*_paragraphs(), *(generated.generate(kind, ["red bag", "Größe"], rng) for kind in [*generated.KINDS] * 50)]
    for number in range(1000):
        chat = chats.make_chat(texts, rng)
        truth = len(tokenizer.encode(chats.render(template, chat), add_special_tokens=False))
        estimate = counter.count(chat)
        assert estimate.expected == truth, f"chat {number}: {chat}"
        assert estimate.upper >= truth


def test_on_texts_held_back_a_job_is_within_3_percent_and_a_text_within_15(
    tokenizer: Tokenizer, meter: FittedMeter
) -> None:
    found = {}
    for kind, texts in _held_back(random.Random(7)).items():
        truth = _count(tokenizer, texts)
        expected, upper = meter.measure_many(texts)
        assert (upper >= truth).all(), kind
        found[kind] = abs(expected.sum() / truth.sum() - 1), np.percentile(np.abs(expected / truth - 1), 95)
    assert len(found) >= 8
    assert max(job for job, _ in found.values()) < 0.03, found
    assert max(single for _, single in found.values()) < 0.15, found


@pytest.mark.parametrize("origin", ["nadesiko3", *sources.OTHER_MANUALS])
def test_japanese_that_the_fit_has_not_seen_is_within_the_same_bounds(
    tokenizer: Tokenizer, meter: FittedMeter, origin: str
) -> None:
    """A programming language's pages (npm), and Debian's manuals (apt) by others than those it learned from."""
    try:
        texts = _pages_of_nadesiko() if origin == "nadesiko3" else sources.manual(origin)
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"{origin} cannot be fetched: {error}")
    pieces = [text for text in sources.joined(texts, random.Random(3), 200, 450) if len(text) >= 200]
    truth = _count(tokenizer, pieces)
    expected, upper = meter.measure_many(pieces)
    assert len(pieces) >= 50
    assert (upper >= truth).all()
    assert abs(expected.sum() / truth.sum() - 1) < 0.03
    assert np.percentile(np.abs(expected / truth - 1), 95) < 0.15


def _pages_of_nadesiko() -> list[str]:
    folder = sources.fetch_npm("nadesiko3", "3.7.22", "")
    pages = [path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.md"))]
    paragraphs = (" ".join(text.split()) for page in pages for text in page.split("\n\n"))
    return [text for text in paragraphs if sources.is_japanese(text)]


def test_no_bound_is_below_the_truth_in_any_language(tokenizer: Tokenizer, meter: FittedMeter) -> None:
    for code in sources.declaration_codes():
        texts = sources.declaration(code)
        assert (meter.measure_many(texts)[1] >= _count(tokenizer, texts)).all(), code


def test_no_bound_is_below_the_truth_on_hostile_texts(tokenizer: Tokenizer, meter: FittedMeter) -> None:
    rng = random.Random(13)
    points = [point for point in range(1, 0x30000) if not 0xD800 <= point < 0xE000]
    printable = "".join(map(chr, range(0x20, 0x7F)))
    special = [
        "<start_of_turn>",
        "<end_of_turn>",
        "<eos>",
        "</div>",
        "<unused7>",
        "\n\n\n",
        "\t\t",
        "  ",
        "▁▁",
        "[multimodal]",
    ]
    texts = ["".join(map(chr, rng.choices(points, k=rng.randint(1, 80)))) for _ in range(3000)]
    texts += ["".join(rng.choices(printable, k=rng.randint(1, 120))) for _ in range(5000)]
    texts += ["".join(rng.choices([*special, *printable], k=rng.randint(1, 60))) for _ in range(3000)]
    texts += [left + right for left in printable for right in printable]
    assert (meter.measure_many(texts)[1] >= _count(tokenizer, texts)).all()


def test_the_samples_of_the_fast_lane_are_counted_as_the_tokenizer_counts(tokenizer: Tokenizer) -> None:
    samples = orjson.loads((Path(__file__).parent / "data" / "token_samples.json").read_bytes())
    pairs = [pair for some in samples["texts"].values() for pair in some]
    assert _count(tokenizer, [text for text, _ in pairs]).tolist() == [count for _, count in pairs]
