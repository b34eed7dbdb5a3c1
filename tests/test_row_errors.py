"""Whatever a library raises over the value of one cell is that row's error, by one function."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from parquill.errors import ErrorKind, RowError, StorageFaultError, row_errors
from parquill.fetch import UrlRules
from parquill.images.picture_cells import _SCHEME, DataPicture, decode_data_url, identity, read_cell
from parquill.job import Job
from parquill.prompts import UserText
from tests.jobs import load

LONE = "\ud83d"
"""Half of an emoji, which no UTF-8 holds."""


@pytest.mark.parametrize("before", ["data:image/png,", "data:image/png;base64,", "data:image/png;base64,%", "data:,%4"])
def test_half_an_emoji_in_a_data_url_is_an_invalid_picture(before: str) -> None:
    (value,) = read_cell(f"{before}{LONE}", UrlRules())
    assert isinstance(value, DataPicture)
    identity(value, lambda _: (0, 0))
    with pytest.raises(RowError) as caught:
        decode_data_url(value.url)
    assert caught.value.kind is ErrorKind.IMAGE_INVALID


@pytest.mark.parametrize(
    "text", [f"http://{LONE}.example/", f"s3://b/{LONE}", f"{LONE}://x", f"data:{LONE},x", LONE * 80]
)
def test_half_an_emoji_anywhere_in_a_cell_is_a_value_or_the_row_s_error(text: str) -> None:
    for cell in (text, [text], {"path": text, "bytes": None}):
        try:
            for value in read_cell(cell, UrlRules()):
                identity(value, lambda _: (0, 0))
        except RowError as fault:
            assert fault.message.isprintable()


def test_a_list_that_a_cell_nests_a_thousand_times_is_the_row_s_error() -> None:
    cell: Any = "x.png"
    for _ in range(100_000):
        cell = {"bytes": cell, "path": None}
    with pytest.raises(RowError, match="the cell cannot be read as a picture: unexpected RecursionError") as caught:
        read_cell(cell, UrlRules())
    assert caught.value.kind is ErrorKind.BAD_ROW
    while isinstance(cell, dict):
        cell = cell.pop("bytes")  # else its end would recurse as well


@pytest.mark.parametrize("error", [IndexError("secret"), UnicodeError("secret"), RecursionError("secret")])
def test_what_a_library_says_is_not_repeated(error: Exception) -> None:
    with pytest.raises(RowError) as caught, row_errors(ErrorKind.BAD_ROW, "the cell cannot be read"):
        raise error
    assert caught.value.message == f"the cell cannot be read: unexpected {type(error).__name__}"


@pytest.mark.parametrize("error", [MemoryError(), OSError("no disk"), StorageFaultError("x"), KeyboardInterrupt()])
def test_what_no_value_causes_passes_through(error: BaseException) -> None:
    with pytest.raises(type(error)), row_errors(ErrorKind.BAD_ROW, "the cell cannot be read"):
        raise error


def test_a_row_s_own_error_keeps_its_kind() -> None:
    with pytest.raises(RowError, match="too large") as caught, row_errors(ErrorKind.BAD_ROW, "the cell"):
        raise RowError(ErrorKind.IMAGE_REFUSED, "too large")
    assert caught.value.kind is ErrorKind.IMAGE_REFUSED


def test_a_template_that_runs_out_of_memory_is_the_row_s_error() -> None:
    job: Job = load(
        {"name": "n", "manifest": {"path": "m"}, "prompt": {"user": "{{ a.b() }}"}, "output": {"path": "o"}}
    )

    class Cell(dict[str, Any]):
        def b(self) -> None:
            raise MemoryError

    text = UserText(job, ["a"])
    with pytest.raises(RowError, match="cannot be rendered"):
        text._template = type("T", (), {"render": lambda *_: Cell().b()})()  # type: ignore[assignment]  # raises, as it is
        text.render({"a": "x"})


READS_CELLS = (
    "fetch/urls.py", "images/picture_cells.py", "images/loader.py", "planning/rows.py", "prompts.py",
    "results/cells.py", "images/sandbox/decoder_worker.py",
)  # fmt: skip


@pytest.mark.parametrize("module", READS_CELLS)
def test_modules_that_read_cells_list_no_library_s_exceptions(module: str) -> None:
    """Our own errors, files that are not there and cancelled tasks are handled by name; all else by `row_errors`."""
    tree = ast.parse((Path("parquill") / module).read_text())
    named = {ast.unparse(one.type) for one in ast.walk(tree) if isinstance(one, ast.ExceptHandler) and one.type}
    if module == "results/cells.py":
        named.remove("Exception")  # of a whole column, which is then read cell by cell
    assert named <= {"RowError", "InsideError", "AddressSpellingError", "OSError"}, named


@pytest.mark.parametrize("text", ["x" * 5_000, "s3://bucket/" + "x" * 5_000])
def test_a_text_longer_than_a_path_names_no_file(text: str) -> None:
    with pytest.raises(RowError, match=r"is refused|at most 4096 characters") as caught:
        read_cell(text, UrlRules())
    assert caught.value.kind in (ErrorKind.IMAGE_REFUSED, ErrorKind.IMAGE_UNREACHABLE)
    assert len(caught.value.message) < 300


def test_a_long_text_without_a_colon_is_not_searched_for_a_scheme() -> None:
    assert _SCHEME.match("A" * 1_000 + ":") is None
    assert _SCHEME.match("https:")
