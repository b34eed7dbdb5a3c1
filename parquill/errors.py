"""Exceptions, error kinds, and reasons to stop.

The exception tree (everything Parquill raises on purpose):

    ParquillError
    ├── UsageError            exit 2, before anything is sent
    │   ├── JobError          the job file or an override
    │   ├── ManifestError     the manifest: missing column, repeated id, unreadable file
    │   ├── SchemaError       output.schema or output.functions
    │   ├── OutputError       in use, of another job, not writable, no space
    │   └── EstimateAboveError  the estimate is above --max-usd
    ├── EndpointRefusedError  exit 5: the endpoint refuses the run (key, credit, model)
    ├── StorageFullError      exit 4: disk full while running; what came is kept
    ├── StorageFaultError     exit 1: a write or sync failed
    └── RowError              one row's fault: it becomes data and never leaves the row

A row's fault is a value in the output (`ErrorKind`), a run's fault stops the run cleanly
(`Stop`). The classifier that turns an endpoint's reply into one or the other is `replies/verdicts.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum


class ErrorKind(StrEnum):
    """Why a row failed: the values of the output column `error_kind`."""

    BAD_ROW = "bad_row"
    IMAGE_UNREACHABLE = "image_unreachable"
    IMAGE_REFUSED = "image_refused"
    IMAGE_INVALID = "image_invalid"
    DOCUMENT_INVALID = "document_invalid"
    CONTEXT_OVERFLOW = "context_overflow"
    MODERATED = "moderated"
    RATE_LIMITED = "rate_limited"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    SERVER_ERROR = "server_error"
    BAD_RESPONSE = "bad_response"
    TRUNCATED = "truncated"
    INVALID_ANSWER = "invalid_answer"
    BAD_REQUEST = "bad_request"
    REFUSED = "refused"


PASSING_KINDS = frozenset(
    {
        ErrorKind.RATE_LIMITED,
        ErrorKind.TIMEOUT,
        ErrorKind.CONNECTION,
        ErrorKind.SERVER_ERROR,
        ErrorKind.BAD_RESPONSE,
        ErrorKind.IMAGE_UNREACHABLE,
    }
)
"""Faults that may have passed by the next run, which asks these rows again on its own."""


class Stop(StrEnum):
    """Why a run stopped before its last row."""

    BUDGET = "budget"
    DAILY_LIMIT = "daily_limit"
    DEADLINE = "deadline"
    ERROR_RATE = "error_rate"
    COST_ALARM = "cost_alarm"
    DISK_FULL = "disk_full"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    SIGINT = "sigint"
    SIGTERM = "sigterm"


EXIT_STATUS = {
    Stop.BUDGET: 4,
    Stop.DAILY_LIMIT: 4,
    Stop.DEADLINE: 4,
    Stop.ERROR_RATE: 4,
    Stop.COST_ALARM: 4,
    Stop.DISK_FULL: 4,
    Stop.REFUSED: 5,
    Stop.UNREACHABLE: 4,
    Stop.SIGINT: 130,
    Stop.SIGTERM: 143,
}
"""Exit status of a run that stopped; one that went to its end exits 0, or 3 with failed rows."""


class ParquillError(Exception):
    """Base of all that Parquill raises on purpose; its text is written for people."""


class UsageError(ParquillError):
    """Wrong usage, job file or manifest: exit 2, before anything is sent."""


class JobError(UsageError):
    """The job file or an override is wrong."""


class ManifestError(UsageError):
    """The manifest cannot be used as it is."""


class SchemaError(UsageError):
    """`output.schema` or `output.functions` cannot be used."""


class OutputError(UsageError):
    """The output is in use, belongs to another job, or cannot be written."""


class ReplaceNeededError(UsageError):
    """A changed setting would take answers out of the table, and no one agreed to it."""

    def __init__(self, what: str, remedy: str, *, may_be_asked: bool) -> None:
        """`what` would happen; `may_be_asked`: whether a person at a terminal may agree now."""
        super().__init__(f"{what}\nNothing was sent, nothing was moved. {remedy}")
        self.what = what
        self.may_be_asked = may_be_asked


class EstimateAboveError(UsageError):
    """The estimate is above what `--max-usd` allows."""


class EndpointRefusedError(ParquillError):
    """The endpoint refuses the run as a whole: key, credit, unknown model, no endpoint."""


class StorageFullError(ParquillError):
    """No space is left on the disk that a running job writes to."""


class StorageFaultError(ParquillError):
    """A write or a sync failed: what was not yet acknowledged must not be trusted."""


class RowError(ParquillError):
    """One row cannot be asked, or its answer cannot be used.

    Raised by modules that work on one row's values, caught where the row's result is made.
    """

    def __init__(self, kind: ErrorKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class row_errors:  # noqa: N801 - used as a function, as `contextlib.suppress` is
    """Make whatever a library raises over one row's value that row's error: `with row_errors(kind, said): …`.

    Every place that reads the value of a cell goes through this: libraries raise more than they say. What
    no value causes passes through: errors of the system and of memory, and those that Parquill raises on purpose.
    """

    __slots__ = ("_kind", "_said", "_system_too")

    def __init__(self, kind: ErrorKind, said: str | Callable[[Exception], str], *, system_too: bool = False) -> None:
        """Say what the row's error will be.

        Args:
            kind: its kind.
            said: what was done with which value ("the picture cannot be opened"), to which the error's class is
                added, never its text: that may hold a signed address or the row's content. Or what makes the whole
                message of the library's error.
            system_too: whether nothing but this value can be meant: then errors of the system and of memory
                are the row's as well.
        """
        self._kind, self._said, self._system_too = kind, said, system_too

    def __enter__(self) -> None:
        return

    def __exit__(self, _: object, error: BaseException | None, traceback: object) -> None:
        if not isinstance(error, Exception) or isinstance(error, ParquillError):
            return
        if isinstance(error, (OSError, MemoryError)) and not self._system_too:
            return
        said = self._said
        message = f"{said}: unexpected {type(error).__name__}" if isinstance(said, str) else said(error)
        raise RowError(self._kind, message) from None
