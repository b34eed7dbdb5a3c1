"""Words a refused job: one line a fault, with the key's path and its nearest known neighbour."""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pydantic

from parquill.job.settings import Job


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a job's values came from: its file, overrides (key paths) and environment variables by key path."""

    name: str
    overrides: Collection[str]
    variables: Mapping[str, str]

    def of(self, key: str) -> str:
        """How a message names the place where a key was written."""
        return "--set" if any(_within(key, given) or _within(given, key) for given in self.overrides) else self.name


def explain(error: pydantic.ValidationError, origin: Origin) -> str:
    """One line a key: its path, what it should be, and the nearest known key."""
    faults: dict[str, list[Any]] = {}
    for fault in error.errors(include_url=False):
        faults.setdefault(_key(fault), []).append(fault)
    lines = [
        f"{origin.of(key)}: {_said(key, its, origin)}"
        for key, its in faults.items()
        if not any(other != key and _within(other, key) for other in faults)
    ]
    return "\n".join(lines)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean …?" with the nearest known word, else the list of all."""
    names = [str(name) for name in known]
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; known are {', '.join(names)}" if names else ""


def _within(key: str, other: str) -> bool:
    return key == other or key.startswith((f"{other}.", f"{other}["))


def _key(fault: Any) -> str:
    """The key's path as it is written: pydantic's names of a union's branches are no part of it."""
    *steps, last = fault["loc"] or ("",)
    named = fault["type"] in ("extra_forbidden", "missing")
    steps = [step for step in (*steps, *(() if named else (last,))) if not _is_branch(step)]
    key = ""
    for step in (*steps, last) if named else steps:
        key += f"[{step}]" if isinstance(step, int) else f".{step}" if key else str(step)
    return key


def _is_branch(step: int | str) -> bool:
    """Pydantic names the branch of a union (`tuple[str, ...]`, `literal['all']`) as a step."""
    return isinstance(step, str) and bool(re.search(r"[\[\]()]|^(str|int|float|bool|decimal|dict|list)$", step))


def _said(key: str, faults: Sequence[Any], origin: Origin) -> str:
    fault = faults[0]
    if fault["type"] == "extra_forbidden":
        return f"unknown key {key!r}{did_you_mean(str(fault['loc'][-1]), _keys_at(fault['loc'][:-1]))}"
    if fault["type"] == "missing":
        return f"the key {key!r} is missing"
    wishes = list(dict.fromkeys(_wish(one) for one in faults))
    wish = " or ".join(filter(None, (", ".join(wishes[:-1]), wishes[-1])))
    if key in origin.variables:
        return f"{key}: should be {wish}; the value of ${{{origin.variables[key]}}} is not"
    if re.sub(r"\[\d+\]", "", key) in _HIDDEN:
        return f"{key}: should be {wish}"
    if isinstance(fault["input"], dict) and fault["type"] == "value_error":
        return f"{key}: {wish}" if key else wish
    return f"{key or 'the job'}: should be {wish}, not {_shown(fault['input'])}"


_HIDDEN = frozenset({"model.api_key_env", "model.endpoints.api_key_env", "nightly.notify.webhook"})
"""Keys where people put a secret by mistake, or where one belongs: their values are never shown."""

_WISHES = {
    "int": "a whole number",
    "float": "a number",
    "decimal": "a number",
    "finite_number": "a finite number",
    "string_type": "a text",
    "string_too_short": "a text that is not empty",
    "bool": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a section with keys of its own",
    "invalid_key": "a mapping whose keys are texts",
}
_BOUNDS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


def _wish(fault: Any) -> str:
    """What a value should be, to be read after "should be"."""
    kind, context = fault["type"], fault.get("ctx", {})
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return f"{words} {context[name]}"
    if kind == "literal_error":
        return str(context["expected"])
    family = kind.split("_")[0]
    message = str(fault["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    return _WISHES.get(kind) or _WISHES.get(family) or message


def _shown(value: object) -> str:
    if isinstance(value, (dict, list, tuple)):
        return "a mapping" if isinstance(value, dict) else "a list"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = re.sub(r"(?<=//)[^/@\s]*@", "***@", str(value)[:4000])
    text = re.sub(r"(://[^?\s]*\?).*", r"\1***", text)
    text = text if len(text) <= 80 else f"{text[:80]}…"
    return repr(text) if isinstance(value, str) else text


def _keys_at(steps: Sequence[int | str]) -> list[str]:
    model: type[pydantic.BaseModel] = Job
    for step in steps:
        if isinstance(step, int) or _is_branch(step):
            continue
        field = next((field for name, field in model.model_fields.items() if step in (name, field.alias)), None)
        inner = next(_models(field.annotation), None) if field else None
        if inner is None:
            return []
        model = inner
    return [field.alias or key for key, field in model.model_fields.items()]


def _models(annotation: Any) -> Iterator[type[pydantic.BaseModel]]:
    """The sections within a type: `PriceSettings | None`, `tuple[Example, ...]`."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        if issubclass(annotation, pydantic.BaseModel):
            yield annotation
        return
    for part in typing.get_args(annotation):
        yield from _models(part)
