"""A JSON value that fits a JSON Schema, as a guided decoder would write it.

Kinds understood: type (one or several), properties, required, additionalProperties, items,
prefixItems, enum, const, anyOf, oneOf, allOf, local $ref, minimum and its like, multipleOf,
minLength, maxLength, minItems, maxItems, uniqueItems, the formats date, time, date-time,
uuid, email, uri, and pattern as far as `patterns` reads it. Optional properties are written,
as models do under a grammar, until a recursive schema has gone deep enough.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from parquill.emulator.patterns import matching_text
from parquill.emulator.prose import phrase

DEEP = 6
"""From this depth on the shortest way out of a recursive schema is taken."""

HOPELESS = 40
"""A schema that is still not at its end here demands an endless value."""

Schema = Mapping[str, Any]


class SchemaUnusableError(Exception):
    """No value can be written: it would have no end, a $ref leads nowhere, or it is no schema."""


class SchemaWriter:
    """Writes values for one schema; `words` is about how long a free text of the top level gets."""

    def __init__(self, root: Schema, rng: random.Random, words: int = 6) -> None:
        self._root = root
        self._rng = rng
        self._words = max(1, words)

    def value(self) -> Any:
        """Return a JSON value; raises `SchemaUnusableError` for what cannot be written."""
        try:
            return self._write(self._root, 0)
        except (AttributeError, TypeError, ValueError, LookupError) as error:
            raise SchemaUnusableError(f"not a usable schema: {error}") from error

    def _write(self, schema: Any, depth: int) -> Any:
        if depth > HOPELESS:
            raise SchemaUnusableError("the schema allows no finite value")
        if not isinstance(schema, Mapping):
            return phrase(self._rng, 2)
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._rng.choice(schema["enum"])
        for union in ("anyOf", "oneOf"):
            if schema.get(union):
                rest = {key: value for key, value in schema.items() if key != union}
                return self._write(_merged(rest, self._branch(schema[union], depth)), depth + 1)
        return self._of_kind(self._kind(schema, depth), schema, depth)

    def _of_kind(self, kind: str, schema: Schema, depth: int) -> Any:
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            return self._array(schema, depth)
        if kind == "string":
            return self._string(schema, depth)
        if kind in ("integer", "number"):
            return self._number(schema, kind)
        if kind == "boolean":
            return self._rng.random() < 0.5
        if kind == "null":
            return None
        raise SchemaUnusableError(f"unknown type {kind!r}")

    def _resolved(self, schema: Schema) -> Schema:
        for _ in range(HOPELESS):
            if "$ref" in schema:
                rest = {key: value for key, value in schema.items() if key != "$ref"}
                schema = _merged(rest, self._target(schema["$ref"]))
            elif "allOf" in schema:
                parts = schema["allOf"]
                schema = {key: value for key, value in schema.items() if key != "allOf"}
                for part in parts:
                    schema = _merged(schema, self._resolved(part))
            else:
                return schema
        raise SchemaUnusableError("a $ref leads to itself")

    def _target(self, reference: str) -> Schema:
        node: Any = self._root
        if not reference.startswith("#"):
            raise SchemaUnusableError(f"{reference} leads outside the schema")
        for step in filter(None, reference[1:].split("/")):
            key = step.replace("~1", "/").replace("~0", "~")
            node = node.get(key) if isinstance(node, Mapping) else None
        if not isinstance(node, Mapping):
            raise SchemaUnusableError(f"{reference} leads nowhere")
        return node

    def _branch(self, branches: list[Schema], depth: int) -> Schema:
        if depth >= DEEP:
            return min(branches, key=_weight)
        full = [branch for branch in branches if branch.get("type") != "null"]
        if not full or (len(full) < len(branches) and self._rng.random() < 0.15):
            return min(branches, key=_weight)
        return self._rng.choice(full)

    def _kind(self, schema: Schema, depth: int) -> str:
        kind = schema.get("type")
        if isinstance(kind, list):
            return str(self._branch([{"type": one} for one in kind], depth)["type"])
        if isinstance(kind, str):
            return kind
        if "properties" in schema or "additionalProperties" in schema:
            return "object"
        if "items" in schema or "prefixItems" in schema:
            return "array"
        return "number" if "minimum" in schema or "maximum" in schema else "string"

    def _object(self, schema: Schema, depth: int) -> dict[str, Any]:
        properties = schema.get("properties", {})
        required = schema.get("required", ())
        written = {
            name: self._write(part, depth + 1)
            for name, part in properties.items()
            if name in required or (depth < DEEP and part is not False)
        }
        more = schema.get("additionalProperties", {})
        wanted = [name for name in required if name not in written]
        least = schema.get("minProperties", 2 if isinstance(more, Mapping) and more and not properties else 0)
        while len(written) + len(wanted) < least:
            wanted.append(f"simulated_{len(written) + len(wanted) + 1}")
        for name in wanted:
            written[name] = self._write(more, depth + 1)
        return written

    def _array(self, schema: Schema, depth: int) -> list[Any]:
        firsts = [self._write(part, depth + 1) for part in schema.get("prefixItems", ())]
        items = schema.get("items", {})
        least = schema.get("minItems", 0)
        most = schema.get("maxItems", max(least, 4))
        if items is False or depth >= DEEP:
            most = max(least, len(firsts) if items is False else 0)
        wanted = self._rng.randint(max(least, min(1, most)), max(most, least)) if most else 0
        written = firsts[: max(wanted, least)]
        for _ in range(20 * max(wanted, 1)):
            if len(written) >= wanted:
                break
            item = self._write(items, depth + 1)
            if not schema.get("uniqueItems") or item not in written:
                written.append(item)
        return written

    def _string(self, schema: Schema, depth: int) -> str:
        made = _FORMATS.get(schema.get("format", ""))
        if made:
            return made(self._rng)
        least, most = schema.get("minLength", 0), schema.get("maxLength", math.inf)
        if "pattern" in schema:
            for _ in range(20):
                text = matching_text(schema["pattern"], self._rng)
                if text is not None and least <= len(text) <= most:
                    return text
        words = max(1, round(self._words * self._rng.uniform(0.5, 1.5))) if depth <= 1 else self._rng.randint(1, 2)
        text = f"simulated {phrase(self._rng, words)}"
        while len(text) < least:
            text += f" {phrase(self._rng, 8)}"
        return text if len(text) <= most else text[: int(most)].rstrip().ljust(least, "s")

    def _number(self, schema: Schema, kind: str) -> int | float:
        low = schema.get("minimum", schema.get("exclusiveMinimum"))
        high = schema.get("maximum", schema.get("exclusiveMaximum"))
        if low is None:
            low = min(0, high - 100) if high is not None else 0
        if high is None:
            high = max(low + 100, 100) if kind == "integer" else low + max(1.0, abs(low))
        step = schema.get("multipleOf", 1 if kind == "integer" else None)
        if step is None:
            return self._real(schema, low, high)
        first = math.ceil(low / step) + (schema.get("exclusiveMinimum") == math.ceil(low / step) * step)
        last = math.floor(high / step) - (schema.get("exclusiveMaximum") == math.floor(high / step) * step)
        chosen = self._rng.randint(first, max(first, last)) * Decimal(str(step))
        return int(chosen) if kind == "integer" else float(chosen)

    def _real(self, schema: Schema, low: float, high: float) -> float:
        open_end = {schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")}
        for digits in (2, 4, 8):
            value = round(self._rng.uniform(low, high), digits)
            if low <= value <= high and value not in open_end:
                return value
        return low if low not in open_end else (low + high) / 2


def _merged(first: Schema, second: Schema) -> Schema:
    """Join two schemas that both hold: properties and required add up, other keys prefer the second."""
    joined = {**first, **second}
    if "properties" in first and "properties" in second:
        joined["properties"] = {**first["properties"], **second["properties"]}
    if "required" in first and "required" in second:
        joined["required"] = [*first["required"], *second["required"]]
    return joined


def _weight(schema: Schema) -> int:
    """How soon a branch ends: null, then scalars, then what may recurse."""
    kind = schema.get("type")
    if kind == "null" or "const" in schema or "enum" in schema:
        return 0
    return 1 if kind in ("boolean", "integer", "number", "string") else 2 if "$ref" not in schema else 3


def _date(rng: random.Random) -> str:
    return f"{rng.randint(2000, 2026)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"


def _time(rng: random.Random) -> str:
    return f"{rng.randint(0, 23):02}:{rng.randint(0, 59):02}:{rng.randint(0, 59):02}Z"


def _uuid(rng: random.Random) -> str:
    digits = f"{rng.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


_FORMATS: dict[str, Callable[[random.Random], str]] = {
    "date": _date,
    "time": _time,
    "date-time": lambda rng: f"{_date(rng)}T{_time(rng)}",
    "uuid": _uuid,
    "email": lambda rng: f"simulated{rng.randint(1, 999)}@example.com",
    "uri": lambda rng: f"https://example.com/simulated/{rng.randint(1, 999)}",
    "ipv4": lambda rng: f"192.0.2.{rng.randint(1, 254)}",
    "hostname": lambda rng: f"simulated{rng.randint(1, 999)}.example.com",
}
