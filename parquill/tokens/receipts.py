"""What the endpoint's own counts say about ours, by provider and picture.

For each provider a line is fitted: counted = (1 + ratio) x text + offset + picture x pictures, where
`text` is the formula's count without pictures. It is a least-squares fit with a prior at zero (no
correction), so that one receipt is believed in part, fifty settle it, and a job whose rows are all
alike still has an answer. The longer its text, the less a receipt weighs: errors grow with length. How
far receipts scatter around the line says how sure the next ones are.

Before a request is sent nobody knows who will answer, so its correction is the mean over the
providers, each weighed by its share of the receipts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from parquill.tokens.ridge import Line, RidgeSums, finite, student

RATIO_SD, OFFSET_SD, PICTURE_SD = 0.05, 10.0, 5.0
"""The prior: how far a server's counting may plausibly be from the formula's, one sigma. Variants of
the template and pictures of 256 to 270 tokens lie within two; hidden texts show in a few receipts."""

TEXT_SD = 0.05
"""A receipt's own noise: one token, and this share of its text (the fitted table's spread)."""

SURPRISE = 10.0
"""So many receipts that agree on something the prior thinks impossible widen it half of the way: another
tokenizer counts a kind of text half as much again."""

NOISE_WORTH = 2.0
"""The receipts' own noise as it is thought to be counts as so many of them."""

SETTLED = 64
"""From this many receipts on, the fit is renewed with every eighth more of them, not each time."""


class Receipts:
    """One job's receipts over all its runs: `dump` them with a run's record, `load` them in the next."""

    def __init__(self) -> None:
        self._sums: dict[str, RidgeSums] = {}
        self._count = 0
        self._renew_at = 1
        self._correction = Line()
        self._upper_factor = 1.0

    @property
    def count(self) -> int:
        """How many receipts were taken."""
        return self._count

    @property
    def correction(self) -> Line:
        """What to add before it is known who will answer."""
        return self._correction

    @property
    def upper_factor(self) -> float:
        """What every upper bound is multiplied with: above 1 once a receipt was above its bound."""
        return self._upper_factor

    def for_provider(self, provider: str | None) -> Line:
        """The correction for one provider; none where it has no receipts."""
        sums = self._sums.get(provider or "")
        return _solved(sums)[0] if sums else Line()

    def error(self, rows: int, text: float, text_squares: float, images: int, worth: float = 1.0) -> float:
        """Standard error of the corrected count of so many requests together, 1.96 of which hold 95 %: `text`
        and `text_squares` are sums over the requests of their texts' formula tokens, and of their squares.
        `worth`: if there were so many times the receipts."""
        at = text / rows, images / rows
        fits = [(sums.count / self._count, *_solved(sums)) for sums in self._sums.values() if sums.count]
        mean = sum(share * line.apply(*at) for share, line, _ in fits)
        between = sum(share * (line.apply(*at) - mean) ** 2 for share, line, _ in fits)
        noise = sum(share * one for share, _, one in fits)
        own = noise * (rows + TEXT_SD**2 * text_squares) + between * rows
        shared = sum(share**2 * line.variance(*at) for share, line, _ in fits) + between / self._count
        freedom = sum(line.freedom for _, line, _ in fits) + NOISE_WORTH
        return student(freedom) * math.sqrt(own + rows**2 * shared / worth)

    def add(self, text: float, images: int, error: float, provider: str | None) -> None:
        """Take a receipt: `error` is what was counted less the formula's whole count."""
        sums = self._sums.get(provider or "")
        if sums is None:
            sums = self._sums[provider or ""] = RidgeSums()
        sums.add(text, images, error, 1.0 / (1.0 + (TEXT_SD * text) ** 2))
        self._count += 1
        if self._count >= self._renew_at:
            self._renew()

    def raise_upper(self, upper: int, counted: int) -> None:
        """Raise all bounds so that one of `upper` would have held `counted`, and a tenth beyond."""
        self._upper_factor = max(self._upper_factor, self._upper_factor * counted / max(upper, 1) * 1.1)

    def merge(self, other: Receipts) -> None:
        """Take all receipts of another process that asked for the same job."""
        for name, sums in other._sums.items():
            self._sums.setdefault(name, RidgeSums()).merge(sums)
        self._count += other._count
        self._upper_factor = max(self._upper_factor, other._upper_factor)
        self._renew()

    def dump(self) -> dict[str, Any]:
        """The state as JSON values."""
        providers = {name: sums.dump() for name, sums in self._sums.items()}
        return {"upper_factor": self._upper_factor, "providers": providers}

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> Receipts:
        """Take up what `dump` returned. Raises `ValueError` when it is something else."""
        receipts = cls()
        try:
            for name, sums in state["providers"].items():
                receipts._sums[str(name)] = RidgeSums.load(sums)
            receipts._upper_factor = max(1.0, *finite([state["upper_factor"]], 1))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a record of receipts: {error}") from error
        receipts._count = sum(sums.count for sums in receipts._sums.values())
        receipts._renew()
        return receipts

    def _renew(self) -> None:
        self._renew_at = self._count + (1 if self._count < SETTLED else self._count // 8)
        fits = [(sums.count / self._count, _solved(sums)[0]) for sums in self._sums.values() if sums.count]
        self._correction = Line(
            sum(share * fit.ratio for share, fit in fits),
            sum(share * fit.offset for share, fit in fits),
            sum(share * fit.picture for share, fit in fits),
        )


def _solved(sums: RidgeSums) -> tuple[Line, float]:
    """One provider's line, and the variance of a receipt of weight 1 around it."""
    noise, line, believed = 1.0, Line(), sums.count / (sums.count + SURPRISE)
    for _ in range(3):
        ratio_sd = math.hypot(RATIO_SD, believed * line.ratio)
        picture_sd = math.hypot(PICTURE_SD, believed * line.picture)
        line = sums.solve((ratio_sd, OFFSET_SD, picture_sd), noise)
        noise = (NOISE_WORTH + line.rest) / (NOISE_WORTH + line.freedom)
    return line, noise
