"""Answers that no longer match a job because a setting changed: how many, why, and what is said of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from parquill.text import counted


@dataclass(frozen=True, slots=True)
class Replaced:
    """Answers of the table that changed settings make others, and what becomes of their rows."""

    settings: tuple[str, ...] = ()
    """The settings that changed, by name."""
    answers: int = 0
    """Answers that no longer match."""
    back: int = 0
    """Of their rows, those that are answered at once and at no cost: by the archive or another output."""
    left: int = 0
    """Of their rows, those that this command does not ask: they stand without an answer."""
    staying: int = 0
    """Other answers, which stay."""

    @classmethod
    def of_json(cls, value: Mapping[str, Any]) -> Replaced:
        """Read what `to_json` made."""
        return cls(**{**value, "settings": tuple(value["settings"])})

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return {**asdict(self), "settings": list(self.settings)}

    @property
    def lost(self) -> int:
        """Answers that leave the table with none in their place at once."""
        return self.answers - self.back

    @property
    def what(self) -> str:
        """What no longer matches, and why: one sentence without its stop."""
        match = "matches" if self.answers == 1 else "match"
        return f"{counted(self.answers, 'answer')} no longer {match} the job: {self.why}"

    @property
    def why(self) -> str:
        """The settings that changed, in words."""
        return f"{', '.join(self.settings)} {'was' if len(self.settings) == 1 else 'were'} changed"

    def before(self) -> str:
        """Say what a run would do to the table."""
        said = [
            "To ask their rows again takes them out of the table, into the archive (the earlier setting brings them "
            "back at no cost)."
        ]
        if self.back:
            said.append(f"{self.back:,} of these rows are answered by the archive or another output at no cost.")
        if self.left:
            said.append(f"{self.left:,} of these rows would stand without an answer.")
        if self.staying:
            said.append(f"{counted(self.staying, 'other answer')} {'stays' if self.staying == 1 else 'stay'}.")
        return f"{self.what}.\n{' '.join(said)}"

    def after(self) -> str:
        """Say what a run did to the table."""
        rows = [
            (self.back, "were answered by the archive or another output at no cost"),
            (self.answers - self.back - self.left, "were to be asked again"),
            (self.left, "stand without an answer"),
        ]
        said = ", ".join(f"{number:,} {what}" for number, what in rows if number)
        return f"{self.what}. They went to the archive; of their rows {said}."
