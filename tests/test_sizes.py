"""What is too large for any row to need is that row's error, before it is copied."""

from __future__ import annotations

import pytest

from parquill.errors import ErrorKind, RowError
from parquill.fetch import UrlRules
from parquill.images import values
from parquill.job import ImageSettings
from parquill.planning import rows
from parquill.templates import compile_template


@pytest.mark.parametrize(
    "source",
    ["{{ 'a' * 10**9 }}", "{{ 10**9 * 'a' }}", "{{ a * 10**9 }}", "{{ [1] * 10**9 }}", "{{ 10 ** (10 ** 9) }}"],
)
def test_a_template_that_would_print_a_gigabyte_is_the_row_s_error(source: str) -> None:
    template = compile_template(source)
    with pytest.raises(RowError) as caught:
        template.render({"a": "x"})
    assert caught.value.kind is ErrorKind.BAD_ROW


def test_a_small_product_or_power_is_computed() -> None:
    assert compile_template("{{ '-' * 3 }}{{ 2 ** 10 }}{{ 2 * 3 }}").render({}) == "---10246"


@pytest.mark.parametrize("cell", [b"\xff\xd8\xff" + b"x" * 100, "data:image/jpeg;base64," + "A" * 200])
def test_a_cell_larger_than_a_file_may_be_is_refused(cell: str | bytes) -> None:
    assert values.read_cell(cell, UrlRules())
    with pytest.raises(RowError, match=r"refused: it is larger than 100 bytes \(images\.max_bytes\)") as caught:
        values.read_cell(cell, UrlRules.of(ImageSettings(max_bytes=100)))
    assert caught.value.kind is ErrorKind.IMAGE_REFUSED


def test_a_text_longer_than_any_context_is_the_row_s_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "LONGEST_TEXT", 10)
    reader = object.__new__(rows.RowReader)
    with pytest.raises(RowError) as caught:
        reader._prepare_one("x" * 11, (), ())
    assert caught.value.kind is ErrorKind.CONTEXT_OVERFLOW
