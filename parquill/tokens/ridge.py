r"""A straight line through usage records: y = ratio x text + offset + picture x pictures, with a prior.

Bayesian least squares with a normal prior on each of the three (ridge regression). For the sums A = X'WX and
b = X'Wy, the prior's precisions L (around 0) and the noise's variance s2:

    line = (A + s2 L)^-1 b,   covariance = s2 (A + s2 L)^-1

`freedom` are the observations less what the line took of them, the trace of A (A + s2 L)^-1: a slope that
the prior holds at zero takes nothing. Few sums are kept, whatever the number of usage records.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Line:
    """A fitted line. Coefficients: for each token of text, for each request, for each picture."""

    ratio: float = 0.0
    offset: float = 0.0
    picture: float = 0.0
    covariance: Vector | None = None
    rest: float = 0.0
    """Weighted squares that the line leaves over."""
    freedom: float = 0.0

    @overload
    def apply(self, text: float, images: float) -> float: ...

    @overload
    def apply(self, text: Vector, images: float | npt.NDArray[np.int64]) -> Vector: ...

    def apply(self, text: Any, images: Any) -> Any:
        """The line's y of a request of `text` tokens (without pictures) and `images`; or of many of them."""
        return self.ratio * text + self.offset + self.picture * images

    def variance(self, text: float, images: float) -> float:
        """Of the line itself at such a request; one observation scatters around it on top."""
        if self.covariance is None:
            return 0.0
        at = np.array((text, 1.0, images))
        return float(at @ self.covariance @ at)


@dataclass(slots=True)
class RidgeSums:
    """Weighted sums of observations: enough for the line, whatever their number."""

    count: int = 0
    xx: list[float] = field(default_factory=lambda: [0.0] * 6)
    """Of text², text, text x pictures, 1, pictures, pictures²."""
    xy: list[float] = field(default_factory=lambda: [0.0] * 3)
    yy: float = 0.0

    def add(self, text: float, images: int, y: float, weight: float = 1.0) -> None:
        """Take an observation."""
        self.count += 1
        xx, xy = self.xx, self.xy
        weighted = weight * text
        xx[0] += weighted * text
        xx[1] += weighted
        xx[2] += weighted * images
        xx[3] += weight
        xx[4] += weight * images
        xx[5] += weight * images * images
        xy[0] += weighted * y
        xy[1] += weight * y
        xy[2] += weight * images * y
        self.yy += weight * y * y

    def merge(self, other: RidgeSums) -> None:
        """Take all observations of another."""
        self.count += other.count
        self.xx = [one + more for one, more in zip(self.xx, other.xx, strict=True)]
        self.xy = [one + more for one, more in zip(self.xy, other.xy, strict=True)]
        self.yy += other.yy

    def solve(self, deviations: Sequence[float], noise: float) -> Line:
        """Fit the line; `deviations` are the prior's, one sigma each, `noise` is the variance of a weight of 1."""
        a, b, c, d, e, f = self.xx
        sums = np.array(((a, b, c), (b, d, e), (c, e, f)))
        prior = noise * np.array(deviations, float) ** -2
        inverse = np.linalg.inv(sums + np.diag(prior))
        right = np.array(self.xy)
        line = inverse @ right
        rest = max(0.0, self.yy - 2 * float(line @ right) + float(line @ sums @ line))
        taken = 3.0 - float(prior @ np.diag(inverse))
        ratio, offset, picture = (float(value) for value in line)
        return Line(ratio, offset, picture, noise * inverse, rest, self.count - taken)

    def dump(self) -> dict[str, Any]:
        """The sums as JSON values."""
        return {"count": self.count, "xx": self.xx, "xy": self.xy, "yy": self.yy}

    @classmethod
    def load(cls, state: Any) -> RidgeSums:
        """Take up what `dump` returned. Raises `ValueError` when it is something else."""
        try:
            count, yy = finite([state["count"], state["yy"]], 2)
            if count < 0:
                raise ValueError("not calibration data: it counts less than none")
            return cls(int(count), finite(state["xx"], 6), finite(state["xy"], 3), yy)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not calibration data: {error}") from error


def finite(values: Any, length: int) -> list[float]:
    """Read so many numbers; raises `ValueError` for what is none."""
    try:
        numbers = [float(value) for value in values]
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"not calibration data: {error}") from error
    if len(numbers) != length or not all(math.isfinite(number) for number in numbers):
        raise ValueError(f"not calibration data: {length} finite numbers are wanted")
    return numbers


def student(freedom: float) -> float:
    """The 97.5 % quantile of Student's t, in units of the normal one (1.96): how much wider few
    observations make an interval. Cornish and Fisher's expansion; within 1 % from 3 degrees on."""
    z, f = 1.959964, max(freedom, 1.0)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return 1 + sum(term / f**power for power, term in enumerate(terms, 1)) / z
