"""What the endpoint's own counts say about ours, by provider and picture.

For each provider a line is fitted: counted = (1 + ratio) x text + offset + picture x pictures, where
`text` is the formula's count without pictures. It is a least-squares fit with a prior at zero (no
correction), so that one receipt is believed in part, fifty settle it, and a job whose rows are all
alike still has an answer. The longer its text, the less a receipt weighs: errors grow with length.

Before a request is sent nobody knows who will answer, so its correction is the mean over the
providers, each weighed by its share of the receipts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

RATIO_SD, OFFSET_SD, PICTURE_SD = 0.05, 10.0, 5.0
"""The prior: how far a server's counting may plausibly be from the formula's, one sigma. Variants of
the template and pictures of 256 to 270 tokens lie within two; hidden texts show in a few receipts."""

TEXT_SD = 0.05
"""A receipt's own noise: one token, and this share of its text (the fitted table's spread)."""

SETTLED = 64
"""From this many receipts on, the fit is renewed with every eighth more of them, not each time."""


@dataclass(frozen=True, slots=True)
class Correction:
    """What to add to the formula: `ratio` of the text's tokens, `offset` a request, `picture` each."""

    ratio: float = 0.0
    offset: float = 0.0
    picture: float = 0.0

    def apply(self, text: float, images: int) -> float:
        """Tokens to add to a request of `text` formula tokens (without pictures) and `images`."""
        return self.ratio * text + self.offset + self.picture * images


@dataclass(slots=True)
class _Sums:
    """Weighted sums of one provider's receipts: enough for the fit, whatever their number."""

    count: int = 0
    xx: list[float] = field(default_factory=lambda: [0.0] * 6)
    xy: list[float] = field(default_factory=lambda: [0.0] * 3)

    def add(self, text: float, images: int, error: float) -> None:
        weight = 1.0 / (1.0 + (TEXT_SD * text) ** 2)
        self.count += 1
        xx, xy = self.xx, self.xy
        xx[0] += weight * text * text
        xx[1] += weight * text
        xx[2] += weight * text * images
        xx[3] += weight
        xx[4] += weight * images
        xx[5] += weight * images * images
        xy[0] += weight * text * error
        xy[1] += weight * error
        xy[2] += weight * images * error

    def solve(self) -> Correction:
        aa, ab, ac, bb, bc, cc = self.xx
        return Correction(*_solved((aa + RATIO_SD**-2, ab, ac, bb + OFFSET_SD**-2, bc, cc + PICTURE_SD**-2), self.xy))


class Receipts:
    """One job's receipts over all its runs: `dump` them with a run's record, `load` them in the next."""

    def __init__(self) -> None:
        self._sums: dict[str, _Sums] = {}
        self._count = 0
        self._renew_at = 1
        self._correction = Correction()
        self._upper_factor = 1.0

    @property
    def count(self) -> int:
        """How many receipts were taken."""
        return self._count

    @property
    def correction(self) -> Correction:
        """What to add before it is known who will answer."""
        return self._correction

    @property
    def upper_factor(self) -> float:
        """What every upper bound is multiplied with: above 1 once a receipt was above its bound."""
        return self._upper_factor

    def for_provider(self, provider: str | None) -> Correction:
        """The correction for one provider; none where it has no receipts."""
        sums = self._sums.get(provider or "")
        return sums.solve() if sums else Correction()

    def add(self, text: float, images: int, error: float, provider: str | None) -> None:
        """Take a receipt: `error` is what was counted less the formula's whole count."""
        sums = self._sums.get(provider or "")
        if sums is None:
            sums = self._sums[provider or ""] = _Sums()
        sums.add(text, images, error)
        self._count += 1
        if self._count >= self._renew_at:
            self._renew()

    def raise_upper(self, upper: int, counted: int) -> None:
        """Raise all bounds so that one of `upper` would have held `counted`, and a tenth beyond."""
        self._upper_factor = max(self._upper_factor, self._upper_factor * counted / max(upper, 1) * 1.1)

    def dump(self) -> dict[str, Any]:
        """The state as JSON values."""
        providers = {name: {"count": sums.count, "xx": sums.xx, "xy": sums.xy} for name, sums in self._sums.items()}
        return {"upper_factor": self._upper_factor, "providers": providers}

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> Receipts:
        """Take up what `dump` returned. Raises `ValueError` when it is something else."""
        receipts = cls()
        try:
            for name, sums in state["providers"].items():
                loaded = _Sums(int(sums["count"]), _floats(sums["xx"], 6), _floats(sums["xy"], 3))
                receipts._sums[str(name)] = loaded
            receipts._upper_factor = max(1.0, *_floats([state["upper_factor"]], 1))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a record of receipts: {error}") from error
        receipts._count = sum(sums.count for sums in receipts._sums.values())
        receipts._renew()
        return receipts

    def _renew(self) -> None:
        self._renew_at = self._count + (1 if self._count < SETTLED else self._count // 8)
        fits = [(sums.count / self._count, sums.solve()) for sums in self._sums.values() if sums.count]
        self._correction = Correction(
            sum(share * fit.ratio for share, fit in fits),
            sum(share * fit.offset for share, fit in fits),
            sum(share * fit.picture for share, fit in fits),
        )


def _floats(values: Any, length: int) -> list[float]:
    numbers = [float(value) for value in values]
    if len(numbers) != length or not all(math.isfinite(number) for number in numbers):
        raise TypeError(f"{length} finite numbers are wanted")
    return numbers


def _solved(upper: tuple[float, ...], right: list[float]) -> tuple[float, float, float]:
    """Solve the symmetric, positive definite system ((a, b, c), (b, d, e), (c, e, f)) by its adjugate."""
    a, b, c, d, e, f = upper
    x, y, z = right
    minors = (d * f - e * e, c * e - b * f, b * e - c * d, a * f - c * c, b * c - a * e, a * d - b * b)
    determinant = a * minors[0] + b * minors[1] + c * minors[2]
    return (
        (minors[0] * x + minors[1] * y + minors[2] * z) / determinant,
        (minors[1] * x + minors[3] * y + minors[4] * z) / determinant,
        (minors[2] * x + minors[4] * y + minors[5] * z) / determinant,
    )
