"""What is too large for any row to need is that row's error, before it is copied."""

from __future__ import annotations

import time
from types import SimpleNamespace

import jinja2
import pytest

from parquill.endpoint import EndpointFacts
from parquill.errors import ErrorKind, RowError
from parquill.fetch import UrlRules
from parquill.images import picture_cells
from parquill.job import ImageSettings
from parquill.planning import rows
from parquill.prompts import UserText
from parquill.templates import bounds, compile_template
from tests.jobs import load

LONG = "x" * 1_000_000
ROW = {"a": "x", "l": list(range(100)), "long": LONG, "other": LONG[:-1] + "y", "n": 10**200}
NESTED = "".join(f"{{% for {name} in l %}}" for name in "bcdefgh") + "{{ a }}" + "{% endfor %}" * 7


def doubled(by: str, first: str) -> str:
    names = [first, *(f"v{number}" for number in range(40))]
    return "".join(f"{{% set {b} = {by.format(a)} %}}" for a, b in zip(names, names[1:])) + "{{ v39 }}"  # noqa: RUF007, B905 - each with the next


HOSTILE = [
    "{{ 'a' * 10**9 }}", "{{ 10**9 * 'a' }}", "{{ a * 10**9 }}", "{{ [1] * 10**9 }}", "{{ 10 ** (10 ** 9) }}",
    "{{ a|center(10**9) }}", "{{ a|indent(10**9, true) }}", "{{ a.ljust(10**9) }}", "{{ a.zfill(10**9) }}",
    "{{ '\t'.expandtabs(10**9) }}", "{{ (5).to_bytes(10**9, 'big') }}", "{{ '%1000000000d'|format(1) }}",
    "{{ '%1000000000d' % 1 }}", "{{ '%*d' % (10**9, 1) }}", "{{ '{:>1000000000}'.format(1) }}",
    "{{ '{:>{}}'.format(1, 10**9) }}", "{{ '{a:>1000000000}'.format_map({'a': 1}) }}", "{{ long.replace('x', long) }}",
    "{{ long|replace('', long) }}", "{{ long.join(long) }}", "{{ ([long] * 1000)|join }}", "{{ [long] * 1000 }}",
    "{{ ([long] * 1000)|tojson }}", "{{ ([long] * 1000)|striptags }}", "{{ {'a': [long] * 1000}|xmlattr }}",
    "{{ long ~ [long] * 1000 }}", "{{ long.translate({120: long}) }}", "{{ ([[1]] * 900000)|sum(start=[]) }}",
    "{{ 5|round(-1000000000) }}", "{{ l|batch(10**9, 'x')|list }}", "{{ l|slice(10**9)|list }}",
    "{{ l|tojson(indent=10**9) }}", "{{ long|wordwrap(1, true, long) }}", "{{ long|map('replace', 'x', long)|join }}",
    "{% set x %}{% for b in l %}{{ long }}{% endfor %}{% endset %}{{ x }}", NESTED,
    doubled("{0} ~ {0}", "long"), doubled("{0} + {0}", "long"), doubled("{0} * {0}", "n"),
    doubled("[{0}, {0}]", "long"),
    "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
    "{% for b in long %}{% for c in long %}{% endfor %}{% endfor %}x",
    "{% for b in long if b ~ 'y' in long %}{% endfor %}x",
    "{% for b in long if long == other %}{% endfor %}x", "{% for b in long if long is eq(other) %}{% endfor %}x",
    "{% for b in long if long[1:] %}{% endfor %}x",
]  # fmt: skip


@pytest.mark.parametrize("source", HOSTILE)
def test_a_template_that_makes_too_much_is_the_row_s_error(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MOST_WORK", bounds.MOST_WORK // 20)
    begun = time.process_time()
    template = compile_template(source)
    with pytest.raises(RowError, match="for this row") as caught:
        template.render({name: ROW[name] for name in template.names})
    assert caught.value.kind is ErrorKind.BAD_ROW
    assert time.process_time() - begun < 5


@pytest.mark.parametrize("source", ["{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "{{ a|indent('x' * 10**8) }}"])
def test_a_template_that_never_ends_is_the_row_s_error_as_well(source: str) -> None:
    job = load({"name": "x", "manifest": {"path": "m"}, "prompt": {"user": source}, "output": {"path": "o"}})
    (text,) = UserText(job, ["a"]).render_all({"a": ["x"]}, 1)
    assert isinstance(text, RowError)
    assert text.kind is ErrorKind.BAD_ROW


def test_what_an_honest_template_does_is_as_it_was() -> None:
    source = (
        "{% for b in l %}{{ loop.index }}/{{ loop.length }}{{ ',' if not loop.last }}{% else %}none{% endfor %}"
        "{{ l|sum }} {{ [[1], [2]]|sum(start=[])|join('-') }} {{ 'a' ~ 1 ~ none_ }} {{ a[:1] }} "
        "{{ '%5.1f'|format(2) }} {{ 'x' in a }} {{ '{:>4,}'.format(1200) }} "
        "{{ a.center(5, '*') }} {{ l|map('string')|join(', ') }}"
    )
    row = {"l": [3, 4], "a": "xy", "none_": "n"}
    assert compile_template(source).render(row) == jinja2.Environment().from_string(source).render(row)


def test_a_text_that_no_token_count_can_save_is_told_before_its_tokens_are_counted() -> None:
    facts = object.__new__(EndpointFacts)
    object.__setattr__(facts, "price", SimpleNamespace(context_length=1000))
    assert facts.never_fits(32_000) is None
    assert "32,001 characters does not fit into the context of 1,000 tokens" in (facts.never_fits(32_001) or "")


def test_a_small_product_or_power_is_computed() -> None:
    assert compile_template("{{ '-' * 3 }}{{ 2 ** 10 }}{{ 2 * 3 }}").render({}) == "---10246"


@pytest.mark.parametrize("cell", [b"\xff\xd8\xff" + b"x" * 100, "data:image/jpeg;base64," + "A" * 200])
def test_a_cell_larger_than_a_file_may_be_is_refused(cell: str | bytes) -> None:
    assert picture_cells.read_cell(cell, UrlRules())
    with pytest.raises(RowError, match=r"refused: it is larger than 100 bytes \(images\.max_bytes\)") as caught:
        picture_cells.read_cell(cell, UrlRules.of(ImageSettings(max_bytes=100)))
    assert caught.value.kind is ErrorKind.IMAGE_REFUSED


def test_a_text_longer_than_any_context_is_the_row_s_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "LONGEST_TEXT", 10)
    reader = object.__new__(rows.RowReader)
    with pytest.raises(RowError) as caught:
        reader._prepare_one("x" * 11, (), ())
    assert caught.value.kind is ErrorKind.CONTEXT_OVERFLOW
