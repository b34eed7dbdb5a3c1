"""Where a run's things are, and who looks on."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from parquill.batch.endpoint import EndpointFacts
from parquill.batch.loop import RunLoop
from parquill.batch.portions import Portions, Spread
from parquill.batch.watch import Watch
from parquill.client import Client
from parquill.ledger import Ledger
from parquill.storage import Storage
from parquill.workspace import Workspace

Attach = Callable[[RunLoop, Watch], contextlib.AbstractAsyncContextManager[None]]
"""What is entered while rows are asked: progress, signals."""


@contextlib.asynccontextmanager
async def unwatched(_: RunLoop, __: Watch) -> AsyncIterator[None]:
    """Nobody looks."""
    yield


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run's things are."""

    workspace: Workspace
    output: Storage
    ledger: Ledger
    client: Client
    facts: EndpointFacts
    portions: Portions
    spread: Spread | None = None
    """Has a part of the work done by other processes before this one asks what is left."""
