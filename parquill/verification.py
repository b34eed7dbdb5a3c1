"""`parquill verify`: proves that output and manifest match row for row, and that the accounts balance.

Every row of the manifest is prepared again by the run's own code and held against the row in
its place: key, copied columns, fingerprint. Then the parts against their list (checksums),
the ledger (empty, or why not), the money (parts + archive + open + in doubt = what all runs
spent), and the other side's bill where an emulator left one. Nothing is changed.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from parquill.asking import lost_lines
from parquill.clock import Clock, SystemClock
from parquill.endpoint import EMULATOR
from parquill.errors import OutputError
from parquill.job import Job, state_home
from parquill.ledger import Books, EvidenceCount, Ledger, Spend
from parquill.money import usd
from parquill.planning import Planner, Prepared, part_faults, prepare
from parquill.results import PartInfo, read_manifest, read_part
from parquill.storage import Storage
from parquill.workspace import Workspace

if TYPE_CHECKING:
    from rich.console import Console

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not match: what kind, how often, and the first examples."""

    kind: str
    count: int
    examples: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    """Of the `parquill run` that repairs it."""

    @property
    def command(self) -> str:
        """Return the command that repairs it, with JOB for the job file and what `--set` gives."""
        return " ".join(["parquill run JOB", *self.options])


@dataclass(frozen=True, slots=True)
class Verification:
    """What `verify` found. `holds` where everything matches."""

    rows: Mapping[str, int]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    books: Mapping[str, str]

    @property
    def holds(self) -> bool:
        """Whether nothing was found that does not match."""
        return not self.findings

    def to_json(self) -> dict[str, Any]:
        """Return what `verify --json` prints; money as decimal strings."""
        return {
            "holds": self.holds,
            "rows": dict(self.rows),
            "findings": [
                {"kind": one.kind, "count": one.count, "examples": list(one.examples), "command": one.command}
                for one in self.findings
            ],
            "notes": list(self.notes),
            "books": dict(self.books),
        }


@dataclass(slots=True)
class _Found:
    """Findings as they are collected."""

    kinds: dict[str, tuple[int, list[str]]] = field(default_factory=dict)
    wants_repair: bool = False

    def add(self, kind: str, example: str, *, wants_repair: bool = False) -> None:
        """Note a fault; `wants_repair`: a run that finds its rows answered would leave it."""
        self.wants_repair |= wants_repair
        count, examples = self.kinds.get(kind, (0, []))
        if len(examples) < _SHOWN:
            examples.append(example)
        self.kinds[kind] = (count + 1, examples)

    def findings(self, options: tuple[str, ...]) -> tuple[Finding, ...]:
        """Return what was found; one command with `options` repairs all of it."""
        return tuple(Finding(kind, count, tuple(examples), options) for kind, (count, examples) in self.kinds.items())


@dataclass(frozen=True, slots=True)
class _Case:
    """What is verified, and what is found on the way."""

    opened: Prepared
    output: Storage
    workspace: Workspace
    parts: Mapping[str, PartInfo]
    found: _Found = field(default_factory=_Found)
    notes: list[str] = field(default_factory=list)


def verify_job(job: Job, *, clock: Clock | None = None) -> Verification:
    """Hold a job's output against its manifest, and its books against each other.

    Raises `UsageError` where job, manifest or output cannot be read at all.
    """
    opened = prepare(job, clock or SystemClock())
    output = Storage.at(job.output.path)
    workspace = Workspace.of(job.output.path, state_home(), shared=job.output.shared)
    workspace.check()
    planner = Planner(opened, output)
    digests = planner.digests()  # null and repeated ids are no manifest
    case = _Case(opened, output, workspace, planner.standing())
    _match_slices(case, digests)
    _match_listing(case)
    books = _match_books(case) if workspace.ledger.exists() else {}
    rows = {
        "total": opened.manifest.rows,
        "ok": sum(info.ok for info in case.parts.values()),
        "failed": sum(info.failed for info in case.parts.values()),
        "not_attempted": sum(info.not_attempted for info in case.parts.values()),
    }
    shrunk = opened.manifest.rows * 2 < sum(info.rows for info in case.parts.values())
    replaced = any(info.ok and planner.recorded.changed(info) for info in case.parts.values())
    wanted = {"--allow-shrink": shrunk, "--replace": replaced, "--repair": case.found.wants_repair}
    options = tuple(option for option, is_wanted in wanted.items() if is_wanted)
    return Verification(rows, case.found.findings(options), tuple(case.notes), books)


def _match_slices(case: _Case, digests: Mapping[str, str]) -> None:
    """Hold parts against slices. Where only the part changed (`digests` has its digest), a run would not see it."""
    opened, output, parts, found = case.opened, case.output, case.parts, case.found
    manifest = opened.manifest
    known = {one.part: one for one in manifest.slices}
    for name, info in parts.items():
        if name not in known:
            found.add(
                "foreign part", f"{output.where(name)}: no slice of the manifest has this name ({info.rows} rows)"
            )
    for one in manifest.slices:
        if one.part not in parts:
            found.add("missing part", f"{output.where(one.part)}: {one.rows} rows of {one.source.label} have no output")
    columns = manifest.columns.needed(opened.reader.columns)
    wanted = set(known) & set(parts)
    for part, chunks in itertools.groupby(manifest.read(columns, wanted), key=lambda chunk: chunk.slice.part):
        as_planned = parts[part].slice_digest == digests[part]
        for kind, example in part_faults(opened, known[part], read_part(output, part), list(chunks)):
            found.add(kind, example, wants_repair=as_planned)


