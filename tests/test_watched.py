"""`make fuzz` ends and names an input that hangs, takes too much memory or ends its process."""

from __future__ import annotations

import os
import re

import pytest

from tests.watched import Watched, watch


def _hang(watched: Watched) -> None:
    watched.begin("a place, seed 7", "an input")
    while True:
        pass


def _grow(watched: Watched) -> None:
    watched.begin("a place, seed 7", b"an input")
    kept = bytearray(b"x" * 200_000_000)
    while kept:
        pass


def _end(watched: Watched) -> None:
    watched.begin("a place, seed 7", ("an input", 1))
    os._exit(9)


def _fail(watched: Watched) -> None:
    watched.begin("a place, seed 7", "an input")
    raise IndexError("of a library")


@pytest.mark.parametrize(
    ("work", "why"),
    [
        (_hang, "an input took more than 0 s"), (_grow, r"an input took \d+ MB"), (_end, "ended with status"),
        (_fail, "IndexError: of a library"),
    ],
)  # fmt: skip
def test_what_an_input_does_that_it_may_not_is_told_with_its_place_and_seed(work: object, why: str) -> None:
    seconds = 0.2 if work is _hang else 30.0
    found = watch(work, seconds=seconds, bytes_grown=100_000_000)  # type: ignore[arg-type]  # one of the above
    assert found is not None
    assert re.search(why, found), found
    assert "a place, seed 7: " in found
    assert "an input" in found.rpartition("seed 7: ")[2]


def test_work_that_comes_to_its_end_is_fine() -> None:
    assert watch(lambda watched: watched.begin("a place", "x"), seconds=30.0, bytes_grown=10**9) is None
