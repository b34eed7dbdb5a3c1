"""What a job's receipts say of its tokens, kept beside the output so that the next run begins with it.

One file, `learned.json` in the run's own folder: sums, never a row. It belongs to one realm and
to one way of asking (model, prompt, schema, sampling); a job that asks otherwise begins anew.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from parquill.batch.prepare import Prepared
from parquill.tokens import AnswerLength, Receipts, TokenCounter
from parquill.workspace import Workspace

_NAME = "learned.json"


@dataclass(frozen=True, slots=True)
class Lessons:
    """A counter and a length that know what earlier runs were told; both go on learning."""

    counter: TokenCounter
    length: AnswerLength
    settings: str
    realm: str

    @classmethod
    def take_up(cls, opened: Prepared, workspace: Workspace, realm: str) -> Lessons:
        """Begin with what was learned before; a file that cannot be read is as none."""
        job, settings = opened.job, opened.asking.settings_digest
        known = _read(workspace, settings, realm)
        receipts = _loaded(known)
        counter = TokenCounter(job.model, hidden_text=opened.shape.digest_source.decode(), receipts=receipts)
        length = AnswerLength(job.model.max_tokens, opened.shape.json_schema)
        if receipts is not None:
            length.load(known["lengths"])
        return cls(counter, length, settings, realm)

    def keep(self, workspace: Workspace) -> None:
        """Write down what is known now."""
        data = {
            "settings": self.settings,
            "realm": self.realm,
            "receipts": self.counter.receipts.dump(),
            "lengths": self.length.dump(),
        }
        workspace.storage().write_whole(_NAME, lambda sink: sink.write(json.dumps(data).encode()))


def _read(workspace: Workspace, settings: str, realm: str) -> dict[str, Any]:
    path = workspace.folder / _NAME
    try:
        data = json.loads(path.read_bytes())
        return dict(data) if (data["settings"], data["realm"]) == (settings, realm) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _loaded(known: dict[str, Any]) -> Receipts | None:
    """The receipts, where lengths and they can both be read."""
    try:
        AnswerLength(1).load(known["lengths"])
        return Receipts.load(known["receipts"])
    except (KeyError, ValueError):
        return None
