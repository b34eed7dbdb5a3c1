from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from parquill.planning.fingerprint_index import FingerprintIndex


def fingerprint(number: int) -> bytes:
    return hashlib.blake2b(b"%d" % number, digest_size=16).digest()


@given(st.lists(st.integers(0, 60), max_size=120))
def test_the_first_place_that_claims_a_fingerprint_keeps_it(numbers: list[int]) -> None:
    index = FingerprintIndex(len(set(numbers)))
    first: dict[int, tuple[int, int]] = {}
    for row, number in enumerate(numbers):
        place = (row // 7, row % 7)
        assert index.claim(fingerprint(number), *place) == first.get(number)
        first.setdefault(number, place)
    for number in range(61):
        assert index.find(fingerprint(number)) == first.get(number)


@given(st.lists(st.lists(st.integers(0, 60), max_size=30), max_size=6))
def test_rows_that_claim_together_get_what_each_gets_alone(slices: list[list[int]]) -> None:
    marks = [bytes(16), *map(fingerprint, range(1, 61))]
    together, alone = FingerprintIndex(61), FingerprintIndex(61)
    for number, wanted in enumerate(slices):
        rows = [3 * row for row in range(len(wanted))]
        found = together.claim_all([marks[one] for one in wanted], number, rows)
        claimed = [alone.claim(marks[one], number, row) for one, row in zip(wanted, rows, strict=True)]
        assert found == [place in (None, (number, row)) for place, row in zip(claimed, rows, strict=True)]
        assert together.claim_all([marks[one] for one in wanted], number, rows) == found
    assert [together.find(mark) for mark in marks] == [alone.find(mark) for mark in marks]
    assert together.is_full == alone.is_full


def test_fingerprints_that_share_their_slot_do_not_hide_each_other() -> None:
    index = FingerprintIndex(20)
    size = 31
    alike = [(5 + size * i).to_bytes(8, "little") + bytes(8) for i in range(1, 8)]
    for row, one in enumerate(alike):
        assert index.claim(one, 0, row) is None
    assert [index.find(one) for one in alike] == [(0, row) for row in range(7)]


def test_a_fingerprint_of_zeros_has_a_place_like_any_other() -> None:
    index = FingerprintIndex(2)
    assert index.find(bytes(16)) is None
    assert index.claim(bytes(16), 3, 4) is None
    assert index.claim(bytes(16), 5, 6) == (3, 4)
