"""Objects that one run shares: workspace, storage, ledger, client, endpoint facts."""

from __future__ import annotations

import random
from dataclasses import dataclass

from parquill.endpoint import Endpoint, EndpointFacts
from parquill.ledger import Ledger
from parquill.portions import Portions
from parquill.storage import Storage
from parquill.workspace import Workspace


@dataclass(frozen=True, slots=True)
class RunContext:
    """Objects that one run shares."""

    workspace: Workspace
    output: Storage
    ledger: Ledger
    endpoints: tuple[Endpoint, ...]
    facts: EndpointFacts
    """What holds for a row before it is known to which endpoint it goes."""
    portions: Portions
    rng: random.Random
    """Spreads waits."""
