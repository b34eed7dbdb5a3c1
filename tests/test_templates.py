"""A text never holds an object of Python, whichever way a template goes to print one."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import subprocess
import sys
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from parquill.errors import ErrorKind, JobError, RowError
from parquill.prompts import UserText
from parquill.templates import compile_template, for_template
from tests.e2e.kit import rehearsal, rows
from tests.test_prompts import fault, job, rendered

ROW: dict[str, Any] = {
    "t": "a text", "n": 3, "x": 1.5, "day": dt.date(2026, 1, 2), "price": Decimal("1.50"), "l": ["b", "a", "a"],
    "m": {"items": "3 shoes", "k": "v", "deep": {"keys": ["q"]}}, "blob": b"\x00\xff", "null": None,
    "pairs": [("k", 1), ("l", 2)], "structs": [{"a": 1, "upper": "U"}, {"a": 2, "upper": "V"}],
}  # fmt: skip

OBJECTS = [
    "t.upper", "t.split", "n.bit_length", "day.isoformat", "l.index", "m.get", "blob", "blob.decode",
    "l|map('upper')", "l|select('string')", "l|reject('none')", "l|batch(2)", "l|slice(2)", "l|reverse", "l|unique",
    "structs|map(attribute='a')", "structs|selectattr('a')", "structs|rejectattr('a')", "m|items", "m.deep.values()",
    "t.encode()", "t|attr('upper')", "t['upper']", "'a'.upper", "[]|map('upper')", "l[0].upper", "(l|first).upper",
    "m.deep.items", "structs|map('attr', 'get')|first", "m.k.format",
]  # fmt: skip
"""Expressions over `ROW` that give what has no text."""

WAYS = [
    "{{ # }}", "{{ # ~ '' }}", "{{ '' ~ (#) }}", "{{ (#)|string }}", "{{ [#] }}", "{{ [[#]] }}", "{{ {'k': #} }}",
    "{{ {'k': [#]} }}", "{{ (#, 1) }}", "{{ [#]|join(', ') }}", "{{ '%s'|format(#) }}", "{{ '%r'|format(#) }}",
    "{{ '%s' % (#) }}", "{{ '%r' % [#] }}", "{{ '{}'.format(#) }}", "{{ '{!r:>9}'.format(#) }}",
    "{{ '{a}'.format(a=#) }}", "{{ (#)|upper }}", "{{ (#)|tojson }}", "{{ [#]|tojson }}", "{{ {'k': [#]}|tojson }}",
    "{{ (#)|pprint }}", "{{ [#]|pprint }}", "{{ (#)|e }}", "{{ (#)|forceescape }}", "{{ [#]|string }}",
    "{{ (#)|trim|title }}", "{{ (#)|replace('a', 'b') }}", "{{ (#)|default('x') }}", "{{ (#)|indent }}",
    "{{ (#)|center(9) }}", "{{ (#)|truncate(5) }}", "{{ (#)|striptags }}", "{{ (#)|int }}", "{{ (#)|float }}",
    "{{ 'x' + (#) }}", "{{ (#) or 'x' }}", "{{ [#]|first }}", "{{ [#]|last }}", "{{ [#][0] }}",
    "{{ [[#]]|map('first')|join }}",
    "{{ [#]|map('string')|join }}", "{{ [#]|map('upper')|list }}", "{% set y = # %}{{ y }}",
    "{% set y %}{{ # }}{% endset %}{{ y }}",
    "{% for y in [#] %}{{ y }}{% endfor %}", "{% filter upper %}{{ # }}{% endfilter %}",
    "{% with y = # %}{{ y }}{% endwith %}",
    "{% macro f(y) %}{{ y }}{% endmacro %}{{ f(#) }}",
    "{% macro f() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ f(#, z=#) }}",
    "{{ (#)|urlencode }}", "{{ {'a': #}|xmlattr }}", "{{ {'a': #}|urlencode }}", "{{ {'a': #}|items|list }}",
    "{{ [{'a': #}]|map(attribute='a')|list }}", "{{ [{'a': #}]|groupby('a') }}", "{{ ', '.join([#]) }}",
    "{{ [#] + [1] }}", "{{ [#] * 2 }}", "{{ ((#), 1)|list }}", "{% block b %}{{ # }}{% endblock %}",
]  # fmt: skip
"""Ways to print one, in place of `#`."""

FOREIGN = re.compile(
    r"0x[0-9a-f]{6}|<built-in|<bound|<function|<generator|<[\w.]+ object|dict_\w+\(|Undefined|<Macro|\bb'"
)


def text_of(template: str, row: dict[str, Any] = ROW) -> str:
    return UserText(job(f"text {template}"), list(row)).render(row)


@pytest.mark.parametrize("way", WAYS)
def test_no_way_prints_what_has_no_text(way: str) -> None:
    for thing in OBJECTS if way == "{{ # }}" else OBJECTS[::3]:
        template = way.replace("#", thing)
        try:
            text = text_of(template)
        except (RowError, JobError) as error:
            assert not FOREIGN.search(str(error)), error
        else:
            # filters that look into a list or generator print what is in it, which is well
            assert not FOREIGN.search(text), (template, text)
            assert thing != "t.upper", (template, text)


@pytest.mark.parametrize(
    ("thing", "told"),
    [
        ("t.upper", "'upper' of column 't' gives a method, which is no text: write upper() to call it"),
        ("l|map('upper')", "'|map' of column 'l' gives a generator, which is no text: write |list or |join(', ')"),
        ("m.deep.values()", "'values()' of column 'm' gives a generator, which is no text: write |list or |join"),
        ("blob", "column 'blob' gives bytes, which is no text: only texts can be sent"),
        ("t.encode()", "'encode()' of column 't' gives bytes"),
        ("structs|map('attr', 'get')|first", "'get' of column 'structs' gives a method"),
    ],
)  # fmt: skip
def test_the_fault_names_the_column_and_the_remedy(thing: str, told: str) -> None:
    """Also through names that the template gives itself."""
    for template in (f"{{{{ {thing} }}}}", f"{{% set y = {thing} %}}{{{{ [y] }}}}", f"{{{{ {thing} }}}}!"):
        assert told in fault(template, **ROW)
    assert "'upper' of column 'l' gives a method" in fault("{% for w in l %}{{ w.upper }}{% endfor %}", **ROW)


def test_the_remedies_are_ones() -> None:
    assert rendered("{{ t.upper() }} {{ l|map('upper')|list }} {{ l|map('upper')|join(', ') }}", **ROW) == (
        "A TEXT ['B', 'A', 'A'] B, A, A"
    )
    assert rendered("{{ m.deep.values()|list }} {{ blob.decode('latin-1') }}", **ROW) == "[['q']] \x00ÿ"


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ t }} {{ n }} {{ x }} {{ day }} {{ price }}", "a text 3 1.5 2026-01-02 1.50"),
        ("{{ l }} {{ m.deep }} {{ pairs }}", "['b', 'a', 'a'] {'keys': ['q']} [('k', 1), ('l', 2)]"),
        ("{% for k, v in m.deep.items() %}{{ k }}={{ v }}{% endfor %}", "keys=['q']"),
        ("{% for k, v in m.deep|items %}{{ k }}={{ v }}{% endfor %}", "keys=['q']"),
        ("{{ m.deep|length }} {{ l|map('upper')|first }} {{ 'b' in l|map('lower') }}", "1 B True"),
        ("{{ l|reverse|join }} {{ l|unique|sort|join }} {{ t.split() }}", "aab ab ['a', 'text']"),
        ("{{ '{0}-{1:>3}'.format(t, n) }} {{ '%s'|format(n) }}", "a text-  3 3"),
        ("{{ day.year }} {{ day.strftime('%d.%m.') }} {{ n.real }}", "2026 02.01. 3"),
        ("{% macro f(y) %}<{{ y }}>{% endmacro %}{{ f(t) }} {{ l|groupby(0)|length }}", "<a text> 2"),
        ("{% for y in l %}{{ loop.index }}{{ loop.cycle('a', 'b') }}{% endfor %}", "1a2b3a"),
        ("{% for y in l recursive %}{{ y }}{% if y == 'b' %}{{ loop(['z']) }}{% endif %}{% endfor %}", "bzaa"),
        ("{{ [l|map('upper')|list, m]|tojson }}", '[["B", "A", "A"], {"deep": {"keys": ["q"]}, "items": "3 shoes"'),
        ("{{ structs|sum(attribute='a') }} {{ structs|map(attribute='upper')|join }}", "3 UV"),
    ],
)  # fmt: skip
def test_texts_numbers_dates_lists_and_mappings_are_printed_as_before(template: str, text: str) -> None:
    assert rendered(template, **ROW).startswith(text)


def test_a_structs_field_comes_before_the_methods_of_pythons_dict() -> None:
    """`{{ order.items }}` sent a method's address."""
    assert rendered("{{ m.items }} {{ m['items'] }} {{ m.deep.keys }}", **ROW) == "3 shoes 3 shoes ['q']"
    assert "has no attribute 'values'" in fault("{{ m['values'] }}", **ROW)


