"""Results and the tables made of them: the contract's columns, exact money, rows in their places."""

from __future__ import annotations

import dataclasses
import datetime as dt
from decimal import Decimal
from typing import Any

import orjson
import pyarrow as pa
import pytest

from parquill.chat import ImageFigures
from parquill.errors import OutputError
from parquill.results import (
    RESULT_COLUMNS,
    CostSource,
    ItemResult,
    Status,
    merge_rows,
    not_attempted_table,
    output_schema,
    result_table,
    results_of,
    weakest,
)
from parquill.results.table import money_array, pico_values

ANSWER = pa.struct(
    [
        ("caption", pa.string()),
        ("mood", pa.dictionary(pa.int32(), pa.string())),
        ("day", pa.date32()),
        ("at", pa.timestamp("us", tz="UTC")),
        ("tags", pa.list_(pa.string())),
    ]
)
OK = ItemResult(
    status=Status.OK,
    fingerprint=bytes(range(16)),
    error_kind=None,
    error_message=None,
    answer={"caption": "a kettle", "mood": "calm", "day": "2026-11-22", "at": "2026-11-22T01:02:03Z", "tags": ["x"]},
    answer_text='{"caption": "a kettle"}',
    attempts=2,
    model="google/gemma-3-4b-it",
    provider="DeepInfra",
    generation_id="gen-1",
    finish_reason="stop",
    prompt_tokens=310,
    completion_tokens=42,
    cached_tokens=0,
    cost_pico=7_880_000,
    cost_source=CostSource.ENDPOINT,
    estimated_pico=9_000_000,
    latency_ms=812,
    repairs=("code_fence",),
    finished_at=1_790_000_000_000_001,
    images=(ImageFigures(48_117, 20_431, 640, 480, "0" * 32, '"v1"'), None, ImageFigures.of_state('W/"2"')),
    upstream_pico=1_000_000,
)
FAILED = dataclasses.replace(
    OK,
    status=Status.FAILED,
    fingerprint=None,
    error_kind="timeout",
    error_message="no reply within 60 s",
    answer=None,
    answer_text=None,
    cost_pico=None,
    cost_source=CostSource.UNKNOWN,
    prompt_tokens=None,
    repairs=(),
    images=None,
)


def to_arrow(answers: list[Any]) -> pa.Array:
    def lower(answer: Any) -> Any:
        if answer is None or not isinstance(answer, dict):
            return answer
        day, at = answer["day"], answer["at"]
        return answer | {"day": day and dt.date.fromisoformat(day), "at": at and dt.datetime.fromisoformat(at)}

    return pa.array([lower(answer) for answer in answers], ANSWER)


MANIFEST = pa.table({"id": ["a", "b", "c"], "title": pa.array(["x", None, "z"]), "n": [1, 2, 3]})
SCHEMA = output_schema(MANIFEST.schema.field("id"), [MANIFEST.schema.field("n")], ANSWER)


def test_the_columns_and_types_are_the_contracts() -> None:
    assert SCHEMA.names == ["id", "n", *RESULT_COLUMNS]
    types = {field.name: str(field.type) for field in SCHEMA if field.name not in {"id", "n", "answer"}}
    assert types == {
        "answer_text": "string",
        "status": "string",
        "error_kind": "string",
        "error_message": "string",
        "attempts": "int32",
        "model": "string",
        "provider": "string",
        "generation_id": "string",
        "finish_reason": "string",
        "prompt_tokens": "int64",
        "completion_tokens": "int64",
        "cached_tokens": "int64",
        "cost_usd": "decimal128(18, 12)",
        "cost_source": "string",
        "upstream_cost_usd": "decimal128(18, 12)",
        "estimated_cost_usd": "decimal128(18, 12)",
        "latency_ms": "int32",
        "answer_repairs": "list<item: string>",
        "finished_at": "timestamp[us, tz=UTC]",
        "fingerprint": "string",
        "images": "list<item: struct<bytes_fetched: int64, bytes_sent: int64, width: int32, height: int32, "
        "digest: string, version: string>>",
    }


