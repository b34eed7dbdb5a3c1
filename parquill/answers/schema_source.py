"""Where a schema comes from: a file, the job file itself, or a pydantic model.

What leaves here is a dict without repeated keys, as the user has it; `schema_document.py` makes it ready.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
from pathlib import Path
from typing import Any

from parquill.answers.schema_document import MAX_SCHEMA_BYTES
from parquill.answers.strict_json import load_strictly
from parquill.errors import SchemaError

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
    return name, document


def _from_file(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > 2 * MAX_SCHEMA_BYTES:
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
