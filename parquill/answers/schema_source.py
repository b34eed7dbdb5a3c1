"""Where a schema comes from: a file, the job file itself, or a pydantic model.

What leaves here is a JSON Schema document as a dict: small enough, without repeated keys, and
meta-validated. Faults name the place inside the schema (`#/properties/tags`).
"""

from __future__ import annotations

import functools
import importlib
import json
import re
import sys
from pathlib import Path
from typing import Any

import orjson

from parquill.answers.strict_json import load_strictly
from parquill.errors import SchemaError

MAX_SCHEMA_BYTES = 64_000
"""A schema is sent with every request; one of this size costs more than most answers."""

_MODEL = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)")


def read_schema(source: str | dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return a name for messages and the document.

    `source` is a path to a JSON file, `module:PydanticModel`, or the schema itself.
    Raises `SchemaError`.
    """
    if isinstance(source, dict):
        name, document = "output.schema", source
    elif (model := _MODEL.fullmatch(source)) and not Path(source).exists():
        name, document = source, _from_model(source, model[1], model[2])
    else:
        name, document = source, _from_file(Path(source))
    check_document(name, document)
    return name, document


def check_document(name: str, document: dict[str, Any]) -> None:
    """Raise `SchemaError` where the document is too large or no JSON Schema at all."""
    import jsonschema_rs  # noqa: PLC0415 - a job of plain text starts without it

    try:
        size = len(orjson.dumps(document))
    except (TypeError, orjson.JSONEncodeError) as error:
        raise SchemaError(f"{name}: not a JSON document: {error}") from None
    if size > MAX_SCHEMA_BYTES:
        raise SchemaError(
            f"{name}: #: {size} bytes, at most {MAX_SCHEMA_BYTES} are taken: a schema goes out with every request. "
            "Shorten descriptions, or split the job"
        )
    try:
        jsonschema_rs.meta.validate(document, registry=_nothing_is_fetched())
    except jsonschema_rs.ValidationError as error:
        raise SchemaError(f"{name}: {pointer(error.instance_path)}: {error.message[:300]}") from None
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        raise SchemaError(f"{name}: #/$schema: no known draft of JSON Schema: {error}") from None


def refuse_to_fetch(address: str) -> Any:
    """Retrieve nothing: a schema names other documents at its author's will, and Parquill asks for none of them."""
    raise ValueError(f"{address[:200]} is not fetched: write what it says into the schema itself")


@functools.cache
def _nothing_is_fetched() -> Any:
    import jsonschema_rs  # noqa: PLC0415 - as above

    return jsonschema_rs.Registry([], retriever=refuse_to_fetch)


def pointer(path: list[str | int]) -> str:
    """Write a place in a schema as `$ref` does: `#/properties/tags/items`."""
    return "/".join(["#", *(str(step).replace("~", "~0").replace("/", "~1") for step in path)])


def _from_file(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > 4 * MAX_SCHEMA_BYTES:
            raise SchemaError(f"{path}: #: {path.stat().st_size} bytes, at most {MAX_SCHEMA_BYTES} are taken")
        document = load_strictly(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise SchemaError(f"output.schema: {path}: no such file (a pydantic model is written module:Model)") from None
    except json.JSONDecodeError as error:
        raise SchemaError(f"{path}:{error.lineno}:{error.colno}: not valid JSON: {error.msg}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise SchemaError(f"{path}: cannot be read: {error}") from None
    if not isinstance(document, dict):
        raise SchemaError(f"{path}: #: a schema is a JSON object")
    return document


def _from_model(source: str, module: str, name: str) -> dict[str, Any]:
    import pydantic  # noqa: PLC0415 - only jobs that name a model need it here

    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    try:
        model = getattr(importlib.import_module(module), name, None)
    except Exception as error:  # the user's own module may raise anything
        raise SchemaError(f"output.schema: {source}: {module} cannot be imported: {error!r}") from error
    if not (isinstance(model, type) and issubclass(model, pydantic.BaseModel)):
        raise SchemaError(f"output.schema: {source}: {module} has no pydantic model {name!r}")
    try:
        return model.model_json_schema()
    except pydantic.errors.PydanticUserError as error:
        raise SchemaError(f"output.schema: {source}: no JSON Schema: {error}") from error