def test_results_of_a_version_without_the_upstream_part_are_read_and_merged() -> None:
    whole = result_table(SCHEMA, MANIFEST, [OK, FAILED, OK], to_arrow)
    assert whole.column("upstream_cost_usd").to_pylist() == [Decimal("0.000001")] * 3
    for missing in (["upstream_cost_usd"], ["upstream_cost_usd", "images"]):
        old = whole.drop_columns(missing)
        assert [result.upstream_pico for result in results_of(old)] == [None] * 3
        merged = merge_rows(SCHEMA, MANIFEST, old.slice(0, 2), [2, 0], [OK], [1], to_arrow)
        assert merged.schema.equals(SCHEMA)
        assert [result.upstream_pico for result in results_of(merged)] == [None, OK.upstream_pico, None]


def test_encoded_results_of_earlier_versions_are_read() -> None:
    fields = orjson.loads(OK.encode())
    assert ItemResult.decode(orjson.dumps(fields)) == OK
    assert ItemResult.decode(orjson.dumps(fields[:-1])) == dataclasses.replace(OK, upstream_pico=None)
    assert ItemResult.decode(orjson.dumps(fields[:-2])) == dataclasses.replace(OK, upstream_pico=None, images=None)
    for broken in (fields[:-3], [*fields, None]):
        with pytest.raises(ValueError, match="no encoded result"):
            ItemResult.decode(orjson.dumps(broken))


def test_the_schema_is_the_same_whatever_a_files_fields_say_beside_their_type() -> None:
    key = pa.field("id", pa.string(), nullable=False, metadata={"PARQUET:field_id": "1"})
    schema = output_schema(key, [pa.field("n", pa.int64(), metadata={"x": "y"})], ANSWER)
    assert schema.equals(SCHEMA, check_metadata=True)


@pytest.mark.parametrize("kept", [["status"], ["answer"], ["id"], ["n", "n"]])
def test_a_kept_column_that_would_stand_twice_is_refused(kept: list[str]) -> None:
    with pytest.raises(OutputError, match=rf"column '{kept[-1]}' would stand twice .*manifest\.keep_columns"):
        output_schema(pa.field("id", pa.string()), [pa.field(name, pa.string()) for name in kept], ANSWER)


def test_a_table_has_the_manifests_columns_and_one_result_for_each_row() -> None:
    table = result_table(SCHEMA, MANIFEST, [OK, FAILED, OK], to_arrow)
    assert table.schema.equals(SCHEMA)
    first, second, _ = table.to_pylist()
    assert (first["id"], first["n"], first["status"], first["cost_usd"]) == ("a", 1, "ok", Decimal("0.000007880000"))
    assert first["answer"]["day"] == dt.date(2026, 11, 22)
    assert first["fingerprint"] == "000102030405060708090a0b0c0d0e0f"
    assert first["finished_at"] == dt.datetime(2026, 9, 21, 14, 13, 20, 1, tzinfo=dt.UTC)
    assert (second["answer"], second["cost_usd"], second["fingerprint"]) == (None, None, None)
    assert second["error_kind"] == "timeout"
    seen, passed_on, asked_for = first["images"]
    assert seen == {
        "bytes_fetched": 48_117, "bytes_sent": 20_431, "width": 640, "height": 480, "digest": "0" * 32,
        "version": '"v1"',
    }  # fmt: skip
    assert passed_on is None
    assert asked_for == dict.fromkeys(seen) | {"version": 'W/"2"'}
    assert second["images"] is None


def test_a_table_of_failures_only_has_the_same_schema() -> None:
    table = result_table(SCHEMA, MANIFEST, [FAILED] * 3, to_arrow)
    assert table.schema.equals(SCHEMA)
    assert table.column("answer").null_count == 3


