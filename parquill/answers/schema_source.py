"""Where a schema comes from: a file, the job file itself, or a pydantic model.

What leaves here is a dict without repeated keys, as the user has it; `schema_document.py` makes it ready.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from parquill.answers.model_check import find_model
from parquill.answers.schema_document import MAX_SCHEMA_BYTES
from parquill.answers.strict_json import load_strictly
from parquill.errors import SchemaError


def read_schema(source: str | dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return a name for messages and the document.

    `source` is a path to a JSON file, `module:PydanticModel`, or the schema itself.
    Raises `SchemaError`.
    """
    if isinstance(source, dict):
        name, document = "output.schema", source
    elif (model := find_model(source)) is not None:
        name, document = source, model.document
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
