"""Reads broken answers with json-repair, instructor and BAML: `python read_answers.py WORK.json FOLDER`.

Runs in the rivals' own environment. WORK.json holds `schemas` and `answers`; printed is one JSON object: for each
library its version and, for each answer, the value that it gives, or null where it raises.
"""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Literal

_BAML_TYPES = {"string": "string", "number": "float", "integer": "int", "boolean": "bool"}
_PYTHON_TYPES = {"string": str, "number": float, "integer": int, "boolean": bool}


class Baml:
    """A generated client for the schemas; enums by alias, so that BAML's own alignment of enums is at work."""

    def __init__(self, schemas: dict[str, Any], folder: Path) -> None:
        self._values: dict[str, str] = {}
        self._lines = [
            'generator target {\n  output_type "python/pydantic"\n  output_dir "../"\n'
            f'  version "{importlib.metadata.version("baml-py")}"\n  default_client_mode sync\n}}\n'
            'client<llm> Unused {\n  provider openai\n  options {\n    model "x"\n    api_key "x"\n  }\n}\n'
        ]
        for name, schema in schemas.items():
            kind = self._kind(schema, name.title())
            prompt = '  client Unused\n  prompt #"{{ x }} {{ ctx.output_format }}"#\n'
            self._lines.append(f"function Read{name.title()}(x: string) -> {kind} {{\n{prompt}}}\n")
        source = folder / "baml_src"
        source.mkdir(parents=True, exist_ok=True)
        (source / "schemas.baml").write_text("".join(self._lines))
        command = [str(Path(sys.executable).with_name("baml-cli")), "generate"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        sys.path.insert(0, str(folder))
        from baml_client import b  # type: ignore[import-not-found]  # made just now

        self._client = b

    def _kind(self, schema: dict[str, Any], name: str) -> str:
        kind = schema["type"]
        if isinstance(kind, list):
            return f"{_BAML_TYPES[kind[0]]}?"
        if "enum" in schema:
            members = []
            for at, value in enumerate(schema["enum"]):
                self._values[f"{name}{at}"] = value
                members.append(f'  {name}{at} @alias("{value}")\n')
            self._lines.append(f"enum {name} {{\n{''.join(members)}}}\n")
            return name
        if kind == "array":
            return f"{self._kind(schema['items'], name)}[]"
        if kind != "object":
            return _BAML_TYPES[kind]
        fields = [f"  {key} {self._kind(inner, name + key.title())}\n" for key, inner in schema["properties"].items()]
        self._lines.append(f"class {name} {{\n{''.join(fields)}}}\n")
        return name

    def read(self, answer: dict[str, Any]) -> Any:
        text = answer["text"] if answer["call"] is None else answer["call"]
        value = getattr(self._client.parse, f"Read{answer['schema'].title()}")(text)
        return self._named(json.loads(value.model_dump_json()))

    def _named(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._named(inner) for key, inner in value.items()}
        return self._values.get(value, value) if isinstance(value, str) else value


class Instructor:
    """Pydantic models in instructor's mode for JSON in markdown, and its mode for tools where there was a call."""

    def __init__(self, schemas: dict[str, Any]) -> None:
        from instructor.processing.function_calls import response_schema

        self._models = {name: response_schema(self._kind(schema, name)) for name, schema in schemas.items()}

    def _kind(self, schema: dict[str, Any], name: str) -> Any:
        from pydantic import create_model

        kind = schema["type"]
        if isinstance(kind, list):
            return _PYTHON_TYPES[kind[0]] | None
        if "enum" in schema:
            return Literal[tuple(schema["enum"])]
        if schema.get("format") == "date":
            return dt.date
        if kind == "array":
            return list[self._kind(schema["items"], name)]  # type: ignore[misc]  # made while running
        if kind != "object":
            return _PYTHON_TYPES[kind]
        fields: dict[str, Any] = {
            key: (self._kind(part, f"{name}_{key}"), ...) for key, part in schema["properties"].items()
        }
        return create_model(name, **fields)

    def read(self, answer: dict[str, Any]) -> Any:
        from instructor import Mode
        from openai.types.chat import ChatCompletion

        call = answer["call"]
        model = self._models[answer["schema"]]
        message: dict[str, Any] = {"role": "assistant", "content": answer["text"]}
        if call is not None:
            function = {"name": model.__name__, "arguments": call}
            message["tool_calls"] = [{"id": "1", "type": "function", "function": function}]
        choice = {"index": 0, "message": message, "finish_reason": answer["finish_reason"]}
        completion = ChatCompletion.model_validate(
            {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
        )
        value = model.from_response(completion, mode=Mode.MD_JSON if call is None else Mode.TOOLS)
        return json.loads(value.model_dump_json())


class JsonRepair:
    """json-repair's loads; with the schema, it also coerces values."""

    def __init__(self, schemas: dict[str, Any], *, guided: bool) -> None:
        self._schemas = schemas if guided else None

    def read(self, answer: dict[str, Any]) -> Any:
        import json_repair

        text = answer["text"] if answer["call"] is None else answer["call"]
        schema = self._schemas[answer["schema"]] if self._schemas else None
        return json_repair.loads(text, schema=schema) if schema else json_repair.loads(text)


def main() -> None:
    """Read every answer with every library."""
    work = json.loads(Path(sys.argv[1]).read_text())
    schemas = work["schemas"]
    readers = {
        ("json-repair", "json-repair"): JsonRepair(schemas, guided=False),
        ("json-repair, with the schema", "json-repair"): JsonRepair(schemas, guided=True),
        ("instructor", "instructor"): Instructor(schemas),
        ("BAML", "baml-py"): Baml(schemas, Path(sys.argv[2])),
    }
    found: dict[str, Any] = {}
    for (name, package), reader in readers.items():
        values = []
        began = time.thread_time()
        for answer in work["answers"]:
            try:
                values.append(reader.read(answer))
            except Exception:  # whatever a library raises, the answer is asked again
                values.append(None)
        found[name] = {
            "version": importlib.metadata.version(package),
            "values": values,
            "seconds": time.thread_time() - began,
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
