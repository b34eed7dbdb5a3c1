"""What one portion of a run is asked, and the run that asks it: values only.

Two things, and they come on two ways. A `WorkOrder` lies in files, beside an output or in a store that
others may write to: it says which rows, and which share of limits and budget, and is checked as data. A
`Handover` comes from the run itself: the job, with all that names code to import, addresses and paths, and
the working folder.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import pydantic
from pydantic import Field

from parquill.budget import Budget
from parquill.clock import Clock
from parquill.endpoint import EndpointFacts
from parquill.errors import ErrorKind, JobError, OutputError, Stop
from parquill.job import BudgetSettings, Job, LimitSettings, load_written, state_home
from parquill.observers import Attach
from parquill.planning import Portion, Prepared, Rows, RunOptions, RunPlan
from parquill.storage import beside, is_remote, shown
from parquill.timeline import Timeline
from parquill.workspace import Workspace


@dataclass(frozen=True, slots=True)
class RunToShare:
    """What a run has to do when it might be shared; read, not changed."""

    opened: Prepared
    plan: RunPlan
    run: int
    facts: EndpointFacts
    workspace: Workspace
    budget: Budget
    day_used: Sequence[int]
    """Requests of this UTC day, by endpoint."""
    options: RunOptions
    attach: Attach
    timeline: Timeline
    started: float
    """On `clock`'s monotonic time."""
    clock: Clock
    crowded: bool
    """The limits' last minute may have been used by other processes of this run."""
    notice: Callable[[str], None]
    """Tells the user something, once."""


Stopped = tuple[Stop, str]


@dataclass(frozen=True, slots=True)
class SharedOutcome:
    """How a round of portions ended."""

    stopped: Stopped | None = None
    """Why the run is to stop."""
    lost: bool = False
    """A portion without a report: its process is gone."""


Coordinate = Callable[[RunToShare], Awaitable[SharedOutcome | None]]
"""Has portions of a run asked by others; returns when they have ended, None where there was nothing to share."""


@dataclass(frozen=True, slots=True)
class Handover:
    """What a run hands to its processes, never by way of a file; the same for all of its portions."""

    job: Mapping[str, Any]
    """The run's own, in the job file's form, without what only the run's first process needs."""
    folder: str
    """Relative paths of the job are seen from here."""
    base_url: str | None = None
    """Where the embedded emulator is, which the run's first process serves."""


@dataclass(frozen=True, slots=True)
class WorkOrder:
    """What one portion is asked: JSON values only, so that it can be read anywhere."""

    id: str
    place: str
    """The portion's folder, mailbox and parts: the reader of the order knows them, they are not read from it."""
    run: Annotated[int, Field(ge=0, le=2**31)]
    """In the ledger of the run that it belongs to."""
    job: Mapping[str, Any]
    """In the job file's form, with the portion's share of limits and budget. Of the rest only what a row was asked
    with is read again, when a portion is closed whose process died."""
    rows: Mapping[str, Rows]
    """The slices that it has a part in, by their parts' names."""
    emulated: bool
    retry: tuple[ErrorKind, ...] = ()
    deadline: Annotated[float, Field(allow_inf_nan=False)] | None = None
    crowded: bool = False
    sharers: Annotated[int, Field(ge=1, le=10_000)] = 1

    @property
    def output(self) -> str:
        """The folder of the portion's own output."""
        return beside(self.place, "/out")

    @property
    def workspace(self) -> Workspace:
        """Where the portion's own ledger is, on the machine that it runs on."""
        return Workspace.of(self.output, state_home())

    @property
    def limits(self) -> tuple[LimitSettings, ...]:
        """The portion's share at each endpoint."""
        endpoints = self.job.get("model", {}).get("endpoints")
        if endpoints is None:
            return (_section(LimitSettings, self.job.get("limits", {})),)
        if not isinstance(endpoints, (list, tuple)) or not all(isinstance(one, dict) for one in endpoints):
            raise OutputError("the order of a portion is damaged: its endpoints are no list")
        return tuple(_section(LimitSettings, one.get("limits", {})) for one in endpoints)

    @property
    def budget(self) -> BudgetSettings:
        """The portion's share."""
        return _section(BudgetSettings, self.job.get("budget", {}))

    def settings(self, commission: Handover) -> Job:
        """The job that the portion is: the run's own, with its share and its output. Raises `JobError`."""
        job = load_written(commission.job)
        limits = self.limits
        if len(limits) != len(job.each):
            raise OutputError("the order of a portion is damaged: it is for other endpoints than the run's")
        return self._placed(with_shares(job, limits), budget=self.budget)

    def settings_to_close(self, job: Job) -> Job:
        """The job by which a portion is closed that a process died over; it sends nothing.

        It is the run's own (`job`), with what the portion's rows were asked with, so that their answers are known
        again also where the job was changed since.
        """
        own, told = order_of(job), self.job
        loaded = job.model_dump(by_alias=True, exclude_unset=True)
        model = {
            key: loaded["model"][key] if own.get("model", {}).get(key) == value else value
            for key, value in told.get("model", {}).items()
            if key in _ASKED_WITH
        }
        kept = {key: value for key, value in loaded.get("model", {}).items() if key not in _ASKED_WITH}
        output = told.get("output", {})
        schema = {"schema": output["schema"]} if isinstance(output.get("schema"), dict) else {}
        asked = {
            "prompt": told.get("prompt", loaded["prompt"]),
            "model": {**kept, **model},
            "output": {**loaded["output"], **schema},
        }
        try:
            closing = Job.model_validate({**loaded, **asked})
        except pydantic.ValidationError:
            closing = job
        return self._placed(with_shares(closing, [LimitSettings()] * len(closing.each)), budget=BudgetSettings())

    def _placed(self, job: Job, *, budget: BudgetSettings) -> Job:
        output = job.output.model_copy(update={"path": self.output, "reuse_from": ()})
        return job.model_copy(update={"budget": budget, "output": output})

    def options(self, *, crowded: bool, base_url: str | None = None) -> RunOptions:
        """What the portion adds to its job."""
        return RunOptions(
            portion=Portion(
                self.rows, emulated=self.emulated, base_url=base_url, crowded=crowded, sharers=self.sharers
            ),
            retry=frozenset(self.retry),
            deadline=self.deadline,
        )

    def dump(self) -> bytes:
        """Return the order as JSON; `load` reads it."""
        return json.dumps(dataclasses.asdict(self), default=sorted).encode()

    @classmethod
    def load(cls, raw: bytes, place: str) -> WorkOrder:
        """Read the order of the portion whose folder is `place`; raises `OutputError` where it is none."""
        try:
            order = _ORDER.validate_python({**json.loads(raw), "place": place})
        except (ValueError, TypeError, RecursionError):
            raise OutputError(f"{shown(place)}: the order of this portion is damaged") from None
        if not is_portion(order.id):
            raise OutputError(f"{shown(place)}: the order of this portion is damaged: its id is {order.id[:64]!a}")
        return order


