"""The dry run as a flow: what a job would cost, and how long it would take.

python -m flows.estimate configs/caption.yaml --set model.endpoint=emulator
python -m flows.estimate JOB --calibrate 50       send 50 rows first, to know the rest better
python -m flows.estimate JOB --by brand --compare for each brand, and at other models' prices
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import Field

from flows.command import run_flow
from parquill.errors import ParquillError
from parquill.job import Job, load_job
from tasks.estimate import estimate as estimated
from tasks.figures import estimate_words
from tasks.states import failed

if TYPE_CHECKING:
    from parquill.estimation import Estimate


# As in `batch`: `load_job` checks the parameters, where the run is.
@flow(name="parquill-estimate", validate_parameters=False)
async def estimate(
    job: Job | Path,
    overrides: Sequence[str] | Mapping[str, Any] = (),
    calibrate: Annotated[int, Field(ge=1)] | None = None,
    by: str | None = None,
    compare: bool = False,
) -> State[Estimate]:
    """Say what a job would cost now.

    Args:
        job: a job file's path, or what would stand in one.
        overrides: `key.path=value` texts, or a mapping from key paths to values.
        calibrate: rows to send first; they are paid and kept. Without it nothing is sent.
        by: a column of the manifest: the cost for each of its values as well.
        compare: the same work at the prices of other models as well.
    """
    try:
        found = await estimated(load_job(job, overrides), calibrate, by, compare)
    except ParquillError as error:
        return failed(error)
    return Completed(message=estimate_words(found), data=found)


if __name__ == "__main__":
    run_flow(
        estimate,
        {
            "calibrate": ("send so many rows first, to know the rest better; they are kept", int),
            "by": ("the cost for each value of a column", str),
            "compare": ("the same work at other models' prices", bool),
        },
    )
