"""A trial of a job on a few rows: an output of its own beside the real one, which stays as it is.

    OUTPUT.parquill/sample/manifest.parquet   the rows drawn, as a manifest
    OUTPUT.parquill/sample/out                their answers, with a ledger and an archive of its own

What holds: the rows drawn depend on the number of rows in the manifest alone, so that two prompts answer the same
rows, and a larger sample holds the rows of a smaller one. An answer is paid once: the sample takes over what stands
in the real output, a run takes over what stands in the sample (`planning/other_outputs.py`),
and an earlier prompt finds its answers in the sample's archive. With `images.refresh` neither is taken over: another
output's pictures are not looked at.
"""

from __future__ import annotations

import datetime as dt
import io
import random
from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from parquill.errors import ManifestError, OutputError
from parquill.job import Job, state_home
from parquill.manifest import Manifest
from parquill.planning import Prepared
from parquill.results import (
    RESULT_COLUMNS,
    ItemResult,
    Status,
    python_values,
    read_part,
    read_part_info,
    results_in,
)
from parquill.storage import Storage, is_remote, split_glob
from parquill.workspace import Workspace

_SEED = 20
_MANIFEST = "manifest.parquet"


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows that were drawn, and the job that asks them into the sample's output."""

    job: Job
    real: Job
    keys: tuple[Any, ...]
    """The rows' ids in the real manifest; their positions where it has none."""
    key_column: str
    parts: frozenset[str]
    """The parts of the real output that the rows stand in, unless the manifest was changed since."""

    @property
    def notice(self) -> str:
        """What becomes of the answers."""
        if self.real.images.refresh:
            return "The table is as it was; with images.refresh a run asks these rows again."
        return "The table is as it was; a run with the same settings takes these answers over at no cost."

    def compared(self) -> tuple[Mapping[str, Any], ...]:
        """Return the rows with the real output's answers and the sample's, as JSON values."""
        has_id = self.job.manifest.id_column is not None
        asked = self.keys if has_id else tuple(range(len(self.keys)))
        old = _answers(self.real, self.key_column, set(self.keys), first=self.parts)
        new = _answers(self.job, self.key_column, set(asked))
        return tuple(
            {
                "id": _as_json(key),
                "old": old[key].answer if key in old else None,
                "new": new[own].answer if own in new else None,
                "status": (new[own].status if own in new else Status.NOT_ATTEMPTED).value,
            }
            for key, own in zip(self.keys, asked, strict=True)
        )


def sample_workspace(job: Job) -> Workspace:
    """Return the folder of a job's sample, whose lock keeps it to one process; made ready to be locked.

    Raises `OutputError` where there can be none.
    """
    real = _workspace(job)
    if split_glob(str(real.sample))[1] is not None:
        raise OutputError(f"{real.sample}: --sample needs an output.path without *, ? and [: choose another")
    real.make_ready()
    return Workspace(f"the sample of {real.output}", real.sample, job.output.shared)


def draw_sample(opened: Prepared, number: int) -> Sample:
    """Draw `number` rows of a job's manifest and write them as a manifest; the caller holds the sample's lock."""
    job, manifest = opened.job, opened.manifest
    positions = drawn(manifest.rows, number)
    table, parts = _rows_at(opened, positions)
    _workspace(job).storage("sample").write_bytes(_MANIFEST, _as_parquet(table))
    key = manifest.columns.key.name
    keys = python_values(table.column(key))[0] if manifest.columns.has_id else positions
    return Sample(_job_of(job, manifest), job, tuple(keys), key, parts)


def _workspace(job: Job) -> Workspace:
    return Workspace.of(job.output.path, state_home(), shared=job.output.shared)


def drawn(rows: int, number: int) -> Sequence[int]:
    """Return the positions of `number` of `rows` rows, in order; all of them where there are no more.

    The same for the same two numbers, on every machine: `random()` is the one method whose sequence Python keeps.
    """
    if number >= rows:
        return range(rows)
    source = random.Random(_SEED)  # noqa: S311 - it chooses rows, it keeps no secret
    chosen: set[int] = set()
    while len(chosen) < number:
        chosen.add(int(source.random() * rows))
    return sorted(chosen)


def _rows_at(opened: Prepared, positions: Sequence[int]) -> tuple[pa.Table, frozenset[str]]:
    """The rows at these positions, with the columns that the job reads, and the names of their parts."""
    manifest = opened.manifest
    columns = manifest.columns.needed(opened.reader.columns) or tuple(manifest.columns.schema.names[:1])

    def among(start: int, rows: int) -> Sequence[int]:
        return positions[bisect_left(positions, start) : bisect_left(positions, start + rows)]

    parts = frozenset(one.part for one in manifest.slices if among(one.position, one.rows))
    pieces = []
    for chunk in manifest.read(columns, parts):
        first = chunk.slice.position + chunk.start
        rows = [at - first for at in among(first, chunk.table.num_rows)]
        pieces.append(chunk.table.take(pa.array(rows, pa.int64())))
    return pa.concat_tables(pieces), parts


def _as_parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    try:
        pq.write_table(table, sink)
    except (pa.ArrowException, ValueError) as error:
        raise ManifestError(f"--sample: the rows drawn cannot be written as a Parquet manifest: {error}") from None
    return sink.getvalue()


def _job_of(job: Job, manifest: Manifest) -> Job:
    """The job whose manifest are the rows drawn; pictures are found where the real one finds them."""
    real = _workspace(job)
    standing = any(entry.name.endswith(".parquet") for entry in Storage.at(job.output.path).files())
    is_named = split_glob(job.output.path)[1] is None  # `reuse_from` reads wildcards
    reused = (job.output.path,) if standing and is_named and not job.images.refresh else ()
    output = job.output.model_copy(
        update={"path": str(real.sample_output), "reuse_from": (*job.output.reuse_from, *reused)}
    )
    near = (manifest.folder,) if is_remote(manifest.folder) else ()
    images = job.images.model_copy(
        update={"root": job.images.root or manifest.folder, "allow_buckets": (*job.images.allow_buckets, *near)}
    )
    rows = job.manifest.model_copy(update={"path": str(real.sample / _MANIFEST)})
    return job.model_copy(update={"manifest": rows, "output": output, "images": images})


def _answers(job: Job, key_column: str, wanted: set[Any], *, first: Collection[str] = ()) -> dict[Any, ItemResult]:
    """What stands in a job's output for these keys; parts named `first` are looked at before the others."""
    output = Storage.at(job.output.path)
    names = [entry.name for entry in output.files() if entry.name.endswith(".parquet")]
    found: dict[Any, ItemResult] = {}
    for name in sorted(names, key=lambda name: name not in first):
        if len(found) == len(wanted):
            break
        info = read_part_info(output, name)
        table = read_part(output, name, [key_column])  # without a column where another was the id
        keys = table.column(0).to_pylist() if table.num_columns else []
        rows = [row for row, key in enumerate(keys) if key in wanted]
        if rows:
            results = results_in(info, read_part(output, name, RESULT_COLUMNS).take(pa.array(rows)))
            found.update(zip((keys[row] for row in rows), results, strict=True))
    return found


def _as_json(key: Any) -> Any:
    """An id as a JSON value."""
    if isinstance(key, bytes):
        return key.hex()
    return key.isoformat() if isinstance(key, dt.date) else key
