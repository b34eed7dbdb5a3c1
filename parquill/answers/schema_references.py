"""Follows `$ref` inside one document: pointers, also into lists and percent-encoded, anchors, and relative `$id`s.

An address outside the document is never fetched; `LocalReferences.find` says that it lies elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

from parquill.answers.schema_document import VALUES, Draft, SchemaDocument, subschemas

Place = tuple[str | int, ...]


class LostReferenceError(LookupError):
    """A reference that leads to no schema of the document; the message says why."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a reference leads to."""

    schema: Any
    place: Place
    base: str
    """The address that references inside it are relative to."""


class LocalReferences:
    """All addresses of one document."""

    def __init__(self, document: SchemaDocument) -> None:
        self._id = "id" if document.draft is Draft.DRAFT4 else "$id"
        self._resources: dict[str, Target] = {"": Target(document.root, (), "")}
        self._anchors: dict[tuple[str, str], Target] = {}
        self._places: dict[int, tuple[Place, str]] = {}
        self._read(document.root, (), "", known=True)

    def place_of(self, schema: Any, otherwise: Place) -> Place:
        """Return where a schema object stands in the document."""
        found = self._places.get(id(schema))
        return found[0] if found else otherwise

    def base_of(self, schema: Any, otherwise: str) -> str:
        """Return the address that references in a schema object are relative to."""
        found = self._places.get(id(schema))
        return found[1] if found else otherwise

    def find(self, reference: str, base: str) -> Target:
        """Return what a reference leads to.

        Raises:
            LostReferenceError: It lies outside the document, or nothing stands there.
        """
        address, fragment = urldefrag(urljoin(base, reference) if base else reference)
        fragment = unquote(fragment)
        resource = self._resources.get(address)
        if resource is None:
            raise LostReferenceError("lies elsewhere; only references within the schema are followed (#/$defs/…)")
        if fragment and not fragment.startswith("/"):
            anchor = self._anchors.get((resource.base, fragment))
            if anchor is None:
                raise LostReferenceError(f"points to nothing: no schema has the anchor {fragment!r}")
            return anchor
        return self._pointed(resource, fragment)

    def _pointed(self, resource: Target, fragment: str) -> Target:
        found: Any = resource.schema
        steps: list[str | int] = []
        for step in fragment.split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, list) and name.isdecimal() and int(name) < len(found):
                steps.append(int(name))
                found = found[int(name)]
            elif isinstance(found, dict) and name in found:
                steps.append(name)
                found = found[name]
            else:
                raise LostReferenceError(f"points to nothing: there is no {name!r}")
        if not isinstance(found, dict | bool):
            raise LostReferenceError("points to what is no schema")
        place = (*resource.place, *steps)
        return Target(found, self.place_of(found, place), self.base_of(found, resource.base))

    def _read(self, schema: Any, place: Place, base: str, *, known: bool) -> None:
        """Note the addresses of a schema and of all inside it; `known`: reached by words that hold schemas."""
        left: list[tuple[Any, Place, str, bool]] = [(schema, place, base, known)]
        while left:
            one, at, within, sure = left.pop()
            if isinstance(one, list):
                left += [(item, (*at, i), within, False) for i, item in enumerate(one)]
            if not isinstance(one, dict) or id(one) in self._places:
                continue
            own = self._own_address(one, at, within) if sure else within
            self._places[id(one)] = (at, own)
            inner = list(subschemas(one)) if sure else []
            left += [(item, (*at, *steps), own, True) for steps, item in inner]
            words = {steps[0] for steps, _ in inner}
            left += [
                (held, (*at, word), own, False)
                for word, held in one.items()
                if word not in VALUES and word not in words
            ]

    def _own_address(self, schema: dict[str, Any], place: Place, base: str) -> str:
        said = schema.get(self._id)
        if isinstance(said, str) and ("$ref" not in schema or not place):
            address, fragment = urldefrag(urljoin(base, said))
            if fragment:
                self._anchors[base, fragment] = Target(schema, place, base)
            elif address:
                base = address
                self._resources.setdefault(address, Target(schema, place, address))
                if not place:
                    self._resources[""] = Target(schema, place, address)
        for word in ("$anchor", "$dynamicAnchor"):
            if isinstance(schema.get(word), str):
                self._anchors[base, schema[word]] = Target(schema, place, base)
        return base