@pytest.mark.parametrize("template", ["{{ loop }}", "{{ [loop] }}", "{{ loop ~ '' }}", "{% set z = loop %}{{ z }}"])
def test_a_loop_itself_is_no_text(template: str) -> None:
    with pytest.raises(JobError, match=r"line 1: 'loop' is an object of the template.*loop\.index"):
        text_of(f"{{% for y in l %}}{template}{{% endfor %}}")


@pytest.mark.parametrize("template", ["{{ f }}", "{{ f ~ '' }}", "{{ [f]|join }}", "{{ {'a': f} }}", "{{ self ~ '' }}"])
def test_a_macro_itself_is_no_text(template: str) -> None:
    with pytest.raises(JobError, match="is an object of the template"):
        text_of("{% macro f() %}x{% endmacro %}" + template)


def test_a_missing_value_in_a_list_is_no_text_either() -> None:
    assert "has no attribute 'zzz'" in fault("{{ [m.deep.zzz] }}", **ROW)


def test_a_filter_that_gives_another_text_at_each_look_is_refused() -> None:
    with pytest.raises(JobError, match="No filter named 'random'"):
        text_of("{{ l|random }}")


def test_a_constant_that_has_no_text_is_refused_when_the_template_is_read() -> None:
    with pytest.raises(JobError, match=r"'upper' gives a method.*upper\(\)"):
        text_of("{{ 'a'.upper ~ 'b' }}")


