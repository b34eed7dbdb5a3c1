"""Free repairs of values: a number in a string, an enum's case, a date in another form.

A repair is made only where one reading exists; what is left over fails validation and is asked
again. Each repair is noted as `what:where`, for instance `number:price` or `date:items[0].due`:

| note | what was done |
|---|---|
| `key` | a key that differed from a missing property in case, `-`, `_` or spaces was renamed |
| `dropped` | a key without a column was dropped, every property being present |
| `number`, `boolean`, `null` | `"12"`, `"yes"`, `"n/a"` where no string is allowed |
| `enum` | case, spaces, `-` and `_` were brought to those of the one value that fits |
| `date` | a date or time in a common form was brought to ISO 8601 |
| `utc` | a time without a zone was taken as UTC |
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from parquill.answers.dates import iso_datetime, read_date, read_datetime
from parquill.answers.schema_tree import Kind, Node

_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,18})(?:\.\d{1,17})?(?:[eE][+-]?\d{1,2})?")
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)")
_NOTHING = frozenset({"", "null", "none", "n/a", "na", "nil"})
_BOOLEANS = {"true": True, "yes": True, "false": False, "no": False}


def coerce(node: Node, value: Any, where: str, notes: list[str]) -> Any:
    """Return the value with its repairs made, each added to `notes`; the value itself is left as it was."""
    if isinstance(value, str):
        return _mend_string(node, value, where, notes)
    if isinstance(value, dict) and node.kind is Kind.OBJECT:
        return _mend_object(node, value, where, notes)
    if isinstance(value, list) and node.kind is Kind.ARRAY and node.item is not None:
        return [coerce(node.item, item, f"{where}[{i}]", notes) for i, item in enumerate(value)]
    if isinstance(value, dict) and node.kind is Kind.MAP and node.item is not None:
        return {key: coerce(node.item, item, f"{where}.{key}", notes) for key, item in value.items()}
    return value


def _mend_object(node: Node, value: dict[str, Any], where: str, notes: list[str]) -> dict[str, Any]:
    named = _mend_keys([child.name for child in node.fields], value, where, notes)
    by_name = {child.name: child.node for child in node.fields}
    return {
        key: coerce(by_name[key], item, _inside(where, key), notes) if key in by_name else item
        for key, item in named.items()
    }


def _mend_keys(names: list[str], value: dict[str, Any], where: str, notes: list[str]) -> dict[str, Any]:
    """Rename keys that are a missing property but for their form; drop unknown ones only if none is missing.

    An unknown key beside a missing property may be that property under another name: dropping it
    would turn a value into a null.
    """
    missing = [name for name in names if name not in value]
    known = frozenset(names)
    unknown = [key for key in value if key not in known]
    if not unknown:
        return value
    renamed = {}
    plain = {key: _plain(key) for key in unknown}
    rivals = Counter(plain.values())
    wanted: dict[str, list[str]] = {}
    for name in missing:
        wanted.setdefault(_plain(name), []).append(name)
    for key in unknown:
        fits = wanted.get(plain[key], ())
        if len(fits) == 1 and rivals[plain[key]] == 1:
            renamed[key] = fits[0]
            notes.append(f"key:{_inside(where, fits[0])}")
    dropped = set(unknown) - renamed.keys() if len(renamed) == len(missing) else set()
    notes.extend(f"dropped:{_inside(where, key)}" for key in unknown if key in dropped)
    return {renamed.get(key, key): item for key, item in value.items() if key not in dropped}


def _inside(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _plain(text: str) -> str:
    return re.sub(r"[\s_-]+", "", text).casefold()


def _mend_string(node: Node, text: str, where: str, notes: list[str]) -> Any:
    repair = _REPAIRS.get(node.kind)
    if repair is None:
        return text
    if (found := repair(node, text)) is not None:
        note, value = found
        if note:
            notes.append(f"{note}:{where}")
        return value
    if node.nullable and text.strip().casefold() in _NOTHING:
        notes.append(f"null:{where}")
        return None
    return text


def _to_number(node: Node, text: str) -> tuple[str, float] | None:
    if not _NUMBER.fullmatch(text.strip()):
        return None
    number = float(text)
    whole = re.fullmatch(r"-?\d+", text.strip())
    return "number", int(text) if whole else number


def _to_boolean(node: Node, text: str) -> tuple[str, bool] | None:
    value = _BOOLEANS.get(text.strip().casefold())
    return None if value is None else ("boolean", value)


def _to_enum(node: Node, text: str) -> tuple[str, str] | None:
    if text in node.values:
        return "", text
    plain = _plain(text)
    fits = [value for value in node.values if _plain(value) == plain]
    return ("enum", fits[0]) if len(fits) == 1 else None


def _to_date(node: Node, text: str) -> tuple[str, str] | None:
    day = read_date(text)
    return None if day is None else ("" if day.isoformat() == text else "date", day.isoformat())


def _to_datetime(node: Node, text: str) -> tuple[str, str] | None:
    read = read_datetime(text)
    if read is None:
        return None
    moment, zone_said = read
    note = "" if _RFC3339.fullmatch(text) else "date" if zone_said else "utc"
    return note, iso_datetime(moment)


_REPAIRS: dict[Kind, Callable[[Node, str], tuple[str, Any] | None]] = {
    Kind.INTEGER: _to_number,
    Kind.NUMBER: _to_number,
    Kind.BOOLEAN: _to_boolean,
    Kind.ENUM: _to_enum,
    Kind.DATE: _to_date,
    Kind.DATETIME: _to_datetime,
}
"""Plain strings have none: any text is a right value there, so nothing tells a wrong one."""
