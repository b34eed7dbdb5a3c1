"""Calibration data: what a job's usage records say of its tokens and its cost, kept for the next run.

One file, `learned.json` in the run's own folder: sums, never a row. It belongs to one realm and
to one way of asking (model, prompt, schema, sampling); a job that asks otherwise begins anew. Where several
processes ask a run, each begins with nothing, and the run learns from all of them (`merge`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from parquill.planning import MissingPictures, Prepared
from parquill.prices import Drift, Surplus
from parquill.tokens import AnswerLength, TokenCounter, UsageRecords
from parquill.workspace import Workspace

_NAME = "learned.json"


@dataclass(frozen=True, slots=True)
class CalibrationData:
    """A counter, a length and a surplus that know what earlier runs were told; all go on learning."""

    counter: TokenCounter
    length: AnswerLength
    surplus: Surplus
    settings: str
    realm: str
    drift: Drift = field(default_factory=Drift)
    """This run's alone."""
    pictureless: MissingPictures = field(default_factory=MissingPictures)
    """This run's alone."""

    @classmethod
    def take_up(cls, opened: Prepared, workspace: Workspace, realm: str) -> CalibrationData:
        """Begin with what was learned before; a file that cannot be read is as none."""
        job, settings = opened.job, opened.asking.identity.digest
        length = AnswerLength(job.model.max_tokens, opened.shape.json_schema)
        known = cls.kept(workspace)
        ours = (known.get("settings"), known.get("realm")) == (settings, realm)
        usage_records, surplus = _loaded(known if ours else {}, length)
        counter = TokenCounter(job.model, hidden_text=opened.shape.hidden_text, usage_records=usage_records)
        return cls(counter, length, surplus, settings, realm)

    @staticmethod
    def kept(workspace: Workspace) -> dict[str, Any]:
        """Return what was kept beside an output; nothing where it cannot be read."""
        try:
            return dict(json.loads((workspace.folder / _NAME).read_bytes()))
        except (OSError, ValueError, TypeError, RecursionError):
            return {}

    def merge(self, told: Mapping[str, Any]) -> None:
        """Merge the data of another process of this run; ignore data of other settings and unreadable data."""
        if (told.get("settings"), told.get("realm")) != (self.settings, self.realm):
            return
        try:
            usage_records, surplus = UsageRecords.load(told["receipts"]), Surplus.load(told["surplus"])
            drift = Drift(**told["drift"])
            self.length.load(told["lengths"])
        except (KeyError, TypeError, AttributeError, ValueError, ArithmeticError):
            return
        self.counter.usage_records.merge(usage_records)
        self.surplus.merge(surplus)
        self.drift.merge(drift)
        self.pictureless.rows += int(told.get("pictureless", 0))

    def keep(self, workspace: Workspace) -> None:
        """Write down what is known now."""
        data = {
            "settings": self.settings,
            "realm": self.realm,
            "receipts": self.counter.usage_records.dump(),
            "lengths": self.length.dump(),
            "surplus": self.surplus.dump(),
            "drift": asdict(self.drift),
            "pictureless": self.pictureless.rows,
        }
        workspace.storage().write_bytes(_NAME, json.dumps(data).encode())


def _loaded(known: dict[str, Any], length: AnswerLength) -> tuple[UsageRecords, Surplus]:
    """Usage records and surplus, and the length taught, where all three can be read."""
    try:
        usage_records, surplus = UsageRecords.load(known["receipts"]), Surplus.load(known["surplus"])
        length.load(known["lengths"])
    except (KeyError, TypeError, AttributeError, ValueError, ArithmeticError):
        return UsageRecords(), Surplus()
    return usage_records, surplus
