"""Parts: whole Parquet files that say in their own footer what they hold."""

from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from parquill.errors import OutputError, StorageFaultError
from parquill.results.item import CostSource, Status
from parquill.results.table import pico_values
from parquill.storage import ByteSink, Storage
from parquill.threads import stop_point

FOOTER_KEY = b"parquill"

_ROWS_PER_GROUP = 65_536
_LONGEST_FOOTER = 64 << 20
"""Bytes; a damaged footer must not make the reader allocate what it claims."""


@dataclass(frozen=True, slots=True)
class PartInfo:
    """What a part's footer tells of it, and its file's length.

    Sums are over all rows; money in pico-USD. `by_error_kind` counts failed rows.
    `emulator_rows` were answered by the emulator, `unknown_cost_rows` at an unknown price.
    `meta` is the rest of the mapping that `write_part` was given. `sha256` is known to the
    writer; from a footer alone it is None (`Storage.checksum` reads the file for it).
    """

    name: str
    part_id: str
    rows: int
    ok: int
    failed: int
    not_attempted: int
    by_error_kind: Mapping[str, int]
    requests: int
    cost_pico: int
    prompt_tokens: int
    completion_tokens: int
    emulator_rows: int
    unknown_cost_rows: int
    slice_digest: str
    settings: str
    meta: Mapping[str, Any]
    bytes: int
    sha256: str | None


_SUMS = ("rows", "ok", "failed", "not_attempted", "by_error_kind", "requests", "cost_pico", "prompt_tokens",
         "completion_tokens", "emulator_rows", "unknown_cost_rows")  # fmt: skip
_GIVEN = ("part_id", "slice_digest", "settings")


def write_part(storage: Storage, name: str, table: pa.Table, metadata: Mapping[str, Any]) -> PartInfo:
    """Write a part, whole or not at all; when this returns it stands under its name.

    `table` has the output's schema. `metadata` (JSON values) names at least `part_id`,
    `slice_digest` and `settings`; it goes into the footer with the part's sums, so that a run
    is planned from footers alone. Raises `StorageFullError` or `StorageFaultError` naming the
    file.
    """
    if missing := [key for key in _GIVEN if key not in metadata]:
        raise ValueError(f"the part's metadata lack {', '.join(missing)}")
    footer = {**metadata, **_sums(table)}
    bare = table.replace_schema_metadata(None)

    def check(file: Any) -> None:
        if not _reads_back(file, bare):
            raise StorageFaultError(f"{storage.where(name)}: what was written does not read back the same")

    written = storage.write_whole(name, lambda sink: _write_rows(sink, bare, footer), check)
    return dataclasses.replace(_info(name, footer, written.bytes), sha256=written.sha256)


def try_part(table: pa.Table) -> pa.Table:
    """Write a part's table in memory, as `write_part` does, and return what it reads back as.

    Raises what pyarrow raises for what it cannot write or read, `ValueError` where types come back as others.
    """
    sink, bare = io.BytesIO(), table.replace_schema_metadata(None)
    _write_rows(sink, bare, {})
    file = pa.BufferReader(sink.getvalue())
    if not _reads_back(file, bare):
        raise ValueError("it does not come back from a file as it was written")
    return pq.ParquetFile(file, page_checksum_verification=True).read()


def _write_rows(sink: ByteSink, bare: pa.Table, footer: Mapping[str, Any]) -> None:
    options = {"compression": "zstd", "write_page_checksum": True}
    with pq.ParquetWriter(pa.PythonFile(sink, mode="w"), bare.schema, **options) as writer:
        writer.write_table(bare, row_group_size=_ROWS_PER_GROUP)
        writer.add_key_value_metadata({FOOTER_KEY: orjson.dumps(footer)})


def _reads_back(file: Any, bare: pa.Table) -> bool:
    read = pq.ParquetFile(file)
    return bool(read.metadata.num_rows == bare.num_rows and read.schema_arrow.equals(bare.schema))


