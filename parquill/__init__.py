"""Parquill: Parquet manifests of prompts and pictures in, typed Parquet tables out.

    from parquill import Job, load_job, run, verify

    summary = run("configs/caption.yaml", ["model.endpoint=emulator"])
    assert verify("configs/caption.yaml").holds

`run` may be called from a script or a notebook, also where an event loop is running already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parquill.api import run, verify
    from parquill.job import Job, load_job
    from parquill.summary import RunSummary

__all__ = ["Job", "RunSummary", "load_job", "run", "verify"]

_HOMES = {
    "Job": "parquill.job",
    "RunSummary": "parquill.summary",
    "load_job": "parquill.job",
    "run": "parquill.api",
    "verify": "parquill.api",
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for: `import parquill` alone costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'parquill' has no attribute {name!r}")
    import importlib  # noqa: PLC0415 - as above

    return getattr(importlib.import_module(_HOMES[name]), name)
