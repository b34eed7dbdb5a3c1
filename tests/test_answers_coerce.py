"""Free repairs of values: wherever they stand, and only where one reading exists."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from parquill.answers.coerce import coerce
from parquill.answers.schema_tree import Field, Kind, Node
from tests.answer_schemas import shape_of, value_of, with_field

NUMBER = Node(Kind.INTEGER)
ENUM = Node(Kind.ENUM, values=("north-west", "North_West", "south"))


def thing(*names: str, node: Node = NUMBER) -> Node:
    return Node(Kind.OBJECT, fields=tuple(Field(name, node, True) for name in names))


def coerced(node: Node, value: Any) -> tuple[Any, list[str]]:
    notes: list[str] = []
    return coerce(node, value, "", notes), notes


def test_values_inside_lists_maps_and_objects_are_repaired() -> None:
    assert coerced(Node(Kind.ARRAY, item=NUMBER), ["1", 2, "x"]) == ([1, 2, "x"], ["number:[0]"])
    assert coerced(Node(Kind.MAP, item=NUMBER), {"a": "1", "b": "x"}) == ({"a": 1, "b": "x"}, ["number:.a"])
    nested = thing("list", node=Node(Kind.ARRAY, item=thing("n")))
    assert coerced(nested, {"list": [{"n": "3"}, {"n": 4}]}) == (
        {"list": [{"n": 3}, {"n": 4}]},
        ["number:list[0].n"],
    )


@pytest.mark.parametrize("text", ["North West", "NORTHWEST", "north_west"])
def test_an_enum_value_that_fits_two_is_left_as_it_is(text: str) -> None:
    assert coerced(ENUM, text) == (text, [])
    assert coerced(ENUM, "South ") == ("south", ["enum:"])


def test_of_two_keys_that_differ_in_form_alone_neither_is_taken() -> None:
    value = {"unit price": "1", "Unit-Price": "2"}
    assert coerced(thing("unit_price"), value) == (value, [])
    assert coerced(thing("unit_price"), {"Unit-Price": "2"}) == (
        {"unit_price": 2},
        ["key:unit_price", "number:unit_price"],
    )


def test_a_key_that_fits_two_properties_is_given_to_neither() -> None:
    assert coerced(thing("a_b", "ab"), {"A-B": 1}) == ({"A-B": 1}, [])


@pytest.mark.parametrize(
    ("text", "read", "note"),
    [
        ("2026-11-23T01:02:03+09:00", "2026-11-23T01:02:03+09:00", []),  # valid: normalize.py brings it to UTC
        ("2026-11-22 20:02:03 -0400", "2026-11-23T00:02:03Z", ["date:"]),
        ("2026-11-23T01:02:03Z", "2026-11-23T01:02:03Z", []),
        ("2026-11-23 01:02", "2026-11-23T01:02:00Z", ["utc:"]),
    ],
)
def test_times_in_another_form_are_repaired_in_utc(text: str, read: str, note: list[str]) -> None:
    assert coerced(Node(Kind.DATETIME), text) == (read, note)
    value = value_of(shape_of(with_field({"type": "string", "format": "date-time"})), json.dumps({"a": text}))
    moment = dt.datetime.fromisoformat(text.replace(" -", "-"))
    assert dt.datetime.fromisoformat(value["a"]) == (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC))
    assert value["a"].endswith("Z")
