"""Running: one process's run (startup, workers, monitor, summary). Only the CLI, the API and the tasks import it."""

from parquill.running.allowance import refuse_unpriced
from parquill.running.provenance import price_snapshot
from parquill.running.runner import endpoint_of, run_job, sample_job

__all__ = [
    "endpoint_of",
    "price_snapshot",
    "refuse_unpriced",
    "run_job",
    "sample_job",
]
