"""Small manifests on disk, and jobs that read them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from parquill.job import Job, load_job
from parquill.manifest import Manifest, open_manifest


def job(path: Path | str, *, rows_per_part: int = 10_000, output: Path | str | None = None, **manifest: Any) -> Job:
    """A job over the manifest at `path`; `manifest` are more keys of its section."""
    where = str(output or Path("elsewhere", "out"))
    return load_job(
        {
            "name": "a",
            "manifest": {"path": str(path), **manifest},
            "prompt": {"user": "x"},
            "output": {"path": where, "rows_per_part": rows_per_part},
        },
        environ={},
    )


def opened(path: Path | str, **settings: Any) -> Manifest:
    return open_manifest(job(path, **settings))


def parquet(path: Path, columns: dict[str, Any] | pa.Table, **options: Any) -> Path:
    """Write a Parquet file; `columns` are lists or arrays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), path, **options)
    return path


def text(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def rows(manifest: Manifest, *columns: str, wanted: Sequence[str] | None = None) -> list[Any]:
    """The values of one column, or tuples of several, as they are read; all columns if none is named."""
    names = columns or tuple(manifest.columns.schema.names)
    read: list[Any] = []
    for chunk in manifest.read(names, wanted):
        lists = [chunk.table.column(name).to_pylist() for name in names]
        read += lists[0] if len(names) == 1 else zip(*lists, strict=True)
    return read
