"""A manifest's columns: which will do for the job, and what files that disagree are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from parquill.errors import ManifestError
from parquill.results import RESULT_COLUMNS
from tests.manifests import opened, parquet, rows, text


def refused(path: Path | str, **keys: Any) -> str:
    with pytest.raises(ManifestError) as caught:
        opened(path, **keys)
    return str(caught.value)


class TestColumns:
    def test_every_column_is_kept_unless_the_job_lists_some(self, tmp_path: Path) -> None:
        path = parquet(tmp_path / "m.parquet", {"b": [1], "id": ["x"], "a": [2.5]})
        columns = opened(path, id_column="id").columns
        assert (columns.key, columns.has_id) == (pa.field("id", pa.string()), True)
        assert [field.name for field in columns.kept] == ["b", "a"]
        assert columns.copied == ("id", "b", "a")
        listed = opened(path, id_column="id", keep_columns=["a", "id", "a"]).columns
        assert [field.name for field in listed.kept] == ["a"]

    def test_without_an_id_the_key_is_the_rows_number(self, tmp_path: Path) -> None:
        columns = opened(parquet(tmp_path / "m.parquet", {"a": [1]}), keep_columns=[]).columns
        assert (columns.key.name, columns.key.type, columns.has_id) == ("row", pa.int64(), False)
        assert (columns.kept, columns.copied) == ((), ("a",))

    def test_what_a_run_reads_are_key_prompt_pictures_and_kept_columns_each_once(self, tmp_path: Path) -> None:
        path = parquet(tmp_path / "m.parquet", {name: ["x"] for name in ("id", "title", "pic", "doc", "kept", "rest")})
        columns = opened(
            path, id_column="id", image_columns=["pic"], document_columns=["doc"], keep_columns=["kept", "title"]
        ).columns
        assert columns.needed(("title",)) == ("id", "title", "pic", "doc", "kept")

    @pytest.mark.parametrize("key", ["id_column", "image_columns", "document_columns", "keep_columns"])
    def test_a_column_that_is_not_there_is_told_with_its_neighbour(self, tmp_path: Path, key: str) -> None:
        path = parquet(tmp_path / "m.parquet", {"title": ["x"], "b": ["x"]})
        for name, hint in (("titel", "did you mean 'title'?"), ("zzz", "it has 'title', 'b'")):
            value = name if key == "id_column" else [name]
            assert refused(path, **{key: value}) == f"manifest.{key}: the manifest has no column {name!r}; {hint}"

    @pytest.mark.parametrize(
        ("kind", "good"),
        [
            *[(kind, True) for kind in (pa.string(), pa.large_string(), pa.int8(), pa.uint64(), pa.binary())],
            *[(kind, True) for kind in (pa.date32(), pa.binary(4))],
            *[(kind, False) for kind in (pa.float64(), pa.bool_(), pa.timestamp("us"), pa.list_(pa.string()))],
        ],
        ids=str,
    )
    def test_an_id_is_a_text_a_number_bytes_or_a_date(self, tmp_path: Path, kind: pa.DataType, good: bool) -> None:
        path = parquet(tmp_path / "m.parquet", {"id": pa.array([None], kind)})
        if good:
            assert opened(path, id_column="id").columns.key.type == kind
        else:
            assert "column 'id' has type " in refused(path, id_column="id")

    @pytest.mark.parametrize("key", ["image_columns", "document_columns"])
    @pytest.mark.parametrize(
        ("kind", "good"),
        [
            *[(kind, True) for kind in (pa.string(), pa.large_string(), pa.string_view(), pa.null())],
            *[(kind, True) for kind in (pa.binary(), pa.large_binary(), pa.dictionary(pa.int32(), pa.string()))],
            *[(kind, True) for kind in (pa.list_(pa.string()), pa.list_(pa.binary(), 2), pa.large_list(pa.string()))],
            (pa.struct([("bytes", pa.binary()), ("path", pa.string())]), True),
            (pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())])), True),
            *[(kind, False) for kind in (pa.int64(), pa.list_(pa.int64()), pa.struct([("url", pa.string())]))],
        ],
        ids=str,
    )
    def test_pictures_and_documents_have_the_forms_that_are_told(
        self, tmp_path: Path, key: str, kind: pa.DataType, good: bool
    ) -> None:
        path = parquet(tmp_path / "m.parquet", {"pic": pa.array([None], kind)})
        if good:
            assert rows(opened(path, **{key: ["pic"]}), "pic") == [None]
        else:
            assert f"manifest.{key}: column 'pic' has type " in refused(path, **{key: ["pic"]})

    @pytest.mark.parametrize("name", RESULT_COLUMNS)
    def test_a_kept_column_named_like_one_of_the_outputs_is_refused_and_may_be_left_out(
        self, tmp_path: Path, name: str
    ) -> None:
        path = parquet(tmp_path / "m.parquet", {name: ["x"], "a": ["y"]})
        assert f"the manifest's column {name!r} would clash with the output's own" in refused(path)
        assert "manifest.keep_columns" in refused(path)
        assert opened(path, keep_columns=["a"]).columns.copied == ("a",)
        assert f"{name!r} would clash" in refused(path, id_column=name, keep_columns=["a"])

    def test_all_clashes_are_told_at_once(self, tmp_path: Path) -> None:
        path = parquet(tmp_path / "m.parquet", {"status": ["x"], "answer": ["y"]})
        assert "the manifest's columns 'status', 'answer' would clash" in refused(path)

    def test_a_column_row_is_refused_only_where_the_output_has_one_of_its_own(self, tmp_path: Path) -> None:
        path = parquet(tmp_path / "m.parquet", {"row": [5], "a": ["y"]})
        assert "column 'row' would stand beside the output's own column 'row'" in refused(path)
        assert opened(path, keep_columns=["a"]).columns.copied == ("a",)
        assert opened(path, id_column="row").columns.copied == ("row", "a")
        assert opened(path, id_column="a").columns.copied == ("a", "row")

    def test_a_name_that_stands_twice_in_a_file_is_refused(self, tmp_path: Path) -> None:
        path = parquet(tmp_path / "m.parquet", pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"]))
        assert refused(path) == f"{path}: the column 'a' stands more than once"
        assert "the column 'a' stands more than once" in refused(text(tmp_path / "m.csv", "a,b,a", "1,2,3"))


class TestSeveralFiles:
    def test_files_that_disagree_about_a_type_are_named(self, tmp_path: Path) -> None:
        parquet(tmp_path / "a.parquet", {"n": [1]})
        parquet(tmp_path / "b.parquet", {"n": ["x"]})
        assert refused(tmp_path) == (
            f"{tmp_path}/b.parquet: column 'n' has type string, but int64 in {tmp_path}/a.parquet"
        )

    def test_texts_are_texts_however_a_writer_stores_them(self, tmp_path: Path) -> None:
        kinds = [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string()), pa.string_view()]
        for number, kind in enumerate(kinds):
            parquet(tmp_path / f"{number}.parquet", {"t": pa.array([f"x{number}", None], pa.string()).cast(kind)})
        manifest = opened(tmp_path)
        assert manifest.columns.schema.field("t").type == pa.large_string()
        assert rows(manifest, "t") == ["x0", None, "x1", None, "x2", None, "x3", None]

    def test_a_column_that_is_all_null_in_one_file_takes_the_type_of_the_others(self, tmp_path: Path) -> None:
        kinds = {"a": pa.null(), "b": pa.int32(), "c": pa.null()}
        for name, kind in kinds.items():
            parquet(tmp_path / f"{name}.parquet", {"x": pa.array([None], kind), "y": pa.array([None], pa.null())})
        manifest = opened(tmp_path)
        assert manifest.columns.schema == pa.schema([("x", pa.int32()), ("y", pa.null())])
        assert rows(manifest) == [(None, None)] * 3

    def test_a_kept_column_that_a_file_lacks_is_null_there(self, tmp_path: Path) -> None:
        parquet(tmp_path / "a.parquet", {"id": [1], "x": ["u"]})
        parquet(tmp_path / "b.parquet", {"y": [2.5], "id": [2]})
        assert rows(opened(tmp_path, id_column="id"), "id", "x", "y") == [(1, "u", None), (2, None, 2.5)]

    @pytest.mark.parametrize("key", ["id_column", "image_columns", "document_columns"])
    def test_a_column_that_the_job_needs_must_be_in_every_file(self, tmp_path: Path, key: str) -> None:
        parquet(tmp_path / "a.parquet", {"x": ["u"]})
        parquet(tmp_path / "b.parquet", {"y": ["u"]})
        assert refused(tmp_path, **{key: "x" if key == "id_column" else ["x"]}) == (
            f"{tmp_path}/b.parquet: the column 'x' is missing; other files of the manifest have it"
        )

    def test_columns_that_may_not_be_null_in_one_file_may_be_in_the_manifest(self, tmp_path: Path) -> None:
        schema = pa.schema([pa.field("a", pa.int64(), nullable=False)], metadata={"pandas": "x"})
        parquet(tmp_path / "a.parquet", pa.table({"a": [1]}, schema=schema))
        parquet(tmp_path / "b.parquet", {"b": [2]})
        assert opened(tmp_path).columns.schema == pa.schema([("a", pa.int64()), ("b", pa.int64())])
        assert opened(tmp_path).columns.schema.metadata is None
