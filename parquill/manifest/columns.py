"""Checks the columns that a job needs against those in the files.

Everything wrong is found here, before the first request: a missing column, one of the wrong
type, one that two files disagree about, a kept column named like one of ours.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from parquill.errors import ManifestError
from parquill.job import ManifestSettings
from parquill.manifest.files import SourceFile
from parquill.results import RESULT_COLUMNS

ROW_COLUMN = "row"


@dataclass(frozen=True, slots=True)
class Columns:
    """The manifest's columns by use. `schema` is what all its files agree on."""

    schema: pa.Schema
    key: pa.Field
    """The id column, or `row` (int64) where the job names none."""
    has_id: bool
    kept: tuple[pa.Field, ...]
    images: tuple[str, ...]
    documents: tuple[str, ...]

    @property
    def copied(self) -> tuple[str, ...]:
        """The names of the columns that stand in the output as they are; one at least, for its rows."""
        names = (*((self.key.name,) if self.has_id else ()), *(field.name for field in self.kept))
        return names or (self.schema.names[0],)

    def needed(self, prompt: Sequence[str]) -> tuple[str, ...]:
        """Return the names of the columns a run reads; `prompt`: those its text is made of."""
        names = [*([self.key.name] if self.has_id else []), *prompt, *self.images, *self.documents]
        return tuple(dict.fromkeys([*names, *(field.name for field in self.kept)]))


def choose_columns(settings: ManifestSettings, schema: pa.Schema) -> Columns:
    """Match the job's columns with the manifest's; raises `ManifestError` for what does not fit."""
    key = pa.field(ROW_COLUMN, pa.int64(), nullable=False)
    if settings.id_column is not None:
        key = _field(schema, settings.id_column, "manifest.id_column")
        if not _is_key(key.type):
            raise ManifestError(
                f"manifest.id_column: column {key.name!r} has type {key.type}; an id is a string, integer, "
                "binary or date"
            )
    for name in settings.image_columns:
        _check_values(_field(schema, name, "manifest.image_columns"), "manifest.image_columns", "pictures")
    for name in settings.document_columns:
        _check_values(_field(schema, name, "manifest.document_columns"), "manifest.document_columns", "documents")
    return Columns(
        schema=schema,
        key=key,
        has_id=settings.id_column is not None,
        kept=_kept(settings, schema, key.name),
        images=settings.image_columns,
        documents=settings.document_columns,
    )


def unify(schemas: Mapping[SourceFile, pa.Schema]) -> pa.Schema:
    """Return the one schema of all files; raises `ManifestError` naming file, column and types."""
    merged: dict[str, tuple[pa.Field, SourceFile]] = {}
    for source, schema in schemas.items():
        _refuse_repeated(source, schema)
        for field in schema:
            known = merged.get(field.name)
            if known is None or pt.is_null(known[0].type):
                merged[field.name] = (field.with_nullable(True), source)
            else:
                kind = _common(known[0].type, field.type)
                if kind is None:
                    raise ManifestError(
                        f"{source.label}: column {field.name!r} has type {field.type}, "
                        f"but {known[0].type} in {known[1].label}"
                    )
                merged[field.name] = (known[0].with_type(kind), known[1])
    return pa.schema([field for field, _ in merged.values()])


