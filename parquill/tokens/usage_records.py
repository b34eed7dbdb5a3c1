"""Usage records: the endpoint's own token counts against ours, by provider and picture.

For each provider a line is fitted: counted = (1 + ratio) x text + offset + picture x pictures, where
`text` is the formula's count without pictures. It is a least-squares fit with a prior at zero (no
correction), so that one usage record is believed in part, fifty settle it, and a job whose rows are all
alike still has an answer. The longer its text, the less a usage record weighs: errors grow with length. How
far usage records scatter around the line says how sure the next ones are.

Before a request is sent it is not known who will answer, so its correction is the mean over the
providers, each weighed by its share of the usage records.

A provider is what the endpoint calls one: it may name another with each reply. So the first `MOST_PROVIDERS`
names have a line each, all later ones share one, and a usage record fits its own provider's line alone: what a reply
costs here, and what is kept, does not grow with the names.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from parquill.tokens.ridge import Line, RidgeSums, finite, student

RATIO_SD, OFFSET_SD, PICTURE_SD = 0.05, 10.0, 5.0
"""The prior: how far a server's counting may plausibly be from the formula's, one sigma. Variants of
the template and pictures of 256 to 270 tokens lie within two; hidden texts show in a few usage records."""

TEXT_SD = 0.05
"""A usage record's own noise: one token, and this share of its text (the fitted table's spread)."""

SURPRISE = 10.0
"""So many usage records that agree on something the prior thinks impossible widen it half of the way: another
tokenizer counts a kind of text half as much again."""

NOISE_WORTH = 2.0
"""The usage records' own noise as it is thought to be counts as so many of them."""

SETTLED = 64
"""From this many usage records on, a provider's fit is renewed with every eighth more of them, not each time."""

MOST_PROVIDERS = 64
"""Names that have a line of their own; a model on OpenRouter has one or two dozen providers."""
OTHERS = "(others)"
"""What all further names are called."""
LONGEST_NAME = 100
"""Characters of a name that count."""


@dataclass(slots=True)
class _Provider:
    """One provider's usage records, and the line through them."""

    sums: RidgeSums = field(default_factory=RidgeSums)
    line: Line = field(default_factory=Line)
    noise: float = 1.0
    """The variance of a usage record of weight 1 around the line."""
    fitted_at: int = 0
    """How many usage records there were when the line was fitted."""

    @property
    def is_due(self) -> bool:
        """Whether so many usage records came since that the line is worth another fit."""
        count, more = self.sums.count, self.sums.count - self.fitted_at
        return more > 0 if count <= SETTLED else more > self.fitted_at // 8

    def fit(self) -> None:
        """Fit the line to all usage records, where any came since."""
        sums, noise, line = self.sums, 1.0, Line()
        if self.fitted_at == sums.count:
            return
        believed = sums.count / (sums.count + SURPRISE)
        for _ in range(3):
            ratio_sd = math.hypot(RATIO_SD, believed * line.ratio)
            picture_sd = math.hypot(PICTURE_SD, believed * line.picture)
            line = sums.solve((ratio_sd, OFFSET_SD, picture_sd), noise)
            noise = (NOISE_WORTH + line.rest) / (NOISE_WORTH + line.freedom)
        self.line, self.noise, self.fitted_at = line, noise, sums.count


