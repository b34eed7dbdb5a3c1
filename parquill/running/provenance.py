"""Where a run's figures come from, as JSON for footers and records: the price, the versions; and the record."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Any

import pyarrow as pa

from parquill.job import Job
from parquill.money import usd_per_token
from parquill.prices import Price
from parquill.summary import RunRecord, RunSummary
from parquill.timeline import TimelineSample
from parquill.workspace import Workspace


def price_snapshot(price: Price | None) -> dict[str, Any]:
    """The price a run reckons with, as JSON: USD per token in decimal strings."""
    if price is None:
        return {"source": "unknown"}
    return {
        "source": price.source.value,
        "prompt": usd_per_token(price.rates.prompt),
        "completion": usd_per_token(price.rates.completion),
        "provider": price.provider,
        "as_of": price.as_of.isoformat() if price.as_of else None,
        "context_length": price.context_length,
        "max_completion_tokens": price.max_completion_tokens,
        "quantization": price.quantization,
        "uptime": price.uptime,
    }


def versions() -> dict[str, str]:
    """What this process runs on."""
    return {"parquill": version("parquill"), "pyarrow": pa.__version__, "python": platform.python_version()}


def leave_record(
    workspace: Workspace, summary: RunSummary, job: Job, price: Price | None, samples: tuple[TimelineSample, ...]
) -> None:
    """Write a run's record beside its output: what it did, with which settings, at which price."""
    record = RunRecord(
        summary=summary,
        settings=job.model_dump(mode="json", by_alias=True, exclude_unset=True),
        price=price_snapshot(price),
        versions=versions(),
        timeline=samples,
    )
    folder, data = workspace.storage(workspace.runs.name), record.dump()
    folder.make_ready()
    folder.write_bytes(f"{summary.started_at:%Y%m%dT%H%M%S}-{summary.run_id}.json", data)