def test_an_empty_slice_has_the_same_schema() -> None:
    assert result_table(SCHEMA, MANIFEST.slice(0, 0), [], to_arrow).schema.equals(SCHEMA)
    assert not_attempted_table(SCHEMA, MANIFEST.slice(0, 0), "why").schema.equals(SCHEMA)


def test_rows_and_results_must_pair() -> None:
    with pytest.raises(ValueError, match="3 rows and 1 results"):
        result_table(SCHEMA, MANIFEST, [OK], to_arrow)


def test_a_files_other_spelling_of_a_type_becomes_the_schemas() -> None:
    narrow = MANIFEST.set_column(2, "n", pa.array([1, 2, 3], pa.int16()))
    assert result_table(SCHEMA, narrow, [OK] * 3, to_arrow).schema.equals(SCHEMA)


def test_rows_that_were_not_attempted_cost_nothing_and_say_why() -> None:
    table = not_attempted_table(SCHEMA, MANIFEST, "the budget of $5 is spent")
    assert table.schema.equals(SCHEMA)
    row = table.to_pylist()[2]
    assert (row["id"], row["status"], row["attempts"], row["cost_usd"]) == ("c", "not_attempted", 0, Decimal(0))
    assert row["error_message"] == "the budget of $5 is spent"
    assert (row["error_kind"], row["cost_source"], row["answer_repairs"]) == (None, None, [])


def test_results_read_back_from_a_table_are_the_same() -> None:
    assert results_of(result_table(SCHEMA, MANIFEST, [OK, FAILED, OK], to_arrow)) == [OK, FAILED, OK]


def test_results_of_a_version_without_the_images_column_are_read_and_merged() -> None:
    """Also where the manifest had a column of that name then, of whatever type."""
    whole = result_table(SCHEMA, MANIFEST, [OK, FAILED, OK], to_arrow)
    bare = whole.drop_columns(["images"])
    blind = [dataclasses.replace(result, images=None) for result in (OK, FAILED, OK)]
    for old in (
        bare,
        bare.append_column("images", pa.array(["u1", "u2", None])),
        bare.append_column("images", [[1]] * 3),
    ):
        assert results_of(old) == blind
        merged = merge_rows(SCHEMA, MANIFEST, old.slice(0, 2), [2, 0], [OK], [1], to_arrow)
        assert merged.schema.equals(SCHEMA)
        assert [result.images for result in results_of(merged)] == [None, OK.images, None]


def test_answers_are_read_back_by_the_function_that_knows_them() -> None:
    table = result_table(SCHEMA, MANIFEST, [OK, OK, OK], to_arrow)
    read = results_of(table, lambda column: [{"mine": at} for at in range(len(column))])
    assert [result.answer for result in read] == [{"mine": 0}, {"mine": 1}, {"mine": 2}]


def test_plain_text_answers_need_no_schema() -> None:
    schema = output_schema(pa.field("id", pa.string()), [], pa.string())
    results = [dataclasses.replace(OK, answer=f"text {n}") for n in range(3)]
    table = result_table(schema, MANIFEST, results, lambda answers: pa.array(answers, pa.string()))
    assert table.column("answer").to_pylist() == ["text 0", "text 1", "text 2"]
    assert results_of(table) == results


def test_answers_of_another_type_than_the_schemas_are_a_fault() -> None:
    with pytest.raises(ValueError, match="answers came as int64"):
        result_table(SCHEMA, MANIFEST, [OK] * 3, lambda answers: pa.array([1, 2, 3]))


def test_half_a_surrogate_pair_stops_neither_ledger_nor_table() -> None:
    odd = dataclasses.replace(
        OK, answer=OK.answer | {"caption": "a\ud83d"}, answer_text="b\udc00", error_message="\ud800"
    )
    assert ItemResult.decode(odd.encode()).answer["caption"] == "a\ufffd"
    row = result_table(SCHEMA, MANIFEST, [odd] * 3, to_arrow).to_pylist()[0]
    assert (row["answer"]["caption"], row["answer_text"], row["error_message"]) == ("a\ufffd", "b\ufffd", "\ufffd")


