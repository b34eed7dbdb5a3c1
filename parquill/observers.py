"""Observer hooks: read the run's state, stop it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from parquill.errors import Stop
from parquill.run_state import RunState


class Stoppable(Protocol):
    """A run, in one process or in several."""

    def stop(self, reason: Stop, message: str, *, grace: float = ...) -> None:
        """Admit nothing more; requests in flight get `grace` seconds."""


class Watched(Protocol):
    """State of a run that observers may read."""

    def state(self) -> RunState:
        """Return the run at this moment."""


Attach = Callable[[Stoppable, Watched], contextlib.AbstractAsyncContextManager[None]]
"""Context manager that is entered while rows are asked (progress, signals); in a shared run twice."""


@contextlib.asynccontextmanager
async def unwatched(_: Stoppable, __: Watched) -> AsyncIterator[None]:
    """Default hook: does nothing."""
    yield
