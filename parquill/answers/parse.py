"""Parses a model's raw text into an answer that fits the schema, or into the reasons why it does not.

The fast way is orjson, the validator and nothing else. Only what it does not take goes through
the repairs of `repair.py` (text) and `coerce.py` (values), and is validated again. What stands in
`Answer.value` is then always right by the schema, in its normal form; what is in doubt is a
fault, and `text` keeps the raw words in any case.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from parquill.answers.coerce import coerce
from parquill.answers.control import without_control
from parquill.answers.model_check import ModelCheck
from parquill.answers.normalize import Step, UnfitError, normaliser
from parquill.answers.optional_nulls import null_remover
from parquill.answers.repair import list_alone, read_objects, without_fence
from parquill.answers.repetition import repetition_in, repetition_in_strings
from parquill.answers.schema_document import refuse_to_fetch
from parquill.answers.schema_tree import WRAPPER, Kind, Node, column_schema, wrapped
from parquill.answers.strict_json import load_fast, same
from parquill.answers.union_repairs import repair_unions
from parquill.answers.unwrap import readings
from parquill.answers.validator import SHOWN_FAULTS, describe, first_faults
from parquill.answers.words_around import DOUBT
from parquill.finish_reasons import Ending

if TYPE_CHECKING:
    import jsonschema_rs

Fault = Literal["invalid", "truncated", "loop", "empty"]

LONG = 160
"""Shorter texts are not searched for loops."""

OPEN_ENDINGS = frozenset({Ending.UNSAID, Ending.UNKNOWN})
"""Ends that say nothing of the answer: it is whole if its own brackets say so."""
ENDED = OPEN_ENDINGS | {Ending.COMPLETE}
"""Ends after which damage may be repaired; what is missing is closed only where the model had finished."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one completion."""

    ok: bool
    value: Any
    """A plain JSON value that fits the schema, in normal form; None unless ok."""
    text: str
    """The model's raw text; a function call's raw arguments where the answer was a call."""
    repairs: tuple[str, ...] = ()
    """What was repaired for free: the notes of `repair.py` and `coerce.py`."""
    errors: tuple[str, ...] = ()
    """Why it does not fit, for people and for the model; empty when ok."""
    fault: Fault | None = None


class Validating(Protocol):
    """The user's whole schema, or the schemas of several functions."""

    def is_valid(self, value: Any) -> bool:
        """Tell whether a plain JSON value fits."""

    def faults(self, value: Any) -> list[str]:
        """Say what does not fit, each with its place; empty where it fits."""


@dataclass(frozen=True, slots=True)
class Check:
    """What an answer has to pass, made once for a run."""

    node: Node
    column: jsonschema_rs.Validator
    """What the column can hold: types alone, made from the tree."""
    validator: Validating
    """The user's whole schema."""
    without_nulls: Step | None
    normal: Step | None
    wrapped: bool = False
    """The answer is asked for inside an object, `{"answer": …}`, since endpoints want an object on top."""
    model: ModelCheck | None = None
    """The user's own model, which has the last word on an answer."""

    def fit(self, value: Any) -> Any:
        """Return a valid value's normal form.

        Raises:
            UnfitError: It does not fit; without words where `faults` has them, since most callers want none.
        """
        if not self.column.is_valid(value):
            raise UnfitError
        bare = value if self.without_nulls is None else self.without_nulls(value)
        if not self.validator.is_valid(bare):
            raise UnfitError
        fitting = value if self.normal is None else self.normal(value)
        return fitting if self.model is None else self._by_model(self.model, fitting)

    def _by_model(self, model: ModelCheck, value: Any) -> Any:
        """Return what the user's model makes of an answer, in its normal form."""
        made = model.validated(value if self.without_nulls is None else self.without_nulls(value))
        if errors := list(self.column.iter_errors(made)):
            said = (describe(error.instance_path, error.message) for error in errors[:SHOWN_FAULTS])
            raise UnfitError(
                *(f"the model makes a value of it that its schema does not describe: {one}" for one in said)
            )
        return made if self.normal is None else self.normal(made)

    def faults(self, value: Any) -> tuple[str, ...]:
        """Say what does not fit, at most five things, each with its place in the answer."""
        errors = list(self.column.iter_errors(value))
        said = [describe(error.instance_path, error.message) for error in errors]
        bare = value if self.without_nulls is None else self.without_nulls(value)
        places = {text.partition(": ")[0] for text in said if ": " in text}
        said += [
            text for text in self.validator.faults(bare) if text not in said and text.partition(": ")[0] not in places
        ]
        return tuple(first_faults(said, len(said)))

    def unwrapped(self, value: Any) -> Any:
        """Return an answer out of the object that it was asked for in."""
        if self.wrapped and isinstance(value, dict) and value.keys() == {WRAPPER}:
            return value[WRAPPER]
        return value


def make_check(node: Node, validator: Validating, *, wrapped: bool = False, model: ModelCheck | None = None) -> Check:
    """Compile a tree once."""
    import jsonschema_rs  # noqa: PLC0415 - a job of plain text starts without it

    column = jsonschema_rs.Draft202012Validator(column_schema(node), mask="the value", retriever=refuse_to_fetch)
    return Check(node, column, validator, null_remover(node), normaliser(node), wrapped, model)


def parse_json(check: Check, text: str, ending: Ending) -> Answer:
    """Read an answer that should be one JSON object; never raises for what a model wrote."""
    answer = parse_undamaged(check, text)
    return _parse_slowly(check, text, ending) if answer is None else answer


