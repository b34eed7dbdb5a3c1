"""Schemas that others published load, and each refusal names its place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from parquill.answers import load_answer_schema
from parquill.errors import SchemaError
from parquill.job import OutputSettings
from tests.real.conftest import or_skip
from tests.real.schema_corpus import SOURCES

pytestmark = [pytest.mark.real, pytest.mark.timeout(1800)]


def refusal(schema: dict[str, Any]) -> str | None:
    try:
        load_answer_schema(OutputSettings(path="out", schema=schema))
    except SchemaError as error:
        return str(error)
    return None


def tried(source: str) -> Iterator[tuple[str, str | None]]:
    for name, schema in SOURCES[source]():
        yield name, refusal(schema)


def test_nine_of_ten_schemas_load_and_each_refusal_names_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    with or_skip():
        seen = {source: list(tried(source)) for source in SOURCES}
    every = [refused for one in seen.values() for _, refused in one]
    with capsys.disabled():
        for source, one in seen.items():
            refused = [(name, why) for name, why in one if why is not None]
            print(f"\n{source}: {len(one) - len(refused)} of {len(one)}")
            print("\n".join(f"    {name[:60]}: {why[:160]}" for name, why in refused))
    assert len(every) >= 800
    assert every.count(None) >= 0.9 * len(every)
    assert [why for why in every if why is not None and not why.startswith("output.schema: #")] == []
