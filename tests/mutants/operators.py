"""Small changes of Python code, each of which a test should notice.

A change replaces the text of one node and leaves every other character of the file as it is, so that line numbers
stay true. Left alone: annotations, docstrings, decorators, asserts, and whatever only makes the words of a fault
(an f-string, the arguments of an exception that is raised or of a notice).
"""

from __future__ import annotations

import ast
import copy
import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator

_COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_COUNTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.Div: ast.Mult,
    ast.Mod: ast.FloorDiv, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr, ast.LShift: ast.RShift,
}  # fmt: skip
_CALLED = {"min": "max", "max": "min", "any": "all", "all": "any"}
_ONLY_WORDS = (ast.Raise, ast.Assert, ast.JoinedStr)


@dataclasses.dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one file. `line` counts from 1; `start` and `end` are character positions in the file."""

    path: str
    function: str
    line: int
    start: int
    end: int
    before: str
    after: str
    number: int = 1
    """Which one, of several alike in a function."""

    @property
    def name(self) -> str:
        """Say where and what, the same for every run: `parquill/budget.py Budget.reserve: a < b -> a <= b`."""
        which = f" #{self.number}" if self.number > 1 else ""
        return f"{self.path} {self.function}: {' '.join(self.before.split())} -> {' '.join(self.after.split())}{which}"

    def applied(self, source: str) -> str:
        """Return the file's text with the change."""
        return source[: self.start] + self.after + source[self.end :]


def mutants_of(path: str, source: str) -> list[Mutant]:
    """Return every change of a file that the operators know, in the order of the text."""
    alike: Counter[str] = Counter()
    found: list[Mutant] = []
    for one in _Finder(path, source).found():
        alike[one.name] += 1
        found.append(dataclasses.replace(one, number=alike[one.name]))
    return found


class _Finder:
    def __init__(self, path: str, source: str) -> None:
        self._path = path
        self._source = source
        self._lines = source.encode().splitlines(keepends=True)
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line.decode()))

    def found(self) -> Iterator[Mutant]:
        yield from self._within(ast.parse(self._source), "")

    def _within(self, node: ast.AST, function: str) -> Iterator[Mutant]:
        if isinstance(node, _ONLY_WORDS) or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
            return
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            function = f"{function}.{node.name}" if function else node.name
            for inner in node.body:
                yield from self._within(inner, function)
            return
        if function:  # constants and tables at the top of a module are settings: no rule decides in them
            for target, after in _changes(node):
                yield self._mutant(target, after, function)
        for name, value in ast.iter_fields(node):
            if name == "annotation":
                continue
            for inner in value if isinstance(value, list) else [value]:
                if isinstance(inner, ast.AST):
                    yield from self._within(inner, function)

    def _mutant(self, node: ast.expr | ast.stmt, after: str, function: str) -> Mutant:
        start, end = self._at(node.lineno, node.col_offset), self._at(node.end_lineno or 0, node.end_col_offset or 0)
        return Mutant(self._path, function, node.lineno, start, end, self._source[start:end], after)

    def _at(self, line: int, column: int) -> int:
        return self._starts[line - 1] + len(self._lines[line - 1][:column].decode())


Changes = Iterator[tuple[ast.expr | ast.stmt, str]]


def _changes(node: ast.AST) -> Changes:
    for kind, change in _OPERATORS.items():
        if isinstance(node, kind):
            yield from change(node)


def _with(node: ast.expr, **fields: object) -> tuple[ast.expr, str]:
    changed = copy.deepcopy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return node, f"({ast.unparse(changed)})"


def _compare(node: ast.Compare) -> Changes:
    for place, op in enumerate(node.ops):
        ops = list(node.ops)
        ops[place] = _COMPARED[type(op)]()
        yield _with(node, ops=ops)


def _count(node: ast.BinOp) -> Changes:
    is_text = any(isinstance(side, ast.JoinedStr) or _is_text(side) for side in (node.left, node.right))
    if type(node.op) in _COUNTED and not is_text:
        yield _with(node, op=_COUNTED[type(node.op)]())


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)


def _both(node: ast.BoolOp) -> Changes:
    yield _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
    for place in range(len(node.values)):
        left = [value for at, value in enumerate(node.values) if at != place]
        yield node, f"({ast.unparse(left[0] if len(left) == 1 else ast.BoolOp(node.op, left))})"


def _not(node: ast.UnaryOp) -> Changes:
    if isinstance(node.op, ast.Not | ast.USub):
        yield node, f"({ast.unparse(node.operand)})"


def _constant(node: ast.Constant) -> Changes:
    if isinstance(node.value, bool):
        yield node, repr(not node.value)
    elif isinstance(node.value, int):
        yield node, repr(node.value + 1)


def _condition(node: ast.If | ast.IfExp | ast.While) -> Changes:
    if not isinstance(node.test, ast.Constant):
        yield node.test, f"(not ({ast.unparse(node.test)}))"
        if not isinstance(node, ast.While):
            yield node.test, "(False)"


def _filters(node: ast.comprehension) -> Changes:
    for test in node.ifs:
        yield test, "(True)"


def _returned(node: ast.Return) -> Changes:
    if node.value is not None and not (isinstance(node.value, ast.Constant) and node.value.value is None):
        yield node.value, "(None)"


def _dropped(node: ast.Expr) -> Changes:
    if isinstance(node.value, ast.Call | ast.Await):
        yield node, "pass"


def _assigned(node: ast.Assign) -> Changes:
    if any(isinstance(target, ast.Attribute | ast.Subscript) for target in node.targets):
        yield node, "pass"


def _added(node: ast.AugAssign) -> Changes:
    yield node, f"{ast.unparse(node.target)} = {ast.unparse(node.value)}"
    if type(node.op) in _COUNTED:
        yield node, ast.unparse(ast.AugAssign(node.target, _COUNTED[type(node.op)](), node.value))


def _called(node: ast.Call) -> Changes:
    if isinstance(node.func, ast.Name) and node.func.id in _CALLED:
        yield node.func, _CALLED[node.func.id]


def _left(node: ast.Continue | ast.Break) -> Changes:
    yield node, "break" if isinstance(node, ast.Continue) else "continue"


_OPERATORS: dict[type[ast.AST], Callable[..., Changes]] = {
    ast.Compare: _compare, ast.BinOp: _count, ast.BoolOp: _both, ast.UnaryOp: _not, ast.Constant: _constant,
    ast.If: _condition, ast.IfExp: _condition, ast.While: _condition, ast.comprehension: _filters,
    ast.Return: _returned, ast.Expr: _dropped, ast.Assign: _assigned, ast.AugAssign: _added, ast.Call: _called,
    ast.Continue: _left, ast.Break: _left,
}  # fmt: skip
