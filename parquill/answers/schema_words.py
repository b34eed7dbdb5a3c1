"""Reads every word of a schema that can decide an answer: refuses misspelt ones, notes those that do nothing.

Also makes sure that every reference leads somewhere. Definitions that nothing refers to are not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from parquill.answers import keywords
from parquill.answers.schema_document import SchemaDocument, pointer, subschemas
from parquill.answers.schema_references import LocalReferences, LostReferenceError, Place

_DRAFTS = ("4", "6", "7", "2019-09", "2020-12")
_CONTAINERS = frozenset({"$defs", "definitions"})
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_NAMED = 12
"""Words that one notice names."""


@dataclass(slots=True)
class WordsRead:
    """What was found."""

    ignored: dict[str, str] = field(default_factory=dict)
    """Words that are none of JSON Schema's, with the first place of each."""
    idle: dict[str, str] = field(default_factory=dict)
    """Words of JSON Schema that do nothing where they stand, with why."""
    check_only: bool = False
    """The schema restricts answers by words that no request shows."""

    def notices(self) -> list[str]:
        """Return what the user should know, one notice for each kind."""
        said = []
        if self.ignored:
            said.append(
                f"ignored, being no words of JSON Schema: {_listed([f'{w} ({at})' for w, at in self.ignored.items()])}"
            )
        if self.idle:
            said.append(f"without effect: {_listed([f'{at}: {why}' for at, why in self.idle.items()])}")
        return said


def read_words(document: SchemaDocument, references: LocalReferences) -> WordsRead:
    """Check the words of a document.

    Raises:
        SchemaError: A word is nearly a real one, or a reference leads to nothing.
    """
    found = WordsRead()
    for schema, place, base in _reachable(document, references):
        for word, held in schema.items():
            _check_word(document, found, word, held, place)
        _check_effect(document, found, schema, place)
        form = schema.get("format")
        if isinstance(form, str):
            _check_format(document, found, form, place)
        for word in _REFERENCES:
            if isinstance(schema.get(word), str):
                _check_reference(document, references, schema[word], base, (*place, word))
    return found


def _check_word(document: SchemaDocument, found: WordsRead, word: str, held: Any, place: Place) -> None:
    if word in keywords.CHECK_ONLY:
        found.check_only = True
    if word in keywords.SILENT:
        return
    if word in keywords.DRAFT_3:
        said = f"{word!r} is a word of draft 3; write {keywords.DRAFT_3[word]!r}"
        raise document.fault((*place, word), said)
    near = keywords.misspelt(word)
    if near is not None and keywords.could_hold(near, held):
        raise document.fault((*place, word), f"{word!r} is not a word of JSON Schema; did you mean {near!r}?")
    found.ignored.setdefault(word, pointer([*place, word]))


def _check_effect(document: SchemaDocument, found: WordsRead, schema: dict[str, Any], place: Place) -> None:
    """Note words for another type than the schema's, and words that are newer than its draft."""
    given = set(keywords.type_names(schema.get("type")))
    if given & {"integer", "number"}:
        given |= {"integer", "number"}
    for word in schema.keys() & keywords.RESTRICTING:
        at = pointer([*place, word])
        fitting = {kind for kind in keywords.TYPES if word in keywords.words_for(kind)}
        if given and fitting and not fitting & given and word != "format":
            found.idle.setdefault(at, f"a word for {' or '.join(sorted(fitting))}")
        since = keywords.SINCE.get(word)
        if since is not None and _DRAFTS.index(since) > _DRAFTS.index(document.draft):
            found.idle.setdefault(at, f"new in draft {since}, and this schema is of draft {document.draft}")


def _check_format(document: SchemaDocument, found: WordsRead, form: str, place: Place) -> None:
    at = (*place, "format")
    if form in keywords.TYPED_FORMATS | keywords.CHECKED_FORMATS | keywords.UNCHECKED_FORMATS:
        return
    near = keywords.nearest(form, keywords.TYPED_FORMATS | keywords.CHECKED_FORMATS, cutoff=0.85)
    if near:
        raise document.fault(at, f"{form!r} is not a known format{near}")
    found.idle.setdefault(pointer([*at]), f"the format {form!r} is not known, so it is not checked")


def _check_reference(
    document: SchemaDocument, references: LocalReferences, reference: str, base: str, place: Place
) -> None:
    try:
        references.find(reference, base)
    except LostReferenceError as error:
        if not is_meta(reference):
            raise document.fault(place, f"{reference!r} {error}") from None


def is_meta(reference: str) -> bool:
    """Tell whether a reference is to JSON Schema's own schema of schemas, which every validator holds."""
    return reference.rsplit("://", maxsplit=1)[-1].startswith("json-schema.org/draft")


def _reachable(document: SchemaDocument, references: LocalReferences) -> Iterator[tuple[dict[str, Any], Place, str]]:
    """Give every schema that an answer can be checked by, once."""
    seen: set[int] = set()
    left: list[tuple[Any, Place]] = [(document.root, ())]
    while left:
        schema, place = left.pop()
        if not isinstance(schema, dict) or id(schema) in seen:
            continue
        seen.add(id(schema))
        base = references.base_of(schema, "")
        yield schema, place, base
        left += [(inner, (*place, *steps)) for steps, inner in subschemas(schema) if steps[0] not in _CONTAINERS]
        for word in _REFERENCES:
            if isinstance(schema.get(word), str):
                try:
                    target = references.find(schema[word], base)
                except LostReferenceError:
                    continue
                left.append((target.schema, target.place))


def _listed(items: list[str]) -> str:
    more = f" and {len(items) - _NAMED} more" if len(items) > _NAMED else ""
    return ", ".join(items[:_NAMED]) + more
