"""A model of the user's own code (`output.schema: module:Model`): its JSON Schema, and its validators.

pydantic's models, dataclasses, TypedDicts, root models and annotated types are all read through a `TypeAdapter`.
An answer that fits the schema is then validated by the model itself, as JSON text is; what the validators make of
it is what the column holds. A validator is foreign code: whatever it raises is that answer's fault.
"""

from __future__ import annotations

import dataclasses
import importlib
import re
import sys
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from parquill.answers.normalize import UnfitError
from parquill.answers.validator import describe, first_faults
from parquill.errors import SchemaError

_MODEL = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)")
_SHOWN_CHARS = 200


class ModelCheck:
    """The model that a job names."""

    def __init__(self, name: str, adapter: Any, document: dict[str, Any]) -> None:
        """Take a model's adapter and its JSON Schema, `name` for messages."""
        self.document = document
        self.name = name
        self._adapter = adapter
        self._keeps = _same_names(document, _written_schema(adapter) or document)

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user should know of the model."""
        if self._keeps:
            return ()
        return (
            f"output.schema: {self.name} writes fields under other names than it reads (validation_alias, "
            "serialization_alias): its validators are run, and what they change in an answer is not kept; "
            "give such fields one `alias` to keep it",
        )

    def validated(self, value: Any) -> Any:
        """Return what the model makes of an answer that fits its schema, as plain JSON values.

        Args:
            value: The answer in normal form, without the nulls that stand for absent properties.

        Raises:
            UnfitError: A validator does not take it, or fails; one argument for each fault, at most five.
        """
        import pydantic  # noqa: PLC0415 - only jobs that name a model need it here

        try:
            instance = self._adapter.validate_json(orjson.dumps(value))
            return self._dumped(instance) if self._keeps else value
        except pydantic.ValidationError as error:
            raise UnfitError(*_faults(error)) from None
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # foreign code: it may end the process (SystemExit), or raise its own kind
            said = f"{type(error).__name__}: {_text_of(error)}"[:_SHOWN_CHARS]
            raise UnfitError(f"{self.name}: a validator failed with {said}") from None

    def _dumped(self, instance: Any) -> Any:
        """Write the model as Python values, then as JSON: `mode="json"` would write a secret as asterisks."""
        return _plain(self._adapter.dump_python(instance, by_alias=True, round_trip=True, warnings=False))


def find_model(source: str | dict[str, Any] | None) -> ModelCheck | None:
    """Return the model that `output.schema` names, imported; None where it names a file or is a schema.

    Raises:
        SchemaError: The module cannot be imported, holds no such model, or the model has no JSON Schema.
    """
    found = _MODEL.fullmatch(source) if isinstance(source, str) else None
    if found is None or Path(found[0]).exists():
        return None
    name = found[0]
    model = _imported(name, found[1], found[2])
    import pydantic  # noqa: PLC0415 - as above

    if isinstance(model, pydantic.TypeAdapter):
        return ModelCheck(name, model, _schema_of(name, model.json_schema))
    if not _is_type(model):
        raise SchemaError(
            f"output.schema: {name}: {found[1]} has no pydantic model, dataclass or TypedDict {found[2]!r}"
        )
    try:
        adapter = pydantic.TypeAdapter(model)
    except Exception as error:  # the user's own code may raise anything
        raise SchemaError(f"output.schema: {name}: pydantic cannot read it: {_text_of(error)[:300]}") from error
    of_model = isinstance(model, type) and issubclass(model, pydantic.BaseModel)
    return ModelCheck(name, adapter, _schema_of(name, model.model_json_schema if of_model else adapter.json_schema))


def _imported(name: str, module: str, attribute: str) -> Any:
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    try:
        return getattr(importlib.import_module(module), attribute, None)
    except Exception as error:  # the user's own module may raise anything
        raise SchemaError(f"output.schema: {name}: {module} cannot be imported: {error!r}") from error


def _is_type(model: Any) -> bool:
    import pydantic  # noqa: PLC0415 - as above

    if isinstance(model, type):
        is_dict = issubclass(model, dict) and hasattr(model, "__total__")
        return issubclass(model, pydantic.BaseModel) or dataclasses.is_dataclass(model) or is_dict
    return typing.get_origin(model) is not None or hasattr(model, "__value__")


def _written_schema(adapter: Any) -> dict[str, Any] | None:
    """Return the schema of what a model writes; None where its serializers have none."""
    import pydantic  # noqa: PLC0415 - as above

    try:
        return dict(adapter.json_schema(mode="serialization"))
    except pydantic.errors.PydanticUserError:
        return None


def _schema_of(name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    import pydantic  # noqa: PLC0415 - as above

    try:
        return make()
    except pydantic.errors.PydanticUserError as error:
        raise SchemaError(f"output.schema: {name}: no JSON Schema: {error}") from error


def _same_names(read: dict[str, Any], written: dict[str, Any]) -> bool:
    """Tell whether all properties of one JSON Schema have their names in another."""
    pairs = [(read, written)]
    pairs += [(one, written.get("$defs", {}).get(name, one)) for name, one in read.get("$defs", {}).items()]
    return all(one.get("properties", {}).keys() <= other.get("properties", {}).keys() for one, other in pairs)


def _plain(value: Any) -> Any:
    """Return Python values as JSON ones."""
    import pydantic_core  # noqa: PLC0415 - as above

    if isinstance(value, dict):
        return {pydantic_core.to_jsonable_python(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    if callable(reveal := getattr(value, "get_secret_value", None)):
        return _plain(reveal())
    return pydantic_core.to_jsonable_python(value)


def _faults(error: Any) -> list[str]:
    every = error.errors(include_url=False, include_context=False, include_input=False)
    return first_faults((describe(one["loc"], _said(one["msg"])) for one in every), len(every))


def _said(message: str) -> str:
    return message.removeprefix("Value error, ").removeprefix("Assertion failed, ")[:_SHOWN_CHARS]


def _text_of(error: BaseException) -> str:
    """Return an exception's text; its own `__str__` is foreign code too."""
    try:
        return str(error)
    except Exception:
        return "no text"