class UsageRecords:
    """One job's usage records over all its runs: `dump` them with a run's record, `load` them in the next."""

    def __init__(self) -> None:
        self._providers: dict[str, _Provider] = {}
        self._count = 0
        self._correction = Line()
        self._upper_factor = 1.0

    @property
    def count(self) -> int:
        """How many usage records were taken."""
        return self._count

    @property
    def correction(self) -> Line:
        """What to add before it is known who will answer."""
        return self._correction

    @property
    def upper_factor(self) -> float:
        """What every upper bound is multiplied with: above 1 once a usage record was above its bound."""
        return self._upper_factor

    def for_provider(self, provider: str | None) -> Line:
        """The correction for one provider; none where it has no usage records."""
        known = self._providers.get(self._name(provider))
        if known is None:
            return Line()
        known.fit()
        return known.line

    def error(self, rows: int, text: float, text_squares: float, images: int, worth: float = 1.0) -> float:
        """Standard error of the corrected count of so many requests together, 1.96 of which hold 95 %: `text`
        and `text_squares` are sums over the requests of their texts' formula tokens, and of their squares.
        `worth`: if there were so many times the usage records."""
        at = text / rows, images / rows
        self._fit_all()
        fits = [(one.sums.count / self._count, one.line, one.noise) for one in self._providers.values()]
        mean = sum(share * line.apply(*at) for share, line, _ in fits)
        between = sum(share * (line.apply(*at) - mean) ** 2 for share, line, _ in fits)
        noise = sum(share * one for share, _, one in fits)
        own = noise * (rows + TEXT_SD**2 * text_squares) + between * rows
        shared = sum(share**2 * line.variance(*at) for share, line, _ in fits) + between / self._count
        freedom = sum(line.freedom for _, line, _ in fits) + NOISE_WORTH
        return student(freedom) * math.sqrt(own + rows**2 * shared / worth)

    def add(self, text: float, images: int, error: float, provider: str | None) -> None:
        """Take a usage record: `error` is what was counted less the formula's whole count."""
        known = self._provider(provider)
        known.sums.add(text, images, error, 1.0 / (1.0 + (TEXT_SD * text) ** 2))
        self._count += 1
        if known.is_due:
            known.fit()
            self._weigh()

    def raise_upper(self, upper: int, counted: int) -> None:
        """Raise all bounds so that one of `upper` would have held `counted`, and a tenth beyond."""
        self._upper_factor = max(self._upper_factor, self._upper_factor * counted / max(upper, 1) * 1.1)

    def merge(self, other: UsageRecords) -> None:
        """Take all usage records of another process that asked for the same job."""
        self._upper_factor = max(self._upper_factor, other._upper_factor)
        self._take({name: one.sums for name, one in other._providers.items()})

    def dump(self) -> dict[str, Any]:
        """The state as JSON values."""
        providers = {name: one.sums.dump() for name, one in self._providers.items()}
        return {"upper_factor": self._upper_factor, "providers": providers}

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> UsageRecords:
        """Take up what `dump` returned. Raises `ValueError` when it is something else."""
        usage_records = cls()
        try:
            sums = {str(name): RidgeSums.load(one) for name, one in state["providers"].items()}
            usage_records._upper_factor = max(1.0, *finite([state["upper_factor"]], 1))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not calibration data: {error}") from error
        usage_records._take(sums)
        return usage_records

    def _take(self, found: Mapping[str, RidgeSums]) -> None:
        """Take usage records by provider; those that answered most keep their names."""
        for name, sums in sorted(found.items(), key=lambda one: -one[1].count):
            if sums.count:
                self._provider(name).sums.merge(sums)
                self._count += sums.count
        self._fit_all()
        self._weigh()

    def _provider(self, said: str | None) -> _Provider:
        """Whose usage record it is; of a new name while fewer than the most are kept, else of all others together."""
        name = self._name(said)
        if name not in self._providers and len(self._providers) >= MOST_PROVIDERS:
            name = OTHERS
        return self._providers.setdefault(name, _Provider())

    @staticmethod
    def _name(said: str | None) -> str:
        return (said or "")[:LONGEST_NAME]

    def _fit_all(self) -> None:
        for one in self._providers.values():
            one.fit()

    def _weigh(self) -> None:
        """Make the correction the mean of the lines."""
        fits = [(one.sums.count / self._count, one.line) for one in self._providers.values()]
        self._correction = Line(
            sum(share * line.ratio for share, line in fits),
            sum(share * line.offset for share, line in fits),
            sum(share * line.picture for share, line in fits),
        )
