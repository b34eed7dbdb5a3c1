"""The figures and samples of a report: right, and in memory that does not grow with the output."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from parquill.chat import ImageFigures
from parquill.errors import OutputError
from parquill.histogram import Histogram, round_step
from parquill.report.collect import collect
from parquill.report.details import facts
from parquill.report.fields import AnswerFigures
from parquill.report.figures import Pictures
from parquill.report.full_cells import whole_cells
from parquill.report.row_choice import cut
from parquill.report.runs import Nights
from parquill.report.shown_rows import MOST_CARDS, MOST_TABLE_ROWS
from parquill.report.time_buckets import RunTimeline
from parquill.storage import Storage
from tests.lanes import examples
from tests.outputs import ANSWER, OK, failed, night, write_output

NUMBERS = st.floats(-1e15, 1e15).filter(lambda x: x == 0 or abs(x) > 1e-4)


@given(st.lists(NUMBERS, min_size=1, max_size=200), st.floats(0.01, 1.0))
@example([1.0] * 9 + [5.0], 0.5)
@settings(max_examples=examples(100))
def test_a_quantile_is_right_to_half_a_per_cent(values: list[float], share: float) -> None:
    spread = Histogram()
    spread.add_array(np.array(values))
    exact = sorted(values)[max(1, math.ceil(share * len(values))) - 1]
    assert spread.quantile(share) == pytest.approx(exact, rel=0.0051, abs=1e-6)


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=300))
@settings(max_examples=examples(50))
def test_every_number_stands_in_one_bin(values: list[int]) -> None:
    spread = Histogram()
    spread.add_array(np.array(values))
    bins = spread.bins()
    assert sum(bin_.count for bin_ in bins) == len(values)
    assert len(bins) <= 25
    assert bins[0].low <= min(values)
    assert bins[-1].high is None or bins[-1].high > max(values)


def test_small_whole_numbers_are_counted_exactly() -> None:
    spread = Histogram()
    spread.add_array(np.repeat(np.arange(8), [5, 0, 3, 1, 1, 0, 0, 2]))
    assert [bin_.count for bin_ in spread.bins()] == [5, 0, 3, 1, 1, 0, 0, 2]


def test_an_empty_spread_says_nothing_and_breaks_nothing() -> None:
    spread = Histogram()
    spread.add_array(np.array([math.nan, math.inf]))
    assert (spread.count, spread.bins(), spread.quantile(0.5), spread.mean) == (0, [], 0.0, 0.0)


@pytest.mark.parametrize(("wanted", "step"), [(0.0, 1), (0.03, 0.05), (1, 1), (1.1, 2), (21, 50), (7e8, 1e9)])
def test_steps_are_round(wanted: float, step: float) -> None:
    assert round_step(wanted) == pytest.approx(step)


def test_moments_grow_longer_when_there_are_too_many_and_lose_nothing() -> None:
    rhythm = RunTimeline()
    for hour in range(6):
        seconds = np.arange(hour * 3600, (hour + 1) * 3600, dtype=np.int64)
        rhythm.add(seconds * 1_000_000, np.full(3600, 10**12), np.full(3600, 7))
    moments = rhythm.moments()
    assert rhythm.seconds > 1
    assert len(moments) <= 4_000
    assert [sum(column) for column in list(zip(*moments, strict=True))[1:]] == [21_600, 21_600 * 10**12, 21_600 * 7]
    assert [start for start, *_ in moments] == sorted(start for start, *_ in moments)


def test_answers_are_counted_field_by_field_as_deep_as_they_go() -> None:
    figures = AnswerFigures()
    kind = pa.struct(
        [
            pa.field("mood", pa.string()),
            pa.field("seen", pa.list_(pa.struct([pa.field("name", pa.string()), pa.field("sure", pa.float64())]))),
            pa.field("size", pa.struct([pa.field("wide", pa.int64())])),
            pa.field("day", pa.date32()),
            pa.field("true", pa.bool_()),
        ]
    )
    answers = [
        {"mood": "calm", "seen": [{"name": "cup", "sure": 0.5}, {"name": "cup", "sure": -1.5}], "size": {"wide": 3}},
        {"mood": None, "seen": [], "size": None, "day": None, "true": True},
        None,
    ]
    figures.add(pa.array(answers, kind))
    fields = figures.fields
    assert list(fields) == ["mood", "seen", "seen[].name", "seen[].sure", "size.wide", "day", "true"]
    assert (fields["mood"].filled, fields["mood"].empty) == (1, 1)
    assert fields["seen[].name"].values == {"cup": 2}
    assert fields["seen[].sure"].numbers.smallest == -1.5
    assert fields["seen"].items.mean == 1
    assert fields["size.wide"].values == {"3": 1}
    assert fields["true"].values == {"true": 1}


def test_plain_text_answers_are_one_field() -> None:
    figures = AnswerFigures()
    figures.add(pa.array(["one", "two", None]))
    assert list(figures.fields) == ["answer"]
    assert figures.fields["answer"].lengths.mean == 3


def test_a_field_of_many_values_is_free_text_and_holds_none_of_them() -> None:
    figures = AnswerFigures()
    for batch in range(3):
        figures.add(pa.array([f"caption {batch} {number}" for number in range(300)]))
    assert figures.fields["answer"].values is None
    assert figures.fields["answer"].lengths.count == 900


def test_sums_are_exact_and_grouped(tmp_path: Path) -> None:
    rows = [
        OK,
        dataclasses.replace(OK, provider="Chutes", cost_pico=1, attempts=3),
        failed("timeout", "no reply", attempts=6, cost_pico=5, provider=None),
        dataclasses.replace(OK, cost_pico=None),
        failed("image_invalid", "no picture", attempts=0, prompt_tokens=0, completion_tokens=0, cost_pico=0),
    ]
    figures = collect(write_output(tmp_path / "out", rows, rows_per_part=2)).figures
    assert (figures.all.rows, figures.all.requests, figures.all.cost_pico) == (5, 11, 14_080_006)
    assert figures.unpriced == 1
    assert {kind: sums.requests for kind, sums in figures.by_kind.items()} == {"timeout": 6, "image_invalid": 0}
    assert figures.by_provider["Chutes", "google/gemma-3-4b-it"].rows == 1
    assert figures.by_status["failed"].rows == 2
    assert figures.prompt.count == 4


def test_pictures_are_weighed(tmp_path: Path) -> None:
    seen = (ImageFigures(3_000_000, 80_000, 4000, 3000), None, ImageFigures.of_state('"v1"'))
    rows = [OK, dataclasses.replace(OK, images=seen), dataclasses.replace(OK, images=seen[:1])]
    figures = collect(write_output(tmp_path / "out", rows, rows_per_part=2)).figures
    assert figures.pictures == Pictures(count=2, fetched=6_000_000, sent=160_000)
    assert facts(figures, Nights()).pictures == (
        ("opened here", "2"), ("fetched or read", "6.0 MB"), ("sent", "0.2 MB"),
    )  # fmt: skip


def test_the_oddest_rows_of_all_parts_are_shown(tmp_path: Path) -> None:
    rows = [dataclasses.replace(OK, latency_ms=100 + number, answer_text="x" * 50) for number in range(40)]
    rows[3] = dataclasses.replace(OK, latency_ms=90_000, answer_text="x" * 50)
    rows[17] = dataclasses.replace(OK, answer_text="x" * 900, latency_ms=1)
    rows[21] = dataclasses.replace(OK, answer_text="", latency_ms=1)
    rows[30] = dataclasses.replace(OK, repairs=("a", "b"), answer_text="x" * 50, latency_ms=1)
    rows[31] = dataclasses.replace(OK, cost_pico=10**12, answer_text="x" * 50, latency_ms=1)
    samples = collect(write_output(tmp_path / "out", rows, rows_per_part=7)).samples
    reasons = {card.row.number: card.reasons for card in samples.cards()}
    assert "slowest" in reasons[3]
    assert "longest" in reasons[17]
    assert "shortest" in reasons[21]
    assert "repaired" in reasons[30]
    assert "expensive" in reasons[31]


def test_every_kind_of_a_kept_column_is_in_the_gallery(tmp_path: Path) -> None:
    rows, columns = night(600)
    columns["language"][599] = "Klingon"
    samples = collect(write_output(tmp_path / "out", rows, columns)).samples
    shown = {reason for card in samples.cards() for reason in card.reasons}
    assert {f"language: {name}" for name in ("English", "German", "Japanese", "Arabic", "Klingon")} <= shown
    assert not any(reason.startswith("title") for reason in shown)  # every row has its own


def test_a_sample_is_fair_to_late_rows_and_the_same_each_time(tmp_path: Path) -> None:
    rows, columns = night(3_000)
    output = write_output(tmp_path / "out", rows, columns, rows_per_part=1_500)
    drawn = [row.number for row in collect(output).samples.table_rows()]
    assert len(drawn) == MOST_TABLE_ROWS
    assert drawn == sorted(set(drawn))
    assert 1_400 < sum(drawn) / len(drawn) < 1_600
    assert drawn == [row.number for row in collect(output).samples.table_rows()]


def test_the_gallery_has_a_bound_and_each_row_once(tmp_path: Path) -> None:
    rows, columns = night(2_000)
    for name in ("a", "b", "c", "d"):
        columns[name] = [f"{name}{number % 23}" for number in range(2_000)]
    kept = tuple(pa.field(name, pa.string()) for name in ("a", "b", "c", "d"))
    cards = collect(write_output(tmp_path / "out", rows, columns, kept=kept)).samples.cards()
    assert len(cards) <= MOST_CARDS
    assert len({card.row.number for card in cards}) == len(cards)


def test_bulk_is_cut_before_it_is_kept() -> None:
    assert cut(b"12345") == "(5 bytes)"
    assert cut("data:image/png;base64,AAAA") == "(data: URL of 26 characters)"
    assert len(cut("x" * 10_000)) == 4_000
    assert cut({"a": ["y" * 5_000]})["a"][0].endswith("…")


def test_columns_of_bytes_are_not_read(tmp_path: Path) -> None:
    kept = (pa.field("photo", pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])),)
    output = write_output(tmp_path / "out", [OK], {"photo": [{"bytes": b"\xff" * 10, "path": "a"}]}, kept=kept)
    collected = collect(output)
    assert (collected.kept_columns, collected.bulky_columns) == ((), ("photo",))
    assert "photo" not in collected.samples.table_rows()[0].values


def test_no_more_is_read_for_the_gallery_than_allowed(tmp_path: Path) -> None:
    kept = (pa.field("photo", pa.binary()),)
    columns = {"photo": [bytes([number]) * 50_000 for number in range(9)]}
    output = write_output(tmp_path / "out", [OK] * 9, columns, kept=kept, rows_per_part=3)
    collected = collect(output)
    rows = collected.samples.table_rows()
    assert [cells["photo"][:1] for cells in whole_cells(output, rows, ["photo"]).values()] == [
        bytes([n]) for n in range(9)
    ]
    assert whole_cells(output, rows, ["photo"], most_bytes=10) == {}
    assert whole_cells(output, rows, []) == {}


def test_no_output_and_foreign_files_are_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no output to report on"):
        collect(Storage.at(tmp_path / "nothing"))
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "x.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(OutputError, match="cannot be read"):
        collect(Storage.at(tmp_path / "foreign"))


def test_a_damaged_part_is_named(tmp_path: Path) -> None:
    rows, columns = night(3_000)
    output = write_output(tmp_path / "out", rows, columns)
    part = next((tmp_path / "out").glob("*.parquet"))
    raw = bytearray(part.read_bytes())
    raw[1_000:40_000] = bytes(39_000)
    part.write_bytes(raw)
    with pytest.raises(OutputError, match=part.name):
        collect(output)


def test_an_output_without_an_id_column_is_keyed_by_row(tmp_path: Path) -> None:
    output = write_output(
        tmp_path / "out", [OK, OK], {"row": [0, 1]}, key=pa.field("row", pa.int64()), kept=(), answer=ANSWER
    )
    assert collect(output).key_column == "row"
