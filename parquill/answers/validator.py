"""Checks an answer against the whole schema, by the schema's own draft.

The library jsonschema-rs compiles the document once; patterns are matched in linear time, those with look-around
with a bound on their steps; formats are asserted, and nothing is fetched.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from parquill.answers.patterns import UNUSABLE, bounded_backtracking
from parquill.answers.schema_document import Draft, SchemaDocument, refuse_to_fetch

SHOWN_FAULTS = 5
"""Faults of one answer that are told."""


class Validator:
    """A compiled schema."""

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled

    def is_valid(self, value: Any) -> bool:
        """Tell whether a plain JSON value fits."""
        return bool(self._compiled.is_valid(value))

    def faults(self, value: Any) -> list[str]:
        """Say what does not fit, at most five things, each with its place in the answer."""
        errors = [inner for error in self._compiled.iter_errors(value) for inner in _of_meant_branch(error)]
        return first_faults((describe(error.instance_path, error.message) for error in errors), len(errors))


def compile_validator(document: SchemaDocument) -> Validator:
    """Compile a document.

    Raises:
        SchemaError: A pattern cannot be used, or a reference leads outside.
    """
    import jsonschema_rs  # noqa: PLC0415 - a job of plain text starts without it

    compilers = {
        Draft.DRAFT4: jsonschema_rs.Draft4Validator,
        Draft.DRAFT6: jsonschema_rs.Draft6Validator,
        Draft.DRAFT7: jsonschema_rs.Draft7Validator,
        Draft.DRAFT201909: jsonschema_rs.Draft201909Validator,
        Draft.DRAFT202012: jsonschema_rs.Draft202012Validator,
    }
    try:
        compiled = _compiled(compilers[document.draft], document.root, jsonschema_rs.RegexOptions())
    except jsonschema_rs.ValidationError:  # look-around in a pattern, or a large one
        try:
            compiled = _compiled(compilers[document.draft], document.root, bounded_backtracking())
        except jsonschema_rs.ValidationError as error:
            said = UNUSABLE if error.message.endswith('is not a "regex"') else error.message[:300]
            raise document.fault(tuple(error.instance_path), said) from None
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        raise document.fault((), f"cannot be compiled: {error}"[:300]) from None
    return Validator(compiled)


def _compiled(compiler: Callable[..., Any], schema: dict[str, Any], patterns: Any) -> Any:
    return compiler(
        schema,
        validate_formats=True,
        formats=_later_formats(),
        mask="the value",
        pattern_options=patterns,
        retriever=refuse_to_fetch,
    )


@functools.cache
def _later_formats() -> dict[str, Callable[[str], bool]]:
    """Return checks of the formats that the drafts before 2019-09 leave open, as the last draft has them.

    Schemas of draft 7 name them all the same, and mean what it says.
    """
    import jsonschema_rs  # noqa: PLC0415 - as above

    return {
        name: jsonschema_rs.Draft202012Validator({"format": name}, validate_formats=True).is_valid
        for name in ("uuid", "duration", "json-pointer")
    }


def _of_meant_branch(error: Any) -> list[Any]:
    """Return what is wrong by the one branch of a union whose fixed values and types the value has, else the error."""
    branches = getattr(error.kind, "context", None)
    if error.kind.name not in ("anyOf", "oneOf") or not branches:
        return [error]
    here = len(error.instance_path)
    meant = [one for one in branches if one and not any(_tells_apart(inner, here) for inner in one)]
    return [found for inner in meant[0] for found in _of_meant_branch(inner)] if len(meant) == 1 else [error]


def _tells_apart(error: Any, here: int) -> bool:
    """Tell whether an error shows that another branch is meant: another type, or another fixed value in the object."""
    depth = len(error.instance_path) - here
    return (error.kind.name == "type" and depth == 0) or (error.kind.name in ("const", "enum") and depth <= 1)


def first_faults(said: Iterable[str], count: int) -> list[str]:
    """Return the first of `count` faults, at most five, and how many more there are."""
    more = [f"and {count - SHOWN_FAULTS} more"] if count > SHOWN_FAULTS else []
    return [*itertools.islice(said, SHOWN_FAULTS), *more]


def describe(path: Sequence[str | int], message: str) -> str:
    """Write one fault: its place in the answer, and what is wrong there."""
    where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
    return f"{where}: {message}"[:240] if where else message[:240]
