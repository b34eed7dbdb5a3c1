"""Parquill: Parquet manifests of prompts and pictures in, typed Parquet tables out.

    from parquill import Job, estimate, load_job, run, verify

    print(estimate("configs/caption.yaml").cost)
    summary = run("configs/caption.yaml", ["model.endpoint=emulator"])
    assert verify("configs/caption.yaml").holds

`run` may be called from a script or a notebook, also where an event loop is running already;
`await run_async(...)` is its awaitable form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parquill.api import estimate, run, run_async, verify
    from parquill.errors import ErrorKind, UsageError
    from parquill.estimation import Estimate, EstimateOptions
    from parquill.job import Job, load_job
    from parquill.planning import RunOptions
    from parquill.summary import RunSummary
    from parquill.verification import Verification

    __version__: str

__all__ = [
    "ErrorKind",
    "Estimate",
    "EstimateOptions",
    "Job",
    "RunOptions",
    "RunSummary",
    "UsageError",
    "Verification",
    "__version__",
    "estimate",
    "load_job",
    "run",
    "run_async",
    "verify",
]

_HOMES = {
    "ErrorKind": "parquill.errors",
    "Estimate": "parquill.estimation",
    "EstimateOptions": "parquill.estimation",
    "Job": "parquill.job",
    "RunOptions": "parquill.planning",
    "RunSummary": "parquill.summary",
    "UsageError": "parquill.errors",
    "Verification": "parquill.verification",
    "estimate": "parquill.api",
    "load_job": "parquill.job",
    "run": "parquill.api",
    "run_async": "parquill.api",
    "verify": "parquill.api",
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for: `import parquill` alone costs nothing."""
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 - as above

        return version("parquill")
    if name not in _HOMES:
        raise AttributeError(f"module 'parquill' has no attribute {name!r}")
    import importlib  # noqa: PLC0415 - as above

    return getattr(importlib.import_module(_HOMES[name]), name)
