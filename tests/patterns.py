"""Every regular expression of the project, found in its source, and texts that are hard for it, made from itself."""

from __future__ import annotations

import ast
import importlib
import re
import re._constants as constants
import re._parser as parser
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
_MAKERS = frozenset({"compile", "match", "search", "fullmatch", "sub", "split", "findall", "finditer", "subn"})
_USES = _MAKERS - {"compile"}


@dataclass(frozen=True)
class Found:
    """One call of `re`, and the methods by which its pattern is used."""

    file: str
    line: int
    pattern: re.Pattern[Any] | None
    """None where it is put together while the program runs."""
    uses: frozenset[str]

    name: str = ""
    """The module's name for the compiled pattern."""

    @property
    def place(self) -> str:
        if self.name or self.pattern is None:
            return f"{self.file}:{self.name}"
        return f"{self.file}: {self.pattern.pattern}"


def found_in(folder: str) -> Iterator[Found]:
    """Yield every call of `re` beneath a folder of the project."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        name = str(path.relative_to(ROOT))
        text = path.read_text(encoding="utf-8")
        if "re." not in text:
            continue
        nodes = list(ast.walk(ast.parse(text)))
        methods = _methods(nodes)
        for call, target in _calls(nodes):
            maker = call.func.attr  # type: ignore[attr-defined]  # `_calls` saw to it
            uses = {maker} if maker != "compile" else methods.get(target, set()) & _USES
            known = target if maker == "compile" else ""
            pattern = _compiled(name, call, known)
            yield Found(name, call.lineno, pattern, frozenset(uses or {"search", "fullmatch"}), known)


def _calls(nodes: Iterable[ast.AST]) -> Iterator[tuple[ast.Call, str]]:
    """Yield calls of `re`, with the name that a compiled pattern is given."""
    named = {
        id(node.value): node.targets[0].id
        for node in nodes
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    for node in nodes:
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in _MAKERS
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "re"
        ):
            yield node, named.get(id(node), "")


def _methods(nodes: Iterable[ast.AST]) -> dict[str, set[str]]:
    """Return the methods that are called of each name."""
    methods: dict[str, set[str]] = {}
    for node in nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            if isinstance(owner, ast.Name):
                methods.setdefault(owner.id, set()).add(node.func.attr)
    return methods


def _compiled(file: str, call: ast.Call, name: str) -> re.Pattern[Any] | None:
    module = importlib.import_module(file.removesuffix(".py").replace("/", "."))
    known = getattr(module, name, None) if name else None
    if isinstance(known, re.Pattern):
        return known
    if isinstance(call.args[0], ast.Constant):
        return re.compile(call.args[0].value, _flags(call))
    return None


def _flags(call: ast.Call) -> int:
    """The flags that a call names, as far as they are written out."""
    names = {node.attr for node in ast.walk(call) if isinstance(node, ast.Attribute) and node.attr.isupper()}
    names |= {node.attr for node in ast.walk(call) if isinstance(node, ast.Attribute) and len(node.attr) == 1}
    return int(sum({int(re.RegexFlag[name]) for name in names if name in re.RegexFlag.__members__}))


def hard_texts(pattern: re.Pattern[Any], length: int) -> Iterator[Any]:
    """Yield texts of about `length` characters that begin to match again and again, and do not."""
    tree = parser.parse(pattern.pattern, pattern.flags & ~re.DEBUG)
    signs = "".join(dict.fromkeys(_signs(tree)))
    whole = _sample(tree)
    pieces = [*signs[:12], whole, whole[:-1], whole[:3], whole[: len(whole) // 2]]
    pieces += [one + other for one in signs[:5] for other in signs[:5] if one != other]
    for piece in dict.fromkeys(filter(None, pieces)):
        for before in dict.fromkeys(("", whole[: len(whole) // 2])):
            text = before + piece * max(1, length // len(piece)) + "\x01"
            yield text.encode("utf-8", "surrogatepass") if isinstance(pattern.pattern, bytes) else text


def _signs(tree: Any) -> Iterator[str]:
    """Yield a sign for each place of a pattern where one is read."""
    for operator, value in tree:
        yield from _sign(operator, value)
        for inner in _inner(operator, value):
            yield from _signs(inner)


def _inner(operator: Any, value: Any) -> list[Any]:
    if operator in (constants.MAX_REPEAT, constants.MIN_REPEAT, constants.POSSESSIVE_REPEAT):
        return [value[2]]
    if operator is constants.SUBPATTERN:
        return [value[3]]
    if operator is constants.BRANCH:
        return list(value[1])
    if operator is constants.ATOMIC_GROUP:
        return [value]
    return [value[1]] if operator in (constants.ASSERT, constants.ASSERT_NOT) else []


def _sign(operator: Any, value: Any) -> str:
    if operator is constants.LITERAL:
        return chr(value)
    if operator is constants.ANY:
        return "a"
    if operator is constants.NOT_LITERAL:
        return "a" if value != ord("a") else "b"
    if operator is constants.IN:
        return _of_set(value)
    return ""


_CATEGORIES = {constants.CATEGORY_DIGIT: "7", constants.CATEGORY_SPACE: " ", constants.CATEGORY_WORD: "w"}


def _of_set(members: Any) -> str:
    if members[0][0] is constants.NEGATE:
        excluded = re.compile("[" + "".join(map(_written, members[1:])) + "]")
        return next((sign for sign in "a7 -.:/é" if not excluded.match(sign)), "é")
    signs = []
    for operator, value in members:
        if operator is constants.LITERAL:
            signs.append(chr(value))
        elif operator is constants.RANGE:
            signs.append(chr(value[0]))
        else:
            signs.append(_CATEGORIES.get(value, "a"))
    return "".join(signs[:4])


def _written(member: Any) -> str:
    operator, value = member
    if operator is constants.LITERAL:
        return re.escape(chr(value))
    if operator is constants.RANGE:
        return f"{re.escape(chr(value[0]))}-{re.escape(chr(value[1]))}"
    return {constants.CATEGORY_DIGIT: r"\d", constants.CATEGORY_SPACE: r"\s", constants.CATEGORY_WORD: r"\w"}.get(
        value, r"\W"
    )


def _sample(tree: Any) -> str:
    """Return a text that the pattern about matches."""
    text = ""
    for operator, value in tree:
        if operator is constants.BRANCH:
            text += _sample(value[1][0])
        elif operator is constants.ASSERT:
            text += ""
        elif operator in (constants.MAX_REPEAT, constants.MIN_REPEAT, constants.POSSESSIVE_REPEAT):
            text += _sample(value[2]) * max(1, min(value[0], 8))
        elif operator is constants.SUBPATTERN:
            text += _sample(value[3])
        elif operator is constants.ATOMIC_GROUP:
            text += _sample(value)
        else:
            text += _sign(operator, value)[:1]
    return text