_ORDER = pydantic.TypeAdapter(WorkOrder)
_ASKED_WITH = frozenset(
    {"name", "fallback_models", "max_tokens", "temperature", "top_p", "top_k", "seed", "stop"}
)  # fmt: skip
"""What of `model` decides an answer: plain values, neither an address nor a path."""
_Shared = TypeVar("_Shared", LimitSettings, BudgetSettings)


def _section(kind: type[_Shared], told: Any) -> _Shared:
    try:
        return kind.model_validate(told)
    except pydantic.ValidationError as error:
        raise OutputError(f"the order of a portion is damaged: {error.error_count()} faults in its share") from None


def with_shares(job: Job, limits: Sequence[LimitSettings]) -> Job:
    """Return a job with these limits at its endpoints, and no others."""
    if job.model.endpoints is None:
        (only,) = limits
        return job.model_copy(update={"limits": only})
    shared = tuple(
        one.model_copy(update={"limits": share}) for one, share in zip(job.model.endpoints, limits, strict=True)
    )
    model = job.model.model_copy(update={"endpoints": shared})
    return job.model_copy(update={"limits": LimitSettings(), "model": model})


def is_portion(name: str) -> bool:
    """Tell whether a text may be a portion's id: nothing that leads out of the run's folder."""
    return re.fullmatch(r"[A-Za-z0-9-]{1,64}", name) is not None


_SIGN_IN = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "gcs": "GOOGLE_APPLICATION_CREDENTIALS",
}
_SIGN_IN_ELSEWHERE = "AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET"


def refuse_keys(job: Job) -> None:
    """Raise `JobError` where a place names its key: an order lies in files, and its place is an argument of tasks."""
    places = {"manifest.path": job.manifest.path, "output.path": job.output.path, "images.root": job.images.root}
    for name, place in places.items():
        if place is not None and is_remote(place) and shown(place) != place:
            variables = _SIGN_IN.get(place.partition(":")[0].lower(), _SIGN_IN_ELSEWHERE)
            raise JobError(
                f"{name}: {shown(place)} holds a key, and where several processes ask a run (run.workers: "
                f"{job.run.workers}) its places are told to all of them. Leave the key out, and have each process find "
                f"it where the store's own tools do: {variables}, a profile, or the machine's role"
            )


def order_of(job: Job) -> dict[str, Any]:
    """Return the job for the run's other processes: without what only its first process needs."""
    data = job.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return {name: section for name, section in data.items() if name not in {"nightly", "run", "report"}}


def handover_of(job: Job, facts: EndpointFacts) -> Handover:
    """Return what a run hands to its processes."""
    base_url = facts.base_url if job.model.endpoint == "emulator" else None
    return Handover(order_of(job), str(Path.cwd()), base_url)


def portion_folder(job: Job, workspace: Workspace, portion: str) -> str:
    """Return a portion's folder: beside the run's ledger, or beside a remote output."""
    if is_remote(job.output.path):
        return beside(job.output.path, f".portions/{portion}")
    return str(workspace.portions.absolute() / portion)
