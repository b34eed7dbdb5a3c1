"""What was written where `${NAME}` stands in a job: that is what files, messages and servers are given to see.

The value itself lives in the loaded `Job` only. Whatever writes the job down (a run's record, a report, an order,
a flow's parameters) serialises it, and `Job` serialises to JSON as it was written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_COVERED = ("model", "network", "notify", "nightly.notify")
"""Sections whose variables are never shown: addresses, headers, routing."""
_ADDRESSES = (
    "model.endpoint", "model.name", "model.fallback_models", "model.extra_headers", "model.extra_query", "network",
    "notify", "nightly.notify",
)  # fmt: skip
"""What says where to ask, and as whom: no value of it begins and ends with a quotation mark."""
_PUBLIC = ("model.name", "model.fallback_models", "model.tokenizer")
"""What a reply may say: the endpoint names the model in each of them, and the table has a column for it."""


_MASKED = "**********"
"""What pydantic shows of a secret text."""


@dataclass(frozen=True, slots=True)
class Written:
    """One text of the job file that holds variables."""

    text: str
    """As it was written: `https://gateway/${TOKEN}/v1`."""
    values: Mapping[str, str] = field(repr=False)
    """What its variables stand for."""


def is_covered(key: str) -> bool:
    """Tell whether a key path lies in a section whose variables are not shown."""
    return _lies_in(key, _COVERED)


def is_address(key: str) -> bool:
    """Tell whether a key path says where to ask, or as whom."""
    return _lies_in(key, _ADDRESSES)


def hidden_values(written: Mapping[str, Written]) -> dict[str, str]:
    """Return what no reply may bring into a file or a message: variable -> value.

    A variable that only names the model, or one of the endpoints that have names, is no secret.
    """
    return {
        name: value
        for key, one in written.items()
        if is_covered(key) and not _lies_in(key, _PUBLIC)
        for name, value in one.values.items()
        if value not in ("", "openrouter", "emulator")
    }


def as_written(value: Any, written: Mapping[str, Written], key: str = "") -> Any:
    """Return settings (mappings, lists, texts) with what was written in place of what variables stand for.

    In the sections where that holds, `${` that is no variable is escaped as a job file escapes it.
    """
    if is_covered(key) and isinstance(value, str):
        if key not in written:
            return value.replace("${", "$${")
        return value if value == _MASKED and not is_only_variables(written[key].text) else written[key].text
    if isinstance(value, Mapping):
        return {name: as_written(item, written, f"{key}.{name}" if key else str(name)) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_written(item, written, f"{key}[{index}]") for index, item in enumerate(value)]
    return value


def is_only_variables(address: str) -> bool:
    """Tell whether an address holds nothing of its own but its server: the rest of a webhook's is its secret."""
    return re.fullmatch(r"(https?://[^/?#@]+/?)?(\$\{\w+\}[/?&=]?)+", address) is not None


def _lies_in(key: str, sections: tuple[str, ...]) -> bool:
    return any(key == one or key.startswith((f"{one}.", f"{one}[")) for one in sections)