def _common(known: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """The type that values of both go into unchanged, or None: texts are texts however a writer stores them."""
    if pt.is_null(other) or other.equals(known):
        return known
    texts = [kind.value_type if pt.is_dictionary(kind) else kind for kind in (known, other)]
    if all(_is_text(kind) for kind in texts):
        return pa.large_string() if any(pt.is_large_string(kind) for kind in texts) else pa.string()
    return None


def require(columns: Sequence[str], schemas: Mapping[SourceFile, pa.Schema]) -> None:
    """Raise `ManifestError` naming the first file that lacks one of `columns`."""
    for source, schema in schemas.items():
        for name in columns:
            if name not in schema.names and name not in source.partitions:
                raise ManifestError(
                    f"{source.label}: the column {name!r} is missing; other files of the manifest have it"
                )


_LONGEST_PATH = 16_384
"""Bytes: 4096 characters. A longer text names no file."""


def places_in(column: pa.ChunkedArray) -> Iterator[str]:
    """Yield the files and objects that a column of pictures names: all strings but web and data: URLs.

    The strings may stand in structs with a path, in lists, and in lists of such structs.
    """
    kind = column.type
    if pt.is_dictionary(kind):
        yield from places_in(column.cast(kind.value_type))
    elif _is_list(kind):
        yield from places_in(pa.chunked_array(pc.list_flatten(column), kind.value_type))
    elif pt.is_struct(kind):
        if kind.get_field_index("path") >= 0:
            yield from places_in(pc.struct_field(column, "path"))
    elif _is_text(kind):
        texts = column.cast(pa.large_string())
        other_outputs = pc.match_substring_regex(texts, r"^(https?|data):", ignore_case=True)
        paths = pc.and_(pc.invert(other_outputs), pc.less_equal(pc.binary_length(texts), _LONGEST_PATH))
        yield from texts.filter(paths).to_pylist()  # nulls are filtered out, too


def _refuse_repeated(source: SourceFile, schema: pa.Schema) -> None:
    for name in schema.names:
        if schema.names.count(name) > 1:
            raise ManifestError(f"{source.label}: the column {name!r} stands more than once")


def _field(schema: pa.Schema, name: str, key: str) -> pa.Field:
    if name in schema.names:
        return schema.field(name)
    near = difflib.get_close_matches(name, schema.names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(map(repr, schema.names))}"
    raise ManifestError(f"{key}: the manifest has no column {name!r}; {hint}")


def _kept(settings: ManifestSettings, schema: pa.Schema, key: str) -> tuple[pa.Field, ...]:
    names = schema.names if settings.keep_columns == "all" else list(settings.keep_columns)
    kept = tuple(_field(schema, name, "manifest.keep_columns") for name in dict.fromkeys(names) if name != key)
    if settings.id_column is None and ROW_COLUMN in names:
        raise ManifestError(
            f"column {ROW_COLUMN!r} would stand beside the output's own column {ROW_COLUMN!r}: name an "
            "id_column, or list keep_columns without it"
        )
    clashing = [field.name for field in kept if field.name in RESULT_COLUMNS]
    clashing += [key] if key in RESULT_COLUMNS else []
    if clashing:
        raise ManifestError(
            f"the manifest's column{'s' if len(clashing) > 1 else ''} {', '.join(map(repr, clashing))} would clash "
            "with the output's own: rename it in the manifest, or list manifest.keep_columns without it"
        )
    return kept


def _is_key(kind: pa.DataType) -> bool:
    return bool(
        pt.is_integer(kind)
        or _is_text(kind)
        or pt.is_binary(kind)
        or pt.is_large_binary(kind)
        or pt.is_fixed_size_binary(kind)
        or pt.is_date(kind)
    )


def _is_list(kind: pa.DataType) -> bool:
    lists = pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind)
    return bool(lists or pt.is_list_view(kind) or pt.is_large_list_view(kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind))


def _check_values(field: pa.Field, key: str, what: str) -> None:
    if not _holds_values(field.type):
        raise ManifestError(
            f"{key}: column {field.name!r} has type {field.type}; {what} are strings (URL, path, data: URL), "
            "binary, struct{bytes, path}, or lists of these"
        )


def _holds_values(kind: pa.DataType) -> bool:
    if _is_list(kind):
        return _holds_values(kind.value_type)
    if pt.is_dictionary(kind):
        return _is_text(kind.value_type)
    if pt.is_struct(kind):
        return {"bytes", "path"} & {field.name for field in kind} != set()
    return bool(
        _is_text(kind) or pt.is_binary(kind) or pt.is_large_binary(kind) or pt.is_binary_view(kind) or pt.is_null(kind)
    )
