"""Position while a schema is read: in the document and in the answer, with the notices so far."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from parquill.answers.schema_document import SchemaDocument
from parquill.answers.schema_references import LocalReferences
from parquill.errors import SchemaError

MAX_DEPTH = 24
MAX_NODES = 2_000
"""Ten definitions that each refer ten times to the next make 10**10 values without a cycle."""
RECURSIONS = 3
"""How often a definition may stand inside itself and still have columns."""


class TooManyNodesError(Exception):
    """More values than a column may hold, at this depth."""


@dataclass(slots=True)
class SchemaCursor:
    """One pass over one document: what is counted and said on the way."""

    document: SchemaDocument
    references: LocalReferences
    max_depth: int = MAX_DEPTH
    recursions: int = RECURSIONS
    notices: list[str] = field(default_factory=list)
    nodes: int = 0
    more_than_sent: bool = False
    """The schema restricts answers by more than what is sent."""

    def fault(self, place: tuple[str | int, ...], message: str) -> SchemaError:
        """Make the error for one place."""
        return self.document.fault(place, message)

    def say(self, place: SchemaLocation, why: str) -> None:
        """Note, once, that a value has no column type of its own."""
        text = f"{place.answer}: {why}, so it is kept as JSON text"
        if text not in self.notices:
            self.notices.append(text)

    def count(self) -> None:
        """Count one more value; raises `TooManyNodesError`."""
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise TooManyNodesError


@dataclass(frozen=True, slots=True)
class SchemaLocation:
    """Where a schema stands in its document, where its value stands in an answer, and how it was reached."""

    schema: tuple[str | int, ...] = ()
    answer: str = "answer"
    through: tuple[tuple[str | int, ...], ...] = ()
    """The places of the definitions that were entered by a reference on the way."""
    depth: int = 0

    def down(self, *steps: str | int, answer: str = "") -> SchemaLocation:
        """Return the place of a schema inside this one."""
        return replace(self, schema=(*self.schema, *steps), answer=self.answer + answer, depth=self.depth + 1)
