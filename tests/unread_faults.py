"""A pytest plug-in: a test fails when a task's or future's exception went unread while it ran.

asyncio only logs such an exception, when the task is collected: a run lost half its evidence so,
and ended well. Whatever asyncio logs as an error counts, also what a callback raised. Tasks in a
reference cycle are seen at the end of their file, after a collection.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator

import pytest


class UnreadFaults(logging.Handler):
    """Keeps what asyncio logs as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        fault = record.exc_info[1] if record.exc_info else None
        self.seen.append(f"{record.getMessage()} {fault!r}")

    def fail_on_any(self) -> None:
        """Fail the test that runs now when anything was seen since the last call."""
        seen, self.seen = self.seen, []
        if seen:
            pytest.fail("asyncio found faults that no code read:\n" + "\n".join(seen), pytrace=False)


_faults = UnreadFaults()


@pytest.fixture(autouse=True)
def no_unread_faults() -> Iterator[None]:
    logger = logging.getLogger("asyncio")
    if _faults not in logger.handlers:
        logger.addHandler(_faults)
    yield
    _faults.fail_on_any()


@pytest.fixture(autouse=True, scope="module")
def no_unread_faults_in_cycles() -> Iterator[None]:
    yield
    gc.collect()
    gc.freeze()  # what is left stays, and is not looked at again; a run thaws it
    _faults.fail_on_any()
