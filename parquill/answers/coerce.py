"""Free repairs of values: a number in a string, an enum's case, a date in another form.

A repair is made only where one reading exists; what is left over fails validation and is asked
again. Each repair is noted as `what:where`, for instance `number:price` or `date:items[0].due`:

| note | what was done |
|---|---|
| `key` | a key that differed from a missing property in case, `-`, `_` or spaces was renamed |
| `dropped` | a key without a column was dropped, every property being present |
| `number`, `boolean`, `null` | `"12,000.50"`, `"yes"`, `"n/a"` where no string is allowed |
| `enum` | case, spaces, `-` and `_`, and words around the value, were brought to the one value that fits |
| `list` | a list of one item was taken for its item, or one item for the list |
| `string` | JSON text was read where an object or a list is expected |
| `date` | a date or time in a common form was brought to ISO 8601 |
| `utc` | a time, or a date and time, without a zone was taken as UTC |
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from parquill.answers.dates import iso_datetime, read_date, read_datetime
from parquill.answers.exact_numbers import read_number
from parquill.answers.inner_json import inner_json
from parquill.answers.schema_tree import JSON_TEXT, Kind, Node
from parquill.answers.strict_json import same
from parquill.answers.words_around import bare, one_value, plain
from parquill.answers.written_numbers import plain_number

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)")
_LOCAL_TIME = re.compile(r"((?:[01]\d|2[0-3]):[0-5]\d)(:[0-5]\d(?:\.\d+)?)?")
NOTHING = frozenset({"", "null", "none", "n/a", "na", "nil", "undefined"})
_ONE_WORD = re.compile(r"\w[\w'’-]*")
_HOLDING = frozenset({Kind.OBJECT, Kind.ARRAY, Kind.MAP})
_BOOLEANS = {"true": True, "yes": True, "false": False, "no": False}


def coerce(node: Node, value: Any, where: str, notes: list[str]) -> Any:
    """Return the value with its repairs made, each added to `notes`; the value itself is left as it was."""
    if isinstance(value, str):
        return _repair_string(node, value, where, notes)
    if isinstance(value, dict) and node.kind is Kind.OBJECT:
        return _repair_object(node, value, where, notes)
    if isinstance(value, list) and node.kind is Kind.ARRAY and node.item is not None:
        return [coerce(node.item, item, f"{where}[{i}]", notes) for i, item in enumerate(value)]
    if isinstance(value, dict) and node.kind is Kind.MAP and node.item is not None:
        return {key: coerce(node.item, item, f"{where}.{key}", notes) for key, item in value.items()}
    return _other_count(node, value, where, notes)


def _other_count(node: Node, value: Any, where: str, notes: list[str]) -> Any:
    """Take a list of one item for its item, and one item for a list."""
    if value is None or value == {} or node.kind in JSON_TEXT:
        return value
    if node.kind is Kind.ARRAY and node.item is not None:
        notes.append(f"list:{where}")
        return [coerce(node.item, value, f"{where}[0]", notes)]
    if isinstance(value, list) and len(value) == 1 and value[0] is not None:
        notes.append(f"list:{where}")
        return coerce(node, value[0], where, notes)
    return value


def _repair_object(node: Node, value: dict[str, Any], where: str, notes: list[str]) -> dict[str, Any]:
    named = _repair_keys([child.name for child in node.fields], value, where, notes, keep=bool(node.extras))
    by_name = {child.name: child.node for child in node.fields}
    return {
        key: coerce(by_name[key], item, inside(where, key), notes) if key in by_name else item
        for key, item in named.items()
    }


def _repair_keys(
    names: list[str], value: dict[str, Any], where: str, notes: list[str], *, keep: bool
) -> dict[str, Any]:
    """Rename keys that are a missing property but for their form; drop unknown ones only if none is missing.

    An unknown key beside a missing property may be that property under another name: dropping it
    would turn a value into a null. `keep`: the object takes other keys.
    """
    missing = [name for name in names if name not in value]
    known = frozenset(names)
    unknown = [key for key in value if key not in known]
    if not unknown:
        return value
    renamed = {}
    forms = {key: plain(key) for key in unknown}
    rivals = Counter(forms.values())
    wanted: dict[str, list[str]] = {}
    for name in names:
        wanted.setdefault(plain(name), []).append(name)
    for key in unknown:
        fits = [name for name in wanted.get(forms[key], ()) if name not in value]
        if len(fits) == 1 and rivals[forms[key]] == 1:
            renamed[key] = fits[0]
            notes.append(f"key:{inside(where, fits[0])}")
    dropped = {key for key in set(unknown) - renamed.keys() if not _contradicts(value, key, wanted.get(forms[key], ()))}
    if keep or len(renamed) < len(missing):
        dropped = set()
    notes.extend(f"dropped:{inside(where, key)}" for key in unknown if key in dropped)
    return {renamed.get(key, key): item for key, item in value.items() if key not in dropped}


def _contradicts(value: dict[str, Any], key: str, names: Sequence[str]) -> bool:
    """Whether a key names a property that is there, in another form and with another value."""
    return any(name in value and not same(value[name], value[key]) for name in names)


def inside(where: str, key: str) -> str:
    """Return the place of a member of what stands at a place."""
    return f"{where}.{key}" if where else key


def _repair_string(node: Node, text: str, where: str, notes: list[str]) -> Any:
    if node.kind in _HOLDING:
        return _to_holding(node, text, where, notes)
    repair = _REPAIRS.get(node.kind)
    if repair is None:
        return text
    if (found := repair(node, text)) is not None:
        note, value = found
        if note:
            notes.append(f"{note}:{where}")
        return value
    return _to_null(node, text, where, notes)


def _to_null(node: Node, text: str, where: str, notes: list[str]) -> str | None:
    if not node.nullable or text.strip().casefold() not in NOTHING:
        return text
    notes.append(f"null:{where}")
    return None


def _to_holding(node: Node, text: str, where: str, notes: list[str]) -> Any:
    """Read JSON text as the object or list that it writes; take one word for a list of one."""
    inner = inner_json(text)
    if isinstance(inner, list if node.kind is Kind.ARRAY else dict):
        notes.append(f"string:{where}")
        return coerce(node, inner, where, notes)
    value = _to_null(node, text, where, notes)
    if value is None or node.kind is not Kind.ARRAY or node.item is None or not _is_one(node.item, text):
        return value
    notes.append(f"list:{where}")
    return [coerce(node.item, text, f"{where}[0]", notes)]


def _is_one(item: Node, text: str) -> bool:
    """Whether a text is one item of a list: free text is, if it is one word that says something."""
    if item.kind is Kind.STRING:
        return _ONE_WORD.fullmatch(text) is not None and text.casefold() not in NOTHING
    return item.kind not in JSON_TEXT


def _to_number(node: Node, text: str) -> tuple[str, float | Decimal] | None:
    number = plain_number(text) or plain_number(bare(text))
    if number is None:
        return None
    whole = re.fullmatch(r"-?\d+", number)
    return "number", int(number) if whole else read_number(number)


def _to_boolean(node: Node, text: str) -> tuple[str, bool] | None:
    value = _BOOLEANS.get(bare(text).casefold())
    return None if value is None else ("boolean", value)


def _to_enum(node: Node, text: str) -> tuple[str, str] | None:
    if text in node.values:
        return "", text
    value = one_value(node.values, text)
    return None if value is None else ("enum", value)


def _to_date(node: Node, text: str) -> tuple[str, str] | None:
    day = read_date(text) or read_date(bare(text))
    return None if day is None else ("" if day.isoformat() == text else "date", day.isoformat())


def _to_datetime(node: Node, text: str) -> tuple[str, str] | None:
    read = read_datetime(text) or read_datetime(bare(text))
    if read is None:
        return None
    moment, zone_said = read
    if _RFC3339.fullmatch(text):
        return "", text  # the schema is asked about what was said; `normalize.py` brings it to UTC
    return "date" if zone_said else "utc", iso_datetime(moment)


def _to_format(node: Node, text: str) -> tuple[str, str]:
    """Complete a time: JSON Schema wants seconds and a zone, which models leave out."""
    found = _LOCAL_TIME.fullmatch(text.strip()) if node.format == "time" else None
    return ("utc", f"{found[1]}{found[2] or ':00'}Z") if found else ("", text)


_REPAIRS: dict[Kind, Callable[[Node, str], tuple[str, Any] | None]] = {
    Kind.INTEGER: _to_number,
    Kind.NUMBER: _to_number,
    Kind.BOOLEAN: _to_boolean,
    Kind.ENUM: _to_enum,
    Kind.DATE: _to_date,
    Kind.DATETIME: _to_datetime,
    Kind.STRING: _to_format,
}
"""Strings without a format have none: any text is a right value there, so nothing tells a wrong one."""
