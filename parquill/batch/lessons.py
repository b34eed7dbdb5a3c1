"""What a job's receipts say of its tokens and its cost, kept beside the output so that the next run begins with it.

One file, `learned.json` in the run's own folder: sums, never a row. It belongs to one realm and
to one way of asking (model, prompt, schema, sampling); a job that asks otherwise begins anew.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from parquill.batch.prepare import Prepared
from parquill.prices import Drift, Surplus
from parquill.tokens import AnswerLength, Receipts, TokenCounter
from parquill.workspace import Workspace

_NAME = "learned.json"


@dataclass(frozen=True, slots=True)
class Lessons:
    """A counter, a length and a surplus that know what earlier runs were told; all go on learning."""

    counter: TokenCounter
    length: AnswerLength
    surplus: Surplus
    settings: str
    realm: str
    drift: Drift = field(default_factory=Drift)
    """This run's alone."""

    @classmethod
    def take_up(cls, opened: Prepared, workspace: Workspace, realm: str) -> Lessons:
        """Begin with what was learned before; a file that cannot be read is as none."""
        job, settings = opened.job, opened.asking.settings_digest
        length = AnswerLength(job.model.max_tokens, opened.shape.json_schema)
        receipts, surplus = _loaded(_read(workspace, settings, realm), length)
        counter = TokenCounter(job.model, hidden_text=opened.shape.digest_source.decode(), receipts=receipts)
        return cls(counter, length, surplus, settings, realm)

    def keep(self, workspace: Workspace) -> None:
        """Write down what is known now."""
        data = {
            "settings": self.settings,
            "realm": self.realm,
            "receipts": self.counter.receipts.dump(),
            "lengths": self.length.dump(),
            "surplus": self.surplus.dump(),
        }
        workspace.storage().write_whole(_NAME, lambda sink: sink.write(json.dumps(data).encode()))


def _read(workspace: Workspace, settings: str, realm: str) -> dict[str, Any]:
    path = workspace.folder / _NAME
    try:
        data = json.loads(path.read_bytes())
        return dict(data) if (data["settings"], data["realm"]) == (settings, realm) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _loaded(known: dict[str, Any], length: AnswerLength) -> tuple[Receipts, Surplus]:
    """Receipts and surplus, and the length taught, where all three can be read."""
    try:
        receipts, surplus = Receipts.load(known["receipts"]), Surplus.load(known["surplus"])
        length.load(known["lengths"])
    except (KeyError, ValueError):
        return Receipts(), Surplus()
    return receipts, surplus
