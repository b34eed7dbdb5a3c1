"""The command line: `parquill run | estimate | verify | report | init | doctor | emulator`.

Standard output belongs to what a command answers (`--json` prints one object there and
nothing else); progress and everything said to a person goes to standard error. Each command
imports what it needs when it runs, so that `parquill run` is sending within a second.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shlex
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from parquill.bootstrap import load_beside
from parquill.errors import EndpointRefusedError, ParquillError, ReplaceNeededError, StorageFullError, UsageError
from parquill.event_loop import run_alone
from parquill.signal_exit import ending_soon
from parquill.store_calls import exit_beside_calls

if TYPE_CHECKING:
    from rich.console import Console

    from parquill.job import Job
    from parquill.planning import RunOptions
    from parquill.portions import Coordinate
    from parquill.summary import RunSummary

app = typer.Typer(
    name="parquill",
    help="Parquet manifests of prompts and pictures in, typed Parquet tables out: "
    "never over budget, never lost, never paid twice.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

JobPath = Annotated[Path, typer.Argument(metavar="JOB", help="the job file (YAML or JSON)")]
Overrides = Annotated[
    list[str], typer.Option("--set", metavar="KEY=VALUE", help="override one key, e.g. --set model.endpoint=emulator")
]
AsJson = Annotated[
    bool, typer.Option("--json", help="print one JSON object on standard output, and nothing else there")
]


MaxUsd = Annotated[
    str | None,
    typer.Option(
        metavar="X", help="refuse to start when the cost, at the upper end of its interval, is above X dollars"
    ),
]


Verbose = Annotated[
    int,
    typer.Option("--verbose", "-v", count=True, show_default=False, help="log decisions to standard error; -vv: all"),
]


def _say_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"parquill {version('parquill')}")  # noqa: T201 - this is the command line
        raise typer.Exit


@app.callback()
def parquill(
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="print the version and exit")
    ] = False,
) -> None:
    """Stand before every command, for what is asked without one."""


@app.command(short_help="run a job, resume it, or add what is new")
def run(  # noqa: PLR0917 - typer makes options of parameters
    job: JobPath,
    overrides: Overrides = [],  # noqa: B006 - typer copies it
    limit: Annotated[int | None, typer.Option(min=0, metavar="N", help="ask only the manifest's first N rows")] = None,
    sample: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="try the job on N rows, beside the output, which stays as it is"),
    ] = None,
    retry: Annotated[
        str, typer.Option(metavar="KIND,…", help="ask again rows that failed with these error kinds; ok: answered rows")
    ] = "",
    fresh_budget: Annotated[bool, typer.Option(help="begin a new run with the whole budget")] = False,
    allow_shrink: Annotated[bool, typer.Option(help="accept a manifest that lost more than half of its rows")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="accept that changed settings take answers out of the table")
    ] = False,
    repair: Annotated[
        bool, typer.Option(help="set aside parts that were changed, ask their rows again, and square the books")
    ] = False,
    max_usd: MaxUsd = None,
    as_json: AsJson = False,
    quiet: Annotated[bool, typer.Option(help="show no progress and no summary")] = False,
    progress: Annotated[str, typer.Option(metavar="auto|json", help="how to show progress")] = "auto",
    verbose: Verbose = 0,
) -> None:
    """Run a job, resume it, or add what is new: the same command each time."""
    load_beside("aiohttp")
    from parquill.job import parse_retry
    from parquill.planning import RunOptions
    from parquill.running import run_job
    from parquill.terminal import attended, log_to_stderr, print_summary

    log_to_stderr(verbose)
    if progress not in ("auto", "json"):
        _fail(f"--progress {progress}: it is auto or json", 2)
    console = None if quiet else _console()
    with _faults():
        loaded = _load(job, overrides)
        options = RunOptions(
            limit=limit,
            sample=sample,
            **parse_retry(retry),
            fresh_budget=fresh_budget,
            allow_shrink=allow_shrink,
            repair=repair,
            replace=replace,
        )
        if max_usd is not None:
            _gate(loaded, options, max_usd)
        attach = attended(console, json_lines=progress == "json")
        summary = _agreed(
            lambda given: run_alone(run_job(loaded, given, attach=attach, spread=_spread(loaded, given))),
            options,
            asks=console is not None and not as_json,
        )
    if as_json:
        _print_json(summary.to_json())
    if console is not None and not as_json:
        print_summary(summary)
    raise typer.Exit(summary.exit_status)


@app.command(short_help="say what a job would cost, and how long it would take")
def estimate(  # noqa: PLR0917 - typer makes options of parameters
    job: JobPath,
    overrides: Overrides = [],  # noqa: B006 - typer copies it
    calibrate: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="send N rows first, to know the rest better; they are kept")
    ] = None,
    by: Annotated[str | None, typer.Option(metavar="COLUMN", help="the cost for each value of a column")] = None,
    compare: Annotated[bool, typer.Option(help="the same work at other models' prices")] = False,
    check_images: Annotated[bool, typer.Option(help="look whether each picture can be had")] = False,
    max_usd: MaxUsd = None,
    as_json: AsJson = False,
) -> None:
    """Say what a job would cost and how long it would take, without sending anything (or only N rows)."""
    from parquill.estimation import EstimateOptions, estimate_job, refuse_above, render_estimate

    with _faults():
        most = _dollars(max_usd)
        options = EstimateOptions(calibrate=calibrate, by=by, compare=compare, check_images=check_images, max_usd=most)
        found = run_alone(estimate_job(_load(job, overrides), options))
    if as_json:
        _print_json(found.to_json())
    else:
        render_estimate(found, _console(standard_output=True))
    with _faults():
        if most is not None:
            refuse_above(found, most)


@app.command(short_help="prove that output and manifest match, and that the books balance")
def verify(job: JobPath, overrides: Overrides = [], as_json: AsJson = False) -> None:  # noqa: B006 - typer copies it
    """Prove that output and manifest match row for row, and that the books balance."""
    from parquill.verification import render_verification, verify_job

    with _faults():
        verification = verify_job(_load(job, overrides))
    if as_json:
        _print_json(verification.to_json())
    else:
        told = [f"--set {shlex.quote(override)}" for override in overrides]
        render_verification(verification, _console(standard_output=True), " ".join([shlex.quote(str(job)), *told]))
    raise typer.Exit(0 if verification.holds else 3)


@app.command(short_help="write the HTML report, and say where it is")
def report(job: JobPath, overrides: Overrides = []) -> None:  # noqa: B006 - typer copies it
    """Write the HTML report on a job's output; prints where it is."""
    from parquill.report import write_report

    with _faults():
        place = run_alone(write_report(_load(job, overrides)))
    print(place)  # noqa: T201 - it is the command's answer