def _match_listing(case: _Case) -> None:
    """Hold the parts against the list with their checksums."""
    workspace, output, parts, found = case.workspace, case.output, case.parts, case.found
    storage, name = workspace.storage(), workspace.manifest.name
    if not workspace.manifest.exists():
        if parts:
            found.add("no list of parts", f"{workspace.manifest} is missing: the last run did not come to its end")
        return
    try:
        listed, _ = read_manifest(storage, name)
    except OutputError as error:
        found.add("list of parts", str(error))
        return
    for part in sorted(set(listed) ^ set(parts)):
        where = "is listed and missing" if part in listed else "stands and is not listed"
        found.add("list of parts", f"{output.where(part)} {where}")
    for part in sorted(set(listed) & set(parts)):
        if listed[part].sha256 is not None and output.checksum(part) != listed[part].sha256:
            found.add("checksum", f"{output.where(part)} was changed after it was written", wants_repair=True)


def _match_books(case: _Case) -> dict[str, str]:
    """Hold what runs spent against where it stands."""
    job, workspace, output, parts = case.opened.job, case.workspace, case.output, case.parts
    ledger = Ledger.open(workspace.ledger, job=job.name)
    try:
        books = ledger.books({name: (info.part_id, info.cost_pico) for name, info in parts.items()}).result()
        case.notes.extend(
            f"the ledger still holds {held.outcomes} outcomes and {held.attempts} attempts of "
            f"{output.where(held.name)}: the last run was cut off; the same run command goes on"
            for held in ledger.contents().result()
        )
        counts = ledger.evidence().result()
        emulated = [ledger.totals(run.id).result() for run in ledger.runs().result() if run.realm == EMULATOR]
    finally:
        ledger.close()
    if not books.balanced and not books.in_flight:
        case.found.add("books", _imbalance(books), wants_repair=True)
    _match_bill(case, emulated)
    _match_evidence(case, counts)
    return {
        "parts_usd": usd(books.parts_pico),
        "archive_usd": usd(books.archive_pico),
        "ledger_usd": usd(books.ledger_pico),
        "in_doubt_usd": usd(books.in_doubt_pico),
        "runs_usd": usd(books.runs_pico),
    }


def _match_evidence(case: _Case, counts: list[EvidenceCount]) -> None:
    """Hold the tables about single requests against what the ledger says that they must hold."""
    for lost in lost_lines(counts, case.workspace):
        case.found.add(
            lost.table, f"{lost}. The next run of the same job says so once and takes what stands for what there is"
        )
    if working := [one.process for one in counts if not one.ended]:
        case.notes.append(
            f"{', '.join(working)}: this process is at work, or it died before its tables about single requests were "
            "whole; the same run command goes on"
        )


def _imbalance(books: Books) -> str:
    held = books.runs_pico + books.difference_pico
    return f"the runs spent ${usd(books.runs_pico)}, but output, archive, ledger and doubt hold ${usd(held)}"


def _match_bill(case: _Case, emulated: Sequence[Spend]) -> None:
    """Hold what was booked against the embedded emulator's own bill."""
    workspace, notes = case.workspace, case.notes
    if not workspace.emulator_log.exists() or not emulated:
        return
    from parquill.emulator import read_log  # noqa: PLC0415 - a server is loaded only where one ran

    log = read_log(workspace.emulator_log)
    bill, booked = log.billed_pico, sum(spend.pico for spend in emulated)
    if log.requests < (requests := sum(spend.requests for spend in emulated)):
        notes.append(f"{requests - log.requests} simulated requests went to an emulator whose bill is not here")
        return
    in_doubt = any(spend.doubts for spend in emulated) or any(_estimates(case.output, case.parts))
    if bill == booked:
        notes.append(f"the emulator billed ${usd(bill)}: to the last digit what is booked")
    elif in_doubt and bill <= booked:
        notes.append(f"the emulator billed ${usd(bill)}; ${usd(booked)} is booked, lost replies at their worst case")
    else:
        said = f"the emulator billed ${usd(bill)}, but ${usd(booked)} is booked"
        case.found.add("bill", said, wants_repair=True)


def _estimates(output: Storage, parts: Mapping[str, PartInfo]) -> Iterator[bool]:
    for name in parts:
        yield "estimate" in read_part(output, name, ["cost_source"]).column("cost_source").unique().to_pylist()


def render_verification(verification: Verification, console: Console, job: str = "JOB") -> None:
    """Say it to a person; `job` is what stands for the job in the command that repairs what was found."""
    from parquill.progress import printable  # noqa: PLC0415 - `--json` draws nothing

    rows = verification.rows
    counts = f"{rows['ok']:,} ok, {rows['failed']:,} failed, {rows['not_attempted']:,} not attempted"
    if verification.holds:
        console.print(f"[bold green]verified[/] {rows['total']:,} manifest rows, one output row each: {counts}")
    else:
        console.print(f"[bold red]does not match[/] ({rows['total']:,} manifest rows: {counts})")
    for finding in verification.findings:
        console.print(f"  [red]{finding.kind}[/]: {finding.count:,}")
        for example in finding.examples:
            console.print(f"    {printable(example)}", markup=False)
    if verification.findings:
        command = verification.findings[0].command.replace("JOB", job, 1)
        console.print(f"  to repair: {printable(command)}", markup=False, soft_wrap=True)
    if verification.books:
        held = ", ".join(
            f"{name} ${verification.books[key]}"
            for name, key in (("parts", "parts_usd"), ("archive", "archive_usd"), ("in doubt", "in_doubt_usd"))
        )
        console.print(f"  the books: runs spent ${verification.books['runs_usd']} ({held})", markup=False)
    for note in verification.notes:
        console.print(f"  {printable(note)}", markup=False)
