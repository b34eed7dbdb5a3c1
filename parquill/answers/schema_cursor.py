"""Position while a schema is read: in the document and in the answer, with the notices so far."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from parquill.answers.schema_document import SchemaDocument
from parquill.answers.schema_references import LocalReferences
from parquill.errors import SchemaError


@dataclass(slots=True)
class SchemaCursor:
    """One pass over one document: what is counted and said on the way."""

    document: SchemaDocument
    references: LocalReferences
    notices: list[str] = field(default_factory=list)
    nodes: int = 0

    def fault(self, place: tuple[str | int, ...], message: str) -> SchemaError:
        """Make the error for one place."""
        return self.document.fault(place, message)

    def say(self, place: SchemaLocation, why: str) -> None:
        """Note, once, that a value has no column type of its own."""
        text = f"{place.answer}: {why}, so it is kept as JSON text"
        if text not in self.notices:
            self.notices.append(text)


@dataclass(frozen=True, slots=True)
class SchemaLocation:
    """Where a schema stands in its document, where its value stands in an answer, and how it was reached."""

    schema: tuple[str | int, ...] = ()
    answer: str = "answer"
    through: tuple[str, ...] = ()
    """The references followed from the top to here."""
    depth: int = 0

    def down(self, *steps: str | int, answer: str = "") -> SchemaLocation:
        """Return the place of a schema inside this one."""
        return replace(self, schema=(*self.schema, *steps), answer=self.answer + answer, depth=self.depth + 1)
