"""Where a run's things are."""

from __future__ import annotations

import random
from dataclasses import dataclass

from parquill.batch.endpoint import EndpointFacts
from parquill.batch.portions import Portions
from parquill.client import Transport
from parquill.ledger import Ledger
from parquill.storage import Storage
from parquill.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run's things are."""

    workspace: Workspace
    output: Storage
    ledger: Ledger
    client: Transport
    facts: EndpointFacts
    portions: Portions
    rng: random.Random
    """Spreads waits."""
