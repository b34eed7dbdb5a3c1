"""Saved estimate, compared with the real cost of the run it was made for."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from parquill.cost_range import CostRange
from parquill.workspace import Workspace

_NAME = "estimate.json"


@dataclass(frozen=True, slots=True)
class SavedEstimate:
    """An estimate's cost, and what it was made for: a way of asking, a realm, rows not yet answered."""

    settings: str
    realm: str
    rows: int
    cost: CostRange

    def keep(self, workspace: Workspace) -> None:
        """Write it down beside the output; the newest counts."""
        data = json.dumps(asdict(self)).encode()
        workspace.storage().write_bytes(_NAME, data)

    @classmethod
    def made_for(cls, workspace: Workspace, *, settings: str, realm: str, rows: int) -> CostRange | None:
        """Return the saved estimate of this very work; None where there is none, or it is of other work."""
        try:
            data = json.loads((workspace.folder / _NAME).read_bytes())
            saved_estimate = cls(data["settings"], data["realm"], data["rows"], CostRange.load(data["cost"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError):
            return None
        return saved_estimate.cost if saved_estimate == cls(settings, realm, rows, saved_estimate.cost) else None