@app.command(short_help="print a job file that fits a manifest")
def init(manifest: Annotated[str, typer.Argument(metavar="MANIFEST", help="a file, folder or glob")]) -> None:
    """Print a job file that fits a manifest, to start from."""
    from parquill.init_job import starter_job

    with _faults():
        text = starter_job(manifest)
    print(text, end="")  # noqa: T201 - it is the command's answer


@app.command(short_help="try the endpoint, and say what will work")
def doctor(job: JobPath, overrides: Overrides = []) -> None:  # noqa: B006 - typer copies it
    """Try each endpoint with at most three small requests, and say what will work."""
    from parquill.doctor import examine_each, render_diagnoses

    with _faults():
        diagnoses = run_alone(examine_each(_load(job, overrides)))
    raise typer.Exit(render_diagnoses(diagnoses, _console(standard_output=True)))


@app.command(short_help="serve an OpenRouter that runs here")
def emulator(  # noqa: PLR0917 - typer makes options of parameters
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one")] = 8080,
    profile: Annotated[
        str, typer.Option(metavar="NAME", help="calm, busy, stormy, broken, ollama or lmstudio")
    ] = "calm",
    seed: Annotated[int, typer.Option(help="the same seed gives the same misbehaviour")] = 0,
    log: Annotated[
        Path | None, typer.Option(metavar="FILE", help="where to append what is received and billed")
    ] = None,
    host: Annotated[str, typer.Option(help="an address of this machine")] = "127.0.0.1",
    allow_remote: Annotated[bool, typer.Option(help="serve other machines too: anyone there may use it")] = False,
) -> None:
    """Serve an OpenRouter that runs here: answers are simulated, everything else is as real."""
    from parquill.emulator import PROFILES, EmulatorSettings, serve

    if profile not in PROFILES:
        _fail(f"--profile {profile}: known are {', '.join(PROFILES)}", 2)
    with _faults():
        settings = EmulatorSettings.of_profile(
            profile, seed=seed, port=port, host=host, allow_remote=allow_remote, log_path=log
        )
        run_alone(serve(settings, lambda line: print(line, flush=True)))  # noqa: T201 - the base URL is its answer


