"""Decides whether answers may leave the table: the job's `output.on_change` or the command's `--replace` agrees."""

from __future__ import annotations

from parquill.errors import ReplaceNeededError
from parquill.job import Job
from parquill.planning.run_options import RunOptions


def require_consent(what: str, job: Job, options: RunOptions, *, refused: str, asked: str) -> None:
    """Return where job or command agrees that answers leave the table.

    Args:
        what: what would leave, as a sentence.
        job: whose `output.on_change` decides.
        options: of the command; `replace` agrees.
        refused: what to do where the job refuses it.
        asked: what to do where it has to be agreed to.

    Raises:
        ReplaceNeededError: neither agrees; it may be asked for unless the job refuses it.
    """
    if job.output.on_change == "refuse":
        raise ReplaceNeededError(what, refused, may_be_asked=False)
    if job.output.on_change == "ask" and not options.replace:
        raise ReplaceNeededError(what, asked, may_be_asked=True)
