"""The text of a job file or an override -> plain values; what is no YAML is named by line and column.

YAML is read by the rules of version 1.2: `no`, `on`, `22:30` and `2026-01-01` are texts, not
a boolean, a number of minutes and a date, so that a schema's `enum: [yes, no]` means what it
says; and `1e-3` is a number, as in JSON. Aliases (they can blow up) and repeated keys (one
would be lost) are refused. Text that is JSON is read as JSON.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from parquill.errors import JobError

DEEPEST = 100
"""Levels of lists and mappings; no job has a tenth. PyYAML takes quadratic time for open brackets."""
_TOO_DEEP = f"lists and mappings are nested more than {DEEPEST} deep"


class _Loader(yaml.SafeLoader):
    """Safe YAML that knows JSON's kinds of values and nothing else."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - the base class declares it so
    _depth = 0

    def fetch_flow_collection_start(self, token_class: Any) -> None:
        if self.flow_level >= DEEPEST:
            raise yaml.MarkedYAMLError(problem=_TOO_DEEP, problem_mark=self.get_mark())
        super().fetch_flow_collection_start(token_class)

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.current_event.start_mark
            raise yaml.MarkedYAMLError(problem="aliases (*name) are not allowed", problem_mark=mark)
        if self._depth > DEEPEST:
            raise yaml.MarkedYAMLError(problem=_TOO_DEEP, problem_mark=self.get_mark())
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key must be a plain text", problem_mark=key_node.start_mark)
            if key_node.value in seen:
                problem = f"the key {key_node.value!r} stands twice"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key_node.start_mark)
            seen.add(key_node.value)
            key_node.tag = "tag:yaml.org,2002:str"  # a key is what is written, also where it says true or 1
        return super().construct_mapping(node, deep)

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        # A JSON writer spells a sign outside the basic plane as two escapes: \ud83d\ude00.
        text = str(super().construct_scalar(node))
        return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16")

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except ValueError as error:
            raise yaml.MarkedYAMLError(problem=str(error), problem_mark=node.start_mark) from None


_NUMBER = r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+|[-+]?\.inf|\.nan"
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", list("-+0123456789")),
    ("float", _NUMBER, list("-+.0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)


def parse(text: str) -> Any:
    """Return what a text says as YAML or JSON; raises `yaml.YAMLError`, or `ValueError` for deep nesting."""
    try:
        if text.lstrip().startswith("{"):
            try:
                value = json.loads(text, object_pairs_hook=_without_repeats)
            except ValueError:
                pass  # the YAML reader says what is wrong, and where
            else:
                _refuse_depth(value)
                return value
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader that refuses more
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None


def read_file(path: Path) -> dict[str, Any]:
    """Read a job file; raises `JobError` with file, line and column."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
        data = parse(text)
    except FileNotFoundError:
        raise JobError(f"{path}: no such job file") from None
    except OSError as error:
        raise JobError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        place = _line_and_column(error.object[: error.start].decode("utf-8"), error.start)
        raise JobError(f"{path}:{place}: the file is not UTF-8") from None
    except yaml.YAMLError as error:
        raise JobError(f"{path}{_place(error, text)}: not valid YAML: {problem(error)}") from None
    except ValueError as error:
        raise JobError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(data, dict):
        raise JobError(f"{path}: a job file is a mapping with keys like name, manifest, prompt, output")
    return data


def problem(error: Exception) -> str:
    """What is wrong with a text that is no YAML, without the text itself."""
    if isinstance(error, yaml.MarkedYAMLError):
        return str(error.problem or error.context)
    if isinstance(error, yaml.reader.ReaderError):
        return f"the character U+{error.character:04X} is not allowed"
    return str(error)


def _place(error: yaml.YAMLError, text: str) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and (mark := error.problem_mark or error.context_mark):
        return f":{mark.line + 1}:{mark.column + 1}"
    if isinstance(error, yaml.reader.ReaderError):
        return f":{_line_and_column(text, error.position)}"
    return ""


def _line_and_column(text: str, position: int) -> str:
    before = text[:position]
    return f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


def _refuse_depth(value: Any) -> None:
    level: list[Any] = [value]
    for _ in range(DEEPEST + 1):
        level = [
            inner
            for one in level
            for inner in (one.values() if isinstance(one, dict) else one if isinstance(one, list) else ())
        ]
    if level:
        raise ValueError(_TOO_DEEP)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)
