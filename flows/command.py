"""A flow as a command: arguments in, the closing table and an exit status out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, NoReturn, cast

from prefect import Flow
from prefect.client.schemas.objects import State

from parquill.bootstrap import open_standard_files
from parquill.errors import EndpointRefusedError, UsageError
from parquill.event_loop import run_alone
from parquill.job import load_job
from parquill.summary import EXIT_DONE, EXIT_ROWS_FAILED, RunSummary
from tasks.states import MismatchError, RunStoppedError

_USAGE, _REFUSED, _FAULT = 2, 5, 1


Option = tuple[str, Callable[[str], Any]]
"""What a parameter means, and its type; a `bool` is a flag."""


REPLACE: Option = ("accept that changed settings take answers out of the table", bool)
"""The parameter of every flow that runs a job."""


SAMPLE: Option = ("try the job on so many rows, beside its output, which stays as it is", int)
"""The parameter of a flow that may try a job on a few rows first."""


def run_flow(flow: Flow[..., Any], options: Mapping[str, Option] = MappingProxyType({})) -> NoReturn:
    """Run a flow on the job that the command line names, and exit as the run ended.

    `options` are parameters of the flow that may be given too.
    """
    open_standard_files()
    parser = argparse.ArgumentParser(
        prog=f"python -m flows.{flow.fn.__name__}", description=(flow.fn.__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("job", metavar="JOB", help="the job file (YAML or JSON)")
    parser.add_argument(
        "--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE", help="override one key of the job"
    )
    for name, (meaning, kind) in options.items():
        form: dict[str, Any] = {"action": "store_true"} if kind is bool else {"type": kind}
        parser.add_argument(f"--{name}", help=meaning, **form)
    given = vars(parser.parse_args())
    try:
        load_job(given["job"], given["overrides"])  # a slip is told at once, not when a server has started
    except UsageError as error:
        parser.exit(_USAGE, f"{parser.prog}: {error}\n")
    sys.exit(run_alone(_run(flow, given)))


async def _run(flow: Flow[..., Any], parameters: Mapping[str, Any]) -> int:
    """Run to the end, print what became of it, and return the exit status."""
    state: State[Any] = await cast(Awaitable[State[Any]], flow(**parameters, return_state=True))
    outcome = await state.aresult(raise_on_failure=False)
    for one in outcome if isinstance(outcome, tuple) else (outcome,):
        _print(one.summary if isinstance(one, RunStoppedError) else one)
    return exit_status(outcome)


def _print(result: object) -> None:
    """Close a run on standard error; an estimate is an answer and goes to standard output."""
    from parquill.estimation import Estimate  # noqa: PLC0415 - the engine is loaded where it works
    from parquill.terminal import print_estimate, print_summary  # noqa: PLC0415 - as above

    if isinstance(result, RunSummary):
        print_summary(result)
    elif isinstance(result, Estimate):
        print_estimate(result)


def exit_status(outcome: object) -> int:
    """Return the exit status of `parquill run`, with 0 also where rows failed; of several runs the highest."""
    if isinstance(outcome, tuple):
        return max(map(exit_status, outcome))
    if isinstance(outcome, RunStoppedError) and not isinstance(outcome, MismatchError):
        outcome = outcome.summary
    if isinstance(outcome, RunSummary):
        return EXIT_DONE if outcome.exit_status == EXIT_ROWS_FAILED else outcome.exit_status
    if isinstance(outcome, UsageError):
        return _USAGE
    if isinstance(outcome, EndpointRefusedError):
        return _REFUSED
    return _FAULT if isinstance(outcome, BaseException) else EXIT_DONE