EXPRESSIONS = st.recursive(
    st.sampled_from([*ROW, "'a'", "1", "[]", "{}", *OBJECTS]),
    lambda inner: st.one_of(
        st.builds("({})|{}".format, inner, st.sampled_from([
            "list", "string", "join(', ')", "map('upper')", "first", "last", "tojson", "pprint", "upper", "reverse",
            "unique", "items", "dictsort", "sort", "length", "default('d')", "e", "map(attribute='upper')", "trim",
        ])),
        st.builds("({}).{}".format, inner, st.sampled_from(["upper", "items", "a", "keys()", "split()"])),
        st.builds("({})[{}]".format, inner, st.sampled_from(["0", "'items'", "'upper'", "-1"])),
        st.builds("({} {} {})".format, inner, st.sampled_from(["~", "+", "or", "and", "%", "in", "=="]), inner),
        st.builds("[{}, {}]".format, inner, inner),
        st.builds("{{'k': {}}}".format, inner),
        st.builds("'%s %r'|format({}, {})".format, inner, inner),
        st.builds("'{{0}}{{1!r}}'.format({}, {})".format, inner, inner),
    ),
    max_leaves=6,
)  # fmt: skip


@given(EXPRESSIONS)
@example("[(t).upper]|list")
def test_whatever_an_expression_does_its_text_holds_no_object(expression: str) -> None:
    try:
        text = text_of(f"{{{{ {expression} }}}}")
    except (RowError, JobError) as error:
        assert isinstance(error, JobError) or error.kind is ErrorKind.BAD_ROW
        text = str(error)
    assert not re.search(r" at 0x[0-9a-f]+|<built-in|<generator|<bound", text), (expression, text)


def sample_texts() -> list[str]:
    """What templates make of objects of every kind, or why they are refused."""

    def text(template: str) -> str:
        try:
            return text_of(template)
        except (RowError, JobError) as error:
            return str(error)

    return [text(way.replace("#", thing)) for way in WAYS for thing in OBJECTS[::5]]


def test_another_process_makes_the_same_texts() -> None:
    """The address of a method differs in each process: so did the text, and every row was asked anew."""
    ask = "import json; from tests.test_templates import sample_texts; print(json.dumps(sample_texts()))"
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, check=True, env=environment)
    assert json.loads(done.stdout) == sample_texts()


def test_names_are_those_of_the_row() -> None:
    assert compile_template("{% for y in l %}{{ y }}{{ t }}{% endfor %}").names == ["l", "t"]
    assert compile_template("{{ t }}").render({"t": for_template("x", "t")}) == "x"


async def test_a_template_that_prints_an_object_in_every_row_is_refused_and_nothing_is_sent(tmp_path: Any) -> None:
    async with rehearsal(tmp_path, sections={"prompt": {"user": "{{ text.upper }}", "user_column": None}}) as run:
        run.write(rows(5))
        with pytest.raises(JobError, match="'upper' of column 'text' gives a method"):
            await run.run()
        ended = await run.command("run")
        assert (ended.status, run.asked) == (2, 0)
        assert "upper()" in ended.err
        estimated = await run.command("estimate")
        assert (estimated.status, run.asked) == (2, 0)


async def test_where_only_some_rows_would_print_an_object_they_are_bad_rows(tmp_path: Any) -> None:
    user = "{% if id == 'r1' %}{{ text.upper }}{% else %}{{ text }}{% endif %}"
    async with rehearsal(tmp_path, sections={"prompt": {"user": user, "user_column": None}}) as run:
        run.write(rows(3))
        summary = await run.run()
        assert (summary.rows.ok, summary.rows.failed, run.asked) == (2, 1, 2)
        assert run.column("error_kind") == [None, "bad_row", None]
        assert "'upper' of column 'text'" in run.column("error_message")[1]