def parse_undamaged(check: Check, text: str) -> Answer | None:
    """Read an answer that fits as it stands, which is quick; None for any other."""
    try:
        value = check.fit(check.unwrapped(load_fast(text)))
    except (ValueError, RecursionError):
        return None
    return accepted(value, text, ())


def _parse_slowly(check: Check, text: str, ending: Ending) -> Answer:
    bare, notes = without_control(text, plain=False)
    ended = ending in ENDED and not repetition_in(bare, cut_off=False)
    alone = _alone(check.node, bare) if check.wrapped and ended else None
    if alone is not None:
        return choose(check, [alone[0]], text, (*notes, *alone[1]), ending)
    reading = read_objects(bare, ended=ended)
    breaks_off = reading.unclosed or (bool(reading.problem) and bare.count("{") > bare.count("}"))
    if breaks_off and ending in OPEN_ENDINGS:
        return failed(text, Ending.CUT)
    if reading.problem:
        return failed(text, ending, reading.problem)
    if check.node.kind is Kind.ARRAY and "repeated" in reading.notes:
        return failed(
            text, ending, "the same object stands more than once outside a list, which may be one item or two"
        )
    if reading.unclosed and not _is_whole(wrapped(check.node) if check.wrapped else check.node, reading.objects[0]):
        return failed(text, ending, "the end is missing: the last brackets, and maybe more")
    return choose(check, reading.objects, text, (*notes, *reading.notes), ending)


_ONE_VALUE = frozenset({Kind.ENUM, Kind.INTEGER, Kind.NUMBER, Kind.BOOLEAN, Kind.DATE, Kind.DATETIME})


def _alone(node: Node, text: str) -> tuple[Any, tuple[str, ...]] | None:
    """Return a list or a single value that stands without the object that it was asked for in, and the notes."""
    if node.kind is Kind.ARRAY:
        return list_alone(text)
    if node.kind not in _ONE_VALUE or "{" in text:
        return None
    said, fenced = without_fence(text)
    return said, ("fence",) if fenced else ()


def _is_whole(node: Node, value: dict[str, Any]) -> bool:
    """Tell whether an object that was never closed can have nothing more to say."""
    inner = {child.name: child.node for child in node.fields}
    if node.kind is not Kind.OBJECT or inner.keys() - value.keys():
        return False
    name, last = list(value.items())[-1]
    return not isinstance(last, dict) or (name in inner and _is_whole(inner[name], last))


def choose(check: Check, objects: Sequence[Any], text: str, notes: tuple[str, ...], ending: Ending) -> Answer:
    """Take the one object that fits once its values are repaired, or what stands inside it."""
    fitting: list[tuple[Any, list[str]]] = []
    faults: list[tuple[str, ...]] = []
    root = wrapped(check.node) if check.wrapped else check.node
    for found in objects:
        for candidate, how in readings(root, found):
            repairs = [how] if how else []
            try:
                value = _repaired(check, check.unwrapped(candidate), text, repairs)
            except UnfitError as error:
                if not how or not faults:
                    faults.append(error.args)
                continue
            if not any(same(value, other) for other, _ in fitting):
                fitting.append((value, repairs))
            break
    if len(fitting) > 1:
        return failed(text, ending, f"{len(fitting)} different answers in one text, and one is wanted")
    if not fitting:
        return failed(text, ending, *min(faults, key=len))
    value, repairs = fitting[0]
    return accepted(value, text, (*notes, *repairs))


def _repaired(check: Check, found: Any, text: str, repairs: list[str]) -> Any:
    """Return what an object means, its repairs added to `repairs`; raises `UnfitError` with all of its faults."""
    candidate = coerce(check.node, found, "", repairs)
    value = _fitted(check, candidate, repairs)
    if "\\" in text and DOUBT not in text and DOUBT in json.dumps(value, ensure_ascii=False):
        raise UnfitError("a backslash before a mark that JSON does not escape")
    return value


def _fitted(check: Check, candidate: Any, repairs: list[str]) -> Any:
    """Return a repaired value's normal form, with repairs inside unions only where it does not fit without them."""
    try:
        return check.fit(candidate)
    except UnfitError as error:
        first = error
    for closed in (False, True):
        notes: list[str] = []
        repaired = repair_unions(check.node, candidate, "", notes, closed=closed)
        try:
            value = check.fit(repaired) if notes else None
        except UnfitError:
            continue
        if notes:
            repairs += notes
            return value
    raise UnfitError(*(check.faults(candidate) or first.args)) from None


def accepted(value: Any, text: str, repairs: tuple[str, ...]) -> Answer:
    """Return an answer that is ok, unless a string in it loops up to its length limit."""
    if len(text) >= LONG and (found := repetition_in_strings(value)):
        return Answer(False, None, text, errors=(found,), fault="loop")
    return Answer(True, value, text, repairs=repairs)


def failed(text: str, ending: Ending, *errors: str) -> Answer:
    """Return an answer that is not ok, with the fault that says how to ask again."""
    cut_off = ending is Ending.CUT
    fault: Fault = "invalid"
    if found := repetition_in(text, cut_off=cut_off):
        fault, errors = "loop", (found,)
    elif cut_off:
        fault, errors = "truncated", (f"cut off at the token limit after {len(text)} characters",)
    elif not text.strip():
        fault, errors = "empty", ("the answer is empty",)
    return Answer(False, None, text, errors=errors, fault=fault)