def test_numbers_beyond_64_bits_stop_no_ledger() -> None:
    for number, expected in ((10**30, 1e30), (-(10**30), -1e30), (10**400, None)):
        assert ItemResult.decode(dataclasses.replace(OK, answer=[number]).encode()).answer == [expected]


def test_what_is_no_result_is_not_decoded() -> None:
    for raw in (b"{}", b"[]", b"[1, 2]", b"nonsense"):
        with pytest.raises(ValueError, match=r"no encoded result|unexpected|expected"):
            ItemResult.decode(raw)


def test_a_sum_claims_no_more_than_its_weakest_source() -> None:
    assert list(CostSource) == ["unknown", "estimate", "price", "endpoint", "reused"]
    assert weakest(CostSource.ENDPOINT, CostSource.ESTIMATE) is CostSource.ESTIMATE
    assert weakest(CostSource.UNKNOWN, CostSource.REUSED) is CostSource.UNKNOWN


def test_money_is_the_same_integer_on_both_sides() -> None:
    pico = [0, 1, -1, None, 24_800_000, 10**18 - 1, -(10**18) + 1]
    column = money_array(pico)
    assert column.to_pylist() == [None if value is None else Decimal(value).scaleb(-12) for value in pico]
    assert pico_values(column).tolist() == [value or 0 for value in pico]
    assert pico_values(column.slice(3, 2)).tolist() == [0, 24_800_000]
    assert pico_values(pa.chunked_array([], column.type)).tolist() == []


@pytest.mark.parametrize("pico", [10**18, -(10**18), 2**63 - 1, 2**70, -(2**63), -(2**70)])
def test_a_row_cannot_cost_more_than_the_column_holds(pico: int) -> None:
    with pytest.raises(ValueError, match="cannot cost a million dollars"):
        money_array([1, pico])


def test_kept_rows_and_fresh_results_merge_in_the_manifests_order() -> None:
    old_manifest = pa.table({"id": ["c", "a"], "n": [30, 10]})
    old = result_table(SCHEMA, old_manifest, [FAILED, dataclasses.replace(OK, model="old")], to_arrow)
    fresh = dataclasses.replace(OK, model="new", answer=OK.answer | {"mood": "loud"})
    table = merge_rows(SCHEMA, MANIFEST, old, [2, 0], [fresh], [1], to_arrow)
    assert table.schema.equals(SCHEMA)
    assert table.column("id").to_pylist() == ["a", "b", "c"]
    assert table.column("n").to_pylist() == [1, 2, 3]
    assert table.column("model").to_pylist() == ["old", "new", OK.model]
    assert [result.answer and result.answer["mood"] for result in results_of(table)] == ["calm", "loud", None]


@pytest.mark.parametrize(("kept_at", "fresh_at"), [([0, 0], [1]), ([0, 1], []), ([0, 1], [1])])
def test_a_merge_gives_every_row_one_result_or_fails(kept_at: list[int], fresh_at: list[int]) -> None:
    old = result_table(SCHEMA, MANIFEST.slice(0, 2), [OK, OK], to_arrow)
    with pytest.raises(ValueError, match=r"do not fill 3 rows|row 2 of the slice has no result"):
        merge_rows(SCHEMA, MANIFEST, old, kept_at, [OK] * len(fresh_at), fresh_at, to_arrow)


def test_answers_of_another_schema_do_not_merge() -> None:
    text = output_schema(pa.field("id", pa.string()), [pa.field("n", pa.int64())], pa.string())
    old = result_table(text, MANIFEST.slice(0, 1), [FAILED], lambda answers: pa.array(answers, pa.string()))
    with pytest.raises(OutputError, match=r"'answer' has the type string, now it would be struct.*output\.path"):
        merge_rows(SCHEMA, MANIFEST, old, [0], [OK, OK], [1, 2], to_arrow)