_TRANSPORT = re.compile(r"AWS Error|google::cloud|Azure", re.IGNORECASE)
"""In pyarrow's words for a request that failed, whatever the bytes."""


def read_part_info(storage: Storage, name: str) -> PartInfo:
    """Read a part's footer, and nothing else of it.

    Raises `OutputError` when the file is no part of ours, or too damaged to tell.
    """
    stop_point()
    with storage.open(name) as file:
        metadata = _opened(storage, name, file).metadata
        footer = (metadata.metadata or {}).get(FOOTER_KEY)
        size = storage.size(name, file)
    try:
        info = _info(name, orjson.loads(footer or b"null"), size)
    except (KeyError, TypeError, ValueError):
        raise OutputError(
            f"{storage.where(name)}: this file was not written by Parquill, and an output folder holds its parts "
            "and nothing else. Move the file away, or choose another output.path"
        ) from None
    if info.rows != metadata.num_rows:
        raise OutputError(f"{storage.where(name)}: its footer tells of {info.rows} rows, it holds {metadata.num_rows}")
    return info


def read_part(storage: Storage, name: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a part's rows, or some of its columns; raises `OutputError` when it is damaged."""
    stop_point()
    with storage.open(name) as file:
        try:
            return _opened(storage, name, file).read(columns=list(columns) if columns is not None else None)
        except (OSError, pa.ArrowException) as error:
            raise _damaged(storage, name, error) from error


def _opened(storage: Storage, name: str, file: Any) -> Any:
    try:
        return pq.ParquetFile(
            file,
            # The columns of an object in one request each 32 MiB, not in many small ones.
            pre_buffer=not storage.is_local,
            thrift_string_size_limit=_LONGEST_FOOTER,
            page_checksum_verification=True,
        )
    except (OSError, pa.ArrowException) as error:
        raise _damaged(storage, name, error) from error


def _damaged(storage: Storage, name: str, error: Exception) -> OutputError:
    if not storage.is_local and _TRANSPORT.search(str(error)):
        return OutputError(
            f"{storage.where(name)}: the object store did not give this part ({error}). It may be whole: "
            "run the same command again"
        )
    return OutputError(
        f"{storage.where(name)}: this part is damaged and cannot be read ({error}). Put it back from a copy, "
        "or move it away: its rows are then asked again"
    )


def _info(name: str, footer: Mapping[str, Any], size: int) -> PartInfo:
    known = {key: footer[key] for key in (*_GIVEN, *_SUMS)}
    meta = {key: value for key, value in footer.items() if key not in known}
    return PartInfo(name=name, **known, meta=meta, bytes=size, sha256=None)


def _sums(table: pa.Table) -> dict[str, Any]:
    status = table.column("status")
    return {
        "rows": table.num_rows,
        "ok": _count(status, Status.OK),
        "failed": _count(status, Status.FAILED),
        "not_attempted": _count(status, Status.NOT_ATTEMPTED),
        "by_error_kind": _counts(table.column("error_kind")),
        "requests": _sum(table.column("attempts")),
        "cost_pico": int(pico_values(table.column("cost_usd")).sum()),
        "prompt_tokens": _sum(table.column("prompt_tokens")),
        "completion_tokens": _sum(table.column("completion_tokens")),
        "emulator_rows": _count(table.column("provider"), "emulator"),
        "unknown_cost_rows": _count(table.column("cost_source"), CostSource.UNKNOWN),
    }


def _count(column: pa.ChunkedArray, value: str) -> int:
    return int(pc.sum(pc.equal(column, pa.scalar(str(value)))).as_py() or 0)


def _sum(column: pa.ChunkedArray) -> int:
    return int(pc.sum(column).as_py() or 0)


def _counts(column: pa.ChunkedArray) -> dict[str, int]:
    pairs: Iterable[dict[str, Any]] = pc.value_counts(column.drop_null()).to_pylist()
    return {pair["values"]: pair["counts"] for pair in sorted(pairs, key=lambda pair: str(pair["values"]))}
