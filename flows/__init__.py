"""Prefect flows, one file for each kind of job.

    batch.py       plan -> execute -> publish: any job file
    estimate.py    what a job would cost, before it is asked
    nightly.py     the same every night, with a deadline, a proof and word of it
    command.py     what the flows' command lines share

Run from a checkout, as `python -m flows.batch JOB`, or as a deployment of `prefect.yaml`. The
settings below are given before Prefect is imported, which reads them then: a local run says
nothing to anyone about itself, and waits for its temporary server also on a busy machine. What
the environment already says stays as it is.
"""

from parquill.bootstrap import set_environment_defaults

set_environment_defaults(
    {
        "DASK_LOGGING__DISTRIBUTED": "warning",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
)
