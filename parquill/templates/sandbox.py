"""Templates that Jinja renders: sandboxed, without functions, and never with an object's address in the text.

Every value that comes from an attribute, an item, a filter or a call passes `closed`; what is no text,
number, date, list or mapping is then an `Inside`, whose use as a text raises. Jinja's own objects
(`loop`, `self`, a macro) may be asked for a value or called, and nothing else: that is seen in
the syntax tree. A struct's fields come before the methods of Python's dict.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jinja2
import jinja2.meta
import jinja2.sandbox
from jinja2 import nodes
from jinja2.visitor import NodeTransformer

from parquill.errors import ErrorKind, JobError, RowError
from parquill.templates import bounds
from parquill.templates.printable_values import Inside, InsideError, Null, closed, first_inside, json_default, opened

_CHANGING = frozenset({"random"})
"""Filters that give another text at each look: the row would be asked and paid anew each time."""


_CALL = 3
"""Steps that a call or a filter counts."""
_EACH, _HANDLED, _JOINED = "each item", "handled value", "joined values"
"""Filters that no template can name: they count the work (`bounds.py`)."""


class JinjaTemplate:
    """A template compiled by Jinja."""

    def __init__(self, source: str) -> None:
        """Raises `JobError` where it is not valid, reaches other templates, or prints an object in every row."""
        environment = _Environment()
        self._origins: Mapping[str, frozenset[str]] = {}
        try:
            tree = environment.parse(source)
            self.names: Sequence[str] = sorted(jinja2.meta.find_undeclared_variables(tree))
            self._origins = _origins(tree, frozenset(self.names))
            _refuse_jinjas_objects(tree)
            self._template = environment.from_string(source)
        except jinja2.TemplateSyntaxError as error:
            raise JobError(f"prompt.user: line {error.lineno}: not a valid template: {error.message}") from None
        except InsideError as error:  # of constants, which Jinja computes once for all rows; so the next
            raise JobError(self._named(error).message) from None
        except (jinja2.TemplateError, RowError) as error:
            raise JobError(f"prompt.user: not a valid template: {error}") from None
        if list(jinja2.meta.find_referenced_templates(tree)):
            raise JobError("prompt.user: a template cannot include, import or extend another")

    def render(self, values: Mapping[str, Any]) -> str:
        """Return the text of a row; raises `InsideError` naming column and remedy."""
        bounds.begin_row()
        try:
            return self._template.render(values)
        except InsideError as error:
            raise self._named(error) from None

    def _named(self, error: InsideError) -> InsideError:
        return InsideError(error.what, error.name, error.columns or self._origins.get(error.name, ()))


class _Undefined(jinja2.StrictUndefined):
    """A name without a value, which has no text in a list either."""

    __slots__ = ()

    __repr__ = jinja2.StrictUndefined.__str__


class _Environment(jinja2.sandbox.ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"+", "*", "**", "%"})
    """Judged before they are computed, also where Jinja would compute a constant beforehand."""
    concat = staticmethod(bounds.concat)  # of a whole text, and of a macro's

    def __init__(self) -> None:
        super().__init__(undefined=_Undefined, finalize=_printed, keep_trailing_newline=True, autoescape=False)
        self.globals.clear()
        self.tests["none"] = lambda value: value is None or isinstance(value, Null)
        self.filters = {name: _closing(name, one) for name, one in self.filters.items() if name not in _CHANGING}
        self.filters |= {_EACH: bounds.each, _JOINED: lambda parts: "".join(map(str, bounds.joined(parts)))}
        self.filters[_HANDLED] = bounds.checked
        tests: Mapping[str, Any] = self.tests
        self.tests = {name: _charging(one) for name, one in tests.items()}
        self.policies["json.dumps_function"] = _json

    def _generate(self, source: nodes.Template, *args: Any, **kwargs: Any) -> str:
        _count_work(source)
        return super()._generate(source, *args, **kwargs)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        bounds.judge_operation(operator, left, right)
        return bounds.checked(super().call_binop(context, operator, left, right))

    def getattr(self, obj: Any, attribute: str) -> Any:
        obj = opened(obj)
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        return _closed(super().getattr(obj, attribute), attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        obj = opened(obj)
        if not isinstance(obj, dict):
            return _closed(super().getitem(obj, argument), str(argument))
        try:
            return obj[argument]
        except (KeyError, TypeError):
            return self.undefined(obj=obj, name=argument)

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - as in Jinja
        name = getattr(__obj, "name", "")
        function = opened(__obj)
        bounds.spend(steps=_CALL)
        method = getattr(function, "__wrapped__", function)  # `str.format` is wrapped by the sandbox
        if isinstance(owner := getattr(method, "__self__", None), (str, bytes, int)):
            bounds.judge_method(owner, method.__name__, args, kwargs)
            if method.__name__ == "join" and args and not isinstance(owner, int):
                args = (bounds.joined(args[0]), *args[1:])
        try:
            return bounds.checked(_closed(super().call(__context, function, *args, **kwargs), f"{name}()"))
        except TypeError:  # of a method of Python's that takes texts alone: `', '.join([t.upper])`
            if (found := first_inside([*args, *kwargs.values()])) is not None:
                raise InsideError(found.what, found.name, found.columns) from None
            raise


def _closed(value: Any, name: str) -> Any:
    return value if isinstance(value, jinja2.Undefined) else closed(value, name)


def _closing(name: str, used: Callable[..., Any]) -> Callable[..., Any]:
    before = 1 if hasattr(used, "jinja_pass_arg") else 0
    """The context or environment, which some take before the value."""

    @functools.wraps(used)
    def filtered(*args: Any, **kwargs: Any) -> Any:
        if len(args) > before:
            first, value, rest = args[:before], args[before], args[before + 1 :]
            bounds.spend(value, steps=_CALL)
            bounds.judge_filter(name, value, rest, kwargs)
            if name == "sum":
                value = bounds.summed(value, kwargs.get("start", rest[1] if len(rest) > 1 else 0))
            elif name == "join":
                value = bounds.joined(value)
                bounds.judge_method(str(kwargs.get("d", rest[0] if rest else "")), "join", [value], {})
            args = (*first, value, *rest)
        return bounds.checked(_closed(used(*args, **kwargs), f"|{name}"))

    return filtered


def _charging(used: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(used)
    def tested(*args: Any, **kwargs: Any) -> Any:
        for one in args:
            bounds.spend(one)
        return used(*args, **kwargs)

    return tested


def _count_work(tree: nodes.Template) -> None:
    """Have loops, comparisons, slices and `~` pass the filters that charge for them."""

    def filtered(node: Any, name: str) -> nodes.Filter:
        return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)

    for loop in list(tree.find_all(nodes.For)):
        loop.iter = filtered(loop.iter, _EACH)
    for operand in list(tree.find_all(nodes.Operand)):
        operand.expr = filtered(operand.expr, _HANDLED)
    _Counted().visit(tree)


class _Counted(NodeTransformer):
    """Puts a filter around each slice, and in place of each `~`."""

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802 - as Jinja names it
        self.generic_visit(node)
        parts = nodes.List(node.nodes, lineno=node.lineno)
        return nodes.Filter(parts, _JOINED, [], [], None, None, lineno=node.lineno)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802 - as Jinja names it
        self.generic_visit(node)
        if not isinstance(node.arg, nodes.Slice):
            return node
        return nodes.Filter(node, _HANDLED, [], [], None, None, lineno=node.lineno)


def _printed(value: Any) -> Any:
    if type(value) is str:
        return value
    if value is None:
        raise RowError(ErrorKind.BAD_ROW, "prompt.user prints a value that is null in this row")
    value = _closed(value, "")
    bounds.judge_text(value)
    return str(value) if isinstance(value, Inside) else value


def _json(value: Any, **options: Any) -> str:
    """For the filter `tojson`: nulls are null there, and dates and decimals texts."""
    return json.dumps(value, ensure_ascii=False, default=json_default, **options)


def _refuse_jinjas_objects(tree: nodes.Template) -> None:
    """Raise `JobError` where `loop`, `self` or a macro is used as a value itself."""
    macros = {macro.name for macro in tree.find_all(nodes.Macro)}
    for name, parent in _loads(tree, None):
        asked = isinstance(parent, (nodes.Getattr, nodes.Getitem, nodes.Call)) and parent.node is name
        if name.name in {"self", "super", "caller", *macros} and not asked:
            raise JobError(_object_told(name))
    for loop in tree.find_all(nodes.For):
        for name, parent in (pair for child in (*loop.body, *loop.else_) for pair in _loads(child, loop)):
            asked = isinstance(parent, (nodes.Getattr, nodes.Getitem, nodes.Call)) and parent.node is name
            if name.name == "loop" and not asked:
                raise JobError(_object_told(name))


def _object_told(name: nodes.Name) -> str:
    return (
        f"prompt.user: line {name.lineno}: {name.name!r} is an object of the template, which is no text: write which "
        "of its values is meant (loop.index), or call it"
    )


def _loads(node: nodes.Node, parent: nodes.Node | None) -> Iterator[tuple[nodes.Name, nodes.Node | None]]:
    """Yield every name that is read beneath a node, with what stands around it."""
    if isinstance(node, nodes.Name):
        if node.ctx == "load":
            yield node, parent
        return
    for child in node.iter_child_nodes():
        yield from _loads(child, node)


def _origins(tree: nodes.Template, columns: frozenset[str]) -> Mapping[str, frozenset[str]]:
    """Return by each attribute and filter (`|map`) the columns that its values come from."""
    sources: dict[str, set[str]] = {name: {name} for name in columns}
    pairs = [(one.target, one.iter) for one in tree.find_all(nodes.For)]
    pairs += [(one.target, one.node) for one in tree.find_all(nodes.Assign)]
    assigned = [
        (name.name, value)
        for target, value in pairs
        for name in [target, *target.find_all(nodes.Name)]
        if isinstance(name, nodes.Name)
    ]
    for _ in range(len(assigned) + 1):  # names made of names made of columns
        for name, value in assigned:
            sources.setdefault(name, set()).update(_sources(value, sources))
    origins: dict[str, set[str]] = {name: {name} for name in columns}
    for node in tree.find_all((nodes.Getattr, nodes.Getitem, nodes.Filter)):
        found = _sources(node, sources)
        if isinstance(node, nodes.Filter):
            origins.setdefault(f"|{node.name}", set()).update(found)
        for name in _attributes(node):
            origins.setdefault(name, set()).update(found)
            origins.setdefault(f"{name}()", set()).update(found)
    return {name: frozenset(found & columns) for name, found in origins.items()}


def _attributes(node: nodes.Node) -> Iterator[str]:
    if isinstance(node, nodes.Getattr):
        yield node.attr
    elif isinstance(node, nodes.Getitem):
        yield from (str(one.value) for one in node.arg.find_all(nodes.Const))
        if isinstance(node.arg, nodes.Const):
            yield str(node.arg.value)
    elif isinstance(node, nodes.Filter):  # |map(attribute='upper'), |attr('upper')
        for one in node.find_all(nodes.Const):
            yield from str(one.value).split(".")


def _sources(node: nodes.Node, sources: Mapping[str, set[str]]) -> set[str]:
    names = [node] if isinstance(node, nodes.Name) else node.find_all(nodes.Name)
    return {column for name in names for column in sources.get(name.name, ())}
