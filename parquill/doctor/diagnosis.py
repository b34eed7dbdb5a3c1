"""What an examination finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

_REFUSED = 5
REFUSED_PICTURES = "refused pictures"


class Health(StrEnum):
    """What a finding means for the job."""

    WORKS = "works"
    MIND = "mind"
    """The job can run; a person should know this."""
    FAILS = "fails"
    """The job cannot run as it is."""
    UNKNOWN = "not tried"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    health: Health
    text: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Everything that was found, in the order it was looked at."""

    base_url: str
    findings: tuple[Finding, ...]
    requests: int
    """Chat requests that were sent: at most three."""
    cost_pico: int | None
    """What they cost in pico-USD; None where no price is known."""

    @property
    def can_run(self) -> bool:
        """Whether nothing stands in the job's way."""
        return all(one.health is not Health.FAILS for one in self.findings)

    @property
    def exit_status(self) -> int:
        """0 where the job can run, 5 where the endpoint refuses it."""
        return 0 if self.can_run else _REFUSED

    def of(self, subject: str) -> Finding | None:
        """Return the finding about a subject, or None where it was not looked at."""
        return next((one for one in self.findings if one.subject == subject), None)
