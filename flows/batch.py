"""The main job as a flow: plan -> execute -> publish.

    python -m flows.batch configs/caption.yaml --set model.endpoint=emulator

The command's exit status is that of `parquill run`, save that rows which failed are no reason
to call the run failed: 0 stands for 0 and 3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.command import REPLACE, SAMPLE, run_flow
from parquill.errors import ParquillError
from parquill.job import Job, load_job
from parquill.summary import RunSummary
from tasks.execute import execute
from tasks.plan import plan
from tasks.publish import publish
from tasks.states import failed, final_state


# `load_job` checks the parameters, in words for people, and fills ${NAME} where the run is;
# the server holds them against the job's own schema when the run is created.
@flow(name="parquill-batch", validate_parameters=False)
async def batch(
    job: Job | Path, overrides: Sequence[str] | Mapping[str, Any] = (), replace: bool = False, sample: int | None = None
) -> State[RunSummary]:
    """Run a job, resume it, or add what is new: the same parameters each time.

    Args:
        job: a job file's path, or what would stand in one.
        overrides: `key.path=value` texts, or a mapping from key paths to values.
        replace: accept that changed settings take answers out of the table.
        sample: try the job on so many rows, beside its output, which stays as it is: nothing is published.
    """
    from parquill.planning import RunOptions  # noqa: PLC0415 - the engine is loaded where it works

    try:
        loaded = load_job(job, overrides)
        options = RunOptions(replace=replace, sample=sample)
        if sample is None:
            await plan(loaded)
        summary = await execute(loaded, options)
    except ParquillError as error:
        return failed(error)
    if sample is None:
        await publish(loaded, summary)
    return final_state(summary)


if __name__ == "__main__":
    run_flow(batch, {"replace": REPLACE, "sample": SAMPLE})
