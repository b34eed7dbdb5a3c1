"""Jobs of a few text rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from parquill import load_job
from parquill.ledger import ReadOnlyLedger, Spend
from parquill.verification import Verification, verify_job

SPARE_WORKERS = 32
"""Rows that a run has in hand beside those in flight (`parquill/running/workers.py`)."""

TITLE = "the content of row"


def small_job(folder: Path, rows: int = 6, *, titles: Sequence[str | None] = (), **sections: Any) -> dict[str, Any]:
    """Write a manifest of text rows and return a job on it, for the emulator unless told otherwise."""
    titles = titles or [f"{TITLE} {number}" for number in range(rows)]
    write_manifest(folder / "manifest.parquet", titles)
    job: dict[str, Any] = {
        "name": "small-job",
        "manifest": {"path": str(folder / "manifest.parquet"), "id_column": "id"},
        "prompt": {"user_column": "title"},
        "output": {"path": str(folder / "out")},
        "model": {"endpoint": "emulator", "max_tokens": 64},
    }
    for section, values in sections.items():
        job[section] = {**job.get(section, {}), **values} if isinstance(values, dict) else values
    return job


def write_manifest(path: Path, titles: Sequence[str | None]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"id": list(range(len(titles))), "title": pa.array(titles, pa.string())}), path)


def output_of(job: dict[str, Any]) -> pa.Table:
    return pq.read_table(job["output"]["path"])


def booked(job: dict[str, Any]) -> Spend:
    """What the ledger beside an output has of all its runs."""
    with ReadOnlyLedger.at(Path(f"{job['output']['path']}.parquill") / "ledger.sqlite") as ledger:
        assert ledger is not None
        return ledger.totals()


def paid_twice_is_owned_up_to(job: dict[str, Any], asked_twice: int, in_flight: int, *, deaths: int = 1) -> None:
    """No more was asked twice than the ledger says was in doubt: what a process that died had in hand.

    A request is in doubt from its intent, before it has a slot, until its outcome is on the disk;
    so there are as many as workers at most, however slow the disk is.
    """
    doubts = booked(job).doubts
    assert asked_twice <= doubts <= deaths * (in_flight + SPARE_WORKERS)


def verified(job: dict[str, Any]) -> Verification:
    return verify_job(load_job(job))
