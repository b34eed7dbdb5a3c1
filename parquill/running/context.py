"""Objects that one run shares: workspace, storage, ledger, client, endpoint facts."""

from __future__ import annotations

import random
from dataclasses import dataclass

from parquill.client import Transport
from parquill.endpoint import EndpointFacts
from parquill.ledger import Ledger
from parquill.portions import Portions
from parquill.storage import Storage
from parquill.workspace import Workspace


@dataclass(frozen=True, slots=True)
class RunContext:
    """Where a run's things are."""

    workspace: Workspace
    output: Storage
    ledger: Ledger
    client: Transport
    facts: EndpointFacts
    portions: Portions
    rng: random.Random
    """Spreads waits."""
