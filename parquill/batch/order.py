"""What one portion of a run is asked, and the run that asks it: values only."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from parquill.batch.attach import Attach
from parquill.batch.endpoint import EndpointFacts
from parquill.batch.options import Portion, RunOptions
from parquill.batch.plan import RunPlan
from parquill.batch.prepare import Prepared
from parquill.batch.selection import Rows
from parquill.budget import Budget
from parquill.clock import Clock
from parquill.errors import ErrorKind, JobError, Stop
from parquill.job import Job, load_written, state_home
from parquill.storage import beside, is_remote, shown
from parquill.timeline import Timeline
from parquill.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Spreading:
    """What a run has to do when it might be shared; read, not changed."""

    opened: Prepared
    plan: RunPlan
    run: int
    facts: EndpointFacts
    workspace: Workspace
    budget: Budget
    day_used: int
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
class Asked:
    """How a round of portions ended."""

    stopped: Stopped | None = None
    """Why the run is to stop."""
    lost: bool = False
    """A portion has no end: whoever asked it is gone."""


Spread = Callable[[Spreading], Awaitable[Asked | None]]
"""Has portions of a run asked by others; returns when they have ended, None where there was nothing to share."""


@dataclass(frozen=True, slots=True)
class Order:
    """What one portion is asked: JSON values only, so that it can be read anywhere."""

    id: str
    place: str
    """The portion's own folder: its post and its parts."""
    run: int
    """In the ledger of the run that it belongs to."""
    job: Mapping[str, Any]
    """In the job file's form, with the portion's share of limits and budget and its own output."""
    rows: Mapping[str, Rows]
    """The slices that it has a part in, by their parts' names."""
    emulated: bool
    base_url: str | None
    folder: str
    """Relative paths of the job are seen from here."""
    retry: tuple[str, ...] = ()
    deadline: float | None = None
    crowded: bool = False
    sharers: int = 1

    @property
    def output(self) -> str:
        return str(self.job["output"]["path"])

    @property
    def workspace(self) -> Workspace:
        """Where the portion's own ledger is, on the machine that it runs on."""
        return Workspace.of(self.output, state_home())

    @property
    def settings(self) -> Job:
        """The job that the portion is."""
        return load_written(self.job)

    def options(self, *, crowded: bool) -> RunOptions:
        """What the portion adds to its job."""
        return RunOptions(
            portion=Portion(
                self.rows, emulated=self.emulated, base_url=self.base_url, crowded=crowded, sharers=self.sharers
            ),
            retry=frozenset(map(ErrorKind, self.retry)),
            deadline=self.deadline,
        )

    def dump(self) -> bytes:
        return json.dumps(dataclasses.asdict(self), default=sorted).encode()

    @classmethod
    def load(cls, raw: bytes) -> Order:
        data = json.loads(raw)
        rows = {part: Rows(**{**one, "without": frozenset(one["without"])}) for part, one in data["rows"].items()}
        return cls(**{**data, "retry": tuple(data["retry"]), "rows": rows})


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
    """Return a job in the form of an order: without what only the run's first process needs."""
    data = job.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return {name: section for name, section in data.items() if name not in {"nightly", "run", "report"}}


def portion_place(job: Job, workspace: Workspace, portion: str) -> str:
    """Return a portion's folder: beside the run's ledger, or beside a remote output."""
    if is_remote(job.output.path):
        return beside(job.output.path, f".portions/{portion}")
    return str(workspace.portions.absolute() / portion)
