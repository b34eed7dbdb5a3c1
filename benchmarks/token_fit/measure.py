"""Measures the fitted estimator on texts held back, and writes the page about it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from benchmarks.token_fit.corpora import Corpora
from benchmarks.token_fit.model import count_tokens
from parquill.tokens.estimator import FittedMeter


@dataclass
class KindError:
    """Errors of one kind of text, as shares: of all its texts together (`job`, signed), of single texts."""

    texts: int
    job: float
    parts: npt.NDArray[np.float64]
    single: npt.NDArray[np.float64]
    bound: float

    @property
    def worst_part(self) -> float:
        return float(self.parts[np.argmax(np.abs(self.parts))])

    @property
    def p50(self) -> float:
        return float(np.median(np.abs(self.single)))

    @property
    def p95(self) -> float:
        return float(np.percentile(np.abs(self.single), 95))

    @property
    def spread(self) -> float:
        return float(np.std(self.single))

    @property
    def job_rms(self) -> float:
        return float(np.sqrt(np.mean(np.square(self.parts))))

    def rounded(self) -> dict[str, float | int]:
        """What stands beside the coefficients."""
        return {
            "texts": self.texts,
            "job": round(self.job, 4),
            "worst_part": round(self.worst_part, 4),
            "p50": round(self.p50, 4),
            "p95": round(self.p95, 4),
            "upper_over_truth": round(self.bound, 2),
        }


def measure(meter: FittedMeter, tokenizer: Tokenizer, texts: Corpora) -> dict[str, KindError]:
    """Errors by kind of text."""
    return {kind: _error(meter, tokenizer, parts) for kind, parts in texts.held_back.items()}


def measure_new_kind(meter: FittedMeter, tokenizer: Tokenizer, texts: Corpora) -> KindError:
    """Errors of a meter that never saw the Declaration, on the Declaration: a new domain.

    Gujarati is left out: no other source holds it.
    """
    prose = ("Latin prose", "Cyrillic and Greek", "CJK", "Arabic and Hebrew", "Indic")
    parts = {code: some for kind in prose for code, some in texts.held_back[kind].items() if code != "guj"}
    return _error(meter, tokenizer, parts)


def _error(meter: FittedMeter, tokenizer: Tokenizer, parts: dict[str, list[str]]) -> KindError:
    shares, singles, truths, guesses, bounds = [], [], 0, 0.0, 0
    for some in parts.values():
        if not some:
            continue
        truth = count_tokens(tokenizer, some)
        expected, upper = meter.measure_many(some)
        shares.append(expected.sum() / truth.sum() - 1)
        singles.append(expected / truth - 1)
        truths += int(truth.sum())
        guesses += float(expected.sum())
        bounds += int(upper.sum())
        assert (upper >= truth).all(), "a bound is below the truth"
    single = np.concatenate(singles)
    return KindError(len(single), guesses / truths - 1, np.array(shares), single, bounds / truths)


def table(kinds: dict[str, KindError], new_kind: KindError) -> str:
    """The table in `docs/tokens.md`."""
    rows = [
        "| kind of text | texts | all together | worst language | median text | 95 % of texts within | bound / truth |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind, error in [*kinds.items(), ("*prose of a domain it never saw*", new_kind)]:
        worst = f"{error.worst_part:+.1%}" if len(error.parts) > 1 else ""
        single = f"{error.p50:.1%} | {error.p95:.1%} | {error.bound:.2f}"
        rows.append(f"| {kind} | {error.texts} | {error.job:+.1%} | {worst} | {single} |")
    return "\n".join(rows)