def main() -> None:
    """Run the command line, in a process that `parquill.__main__` has made ready."""
    try:
        with ending_soon():
            app()
    except SystemExit as end:
        exit_beside_calls(end.code if isinstance(end.code, int) else 0 if end.code is None else 1)
        raise


def _load(job: Path, overrides: list[str]) -> Job:
    from parquill.job import load_job

    return load_job(job, overrides)


def _gate(job: Job, options: RunOptions, max_usd: str) -> None:
    """Refuse a run whose estimate is above what its command allows."""
    from parquill.estimation import EstimateOptions, estimate_job, refuse_above

    most = _dollars(max_usd)
    assert most is not None
    allow_shrink = options.allow_shrink
    if options.sample is not None:
        from parquill.running import sample_job

        job, allow_shrink = sample_job(job, options.sample), True
    asked = EstimateOptions(limit=options.limit, retry=options.retry, again=options.again, allow_shrink=allow_shrink)
    refuse_above(run_alone(estimate_job(job, asked)), most)


def _agreed(run: Callable[[RunOptions], RunSummary], options: RunOptions, *, asks: bool) -> RunSummary:
    """Run; where that would take answers out of the table, a person at a terminal is asked first."""
    try:
        return run(options)
    except ReplaceNeededError as error:
        if not (asks and error.may_be_asked and sys.stdin.isatty() and sys.stderr.isatty()):
            raise
        try:
            agreed = typer.confirm(f"parquill: {error.what} Go on?", err=True)
        except typer.Abort:
            agreed = False
        if not agreed:
            raise
    return run(dataclasses.replace(options, replace=True))


def _spread(job: Job, options: RunOptions) -> Coordinate | None:
    """What shares the run among processes of this machine; the usual one process loads none of it."""
    if job.run.workers == 1 or options.sample is not None or options.again:
        return None
    from parquill.portions import share_here

    return share_here(job)


def _dollars(text: str | None) -> Decimal | None:
    """Read a sum of money; raises `UsageError` for what is none."""
    if text is None:
        return None
    try:
        usd = Decimal(text)
    except ArithmeticError:
        usd = Decimal("nan")
    if not usd.is_finite() or usd < 0:
        raise UsageError(f"--max-usd {text}: this is no sum of money; write dollars, as 2.50")
    return usd


def _console(*, standard_output: bool = False) -> Console:
    from rich.console import Console

    return Console(stderr=not standard_output, highlight=False)


@contextlib.contextmanager
def _faults() -> Any:
    """Say what went wrong to a person, and exit as the contract says."""
    try:
        yield
    except UsageError as error:
        _fail(str(error), 2)
    except EndpointRefusedError as error:
        _fail(str(error), 5)
    except StorageFullError as error:
        _fail(str(error), 4)
    except ParquillError as error:
        _fail(str(error), 1)


def _fail(message: str, status: int) -> NoReturn:
    from parquill.progress import printable

    for line in message.splitlines():
        print(f"parquill: {printable(line)}", file=sys.stderr)  # noqa: T201 - this is the command line
    raise typer.Exit(status)


def _print_json(value: dict[str, Any]) -> None:
    print(json.dumps(value, ensure_ascii=False), flush=True)  # noqa: T201 - this is the command line
