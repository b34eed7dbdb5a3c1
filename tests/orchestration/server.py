"""A clone of the project with a Prefect server of its own: real processes, one machine, loopback."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, TypeVar

import urllib3

from parquill.clock import SystemClock

ROOT = Path(__file__).parents[2]
CLONED = ("flows", "tasks", "parquill", "configs", "data", "prefect.yaml", "automations.yaml", "pyproject.toml", "docs")
BIN = Path(sys.executable).parent

BUSY = urllib3.Retry(connect=0, total=10, status_forcelist=[503], allowed_methods=None, backoff_factor=0.1)
"""A server whose SQLite is locked says 503, and Prefect's own client asks again too."""

T = TypeVar("T")


class RefusedError(Exception):
    """What a server did not want, by its status."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(f"{status}: {said}")
        self.status = status


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until(look: Callable[[], T], *, seconds: float = 240.0, what: str = "it") -> T:
    """Look again and again until there is something to see."""
    clock, end = SystemClock(), time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < end, f"{what} did not come within {seconds:g} s"
        await clock.sleep(0.1)
    return seen


@dataclass
class Site:
    """A clone, a server's address, and the processes that were started there."""

    folder: Path
    port: int = field(default_factory=free_port)
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def clone(self) -> Path:
        return self.folder / "clone"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    @property
    def environment(self) -> dict[str, str]:
        theirs = ("PREFECT_", "DASK_", "RAY_")  # what flows set for themselves among them
        kept = {name: value for name, value in os.environ.items() if not name.startswith(theirs)}
        return {
            **kept,
            "PATH": f"{BIN}{os.pathsep}{kept['PATH']}",
            "PREFECT_API_URL": self.url,
            "PREFECT_HOME": str(self.folder / "prefect"),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_DATABASE_TIMEOUT": "60",  # SQLite is locked for longer than ten seconds on a busy disk
            "DO_NOT_TRACK": "1",
            "PYTHONPATH": str(self.clone),
            "COLUMNS": "250",
            "NO_COLOR": "1",
        }

    def prepare(self) -> None:
        """Copy what a clone has."""
        for name in CLONED:
            source, target = ROOT / name, self.clone / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)

    def start(self, name: str, command: str, **more: str) -> subprocess.Popen[bytes]:
        """Start a command of the shell in the background; its output goes to `<name>.log`."""
        log: IO[bytes] = (self.folder / f"{name}.log").open("ab")
        with log:
            self.running[name] = subprocess.Popen(
                ["bash", "-c", f"exec {command}"],
                cwd=self.clone,
                env={**self.environment, **more},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self.running[name]

    async def run(self, command: str, *, status: int | None = 0, **more: str) -> str:
        """Run a command of the shell to its end, and return what it said."""
        process = await asyncio.create_subprocess_exec(
            "bash",
            "-c",
            f"exec {command}",
            cwd=self.clone,
            env={**self.environment, **more},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        said = (await process.communicate())[0].decode()
        assert status is None or process.returncode == status, f"{command}: {process.returncode}\n{said}"
        return said

    def log(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def is_up(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=5) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """GET, or POST a body, below the API's address."""
        method = "GET" if body is None else "POST"
        try:
            with urllib3.PoolManager(retries=BUSY, timeout=30.0) as pool:
                reply = pool.request(method, f"{self.url}{path}", json=body)
        except urllib3.exceptions.HTTPError as away:
            raise ConnectionError(f"{self.url} does not answer") from away
        if reply.status >= 400:
            raise RefusedError(reply.status, reply.data.decode())
        return reply.json()

    def flow_runs(self, **found: Any) -> list[dict[str, Any]]:
        """All flow runs with these values, the newest first."""
        runs = self.ask("/flow_runs/filter", {"sort": "EXPECTED_START_TIME_DESC", "limit": 100})
        return [run for run in runs if all(run[name] == value for name, value in found.items())]

    def deployment(self, name: str) -> dict[str, Any]:
        return dict(self.ask(f"/deployments/name/{name}"))

    def create_run(self, deployment: str, **parameters: Any) -> str:
        """Create a run of a deployment, for now; return its id."""
        made = self.ask(f"/deployments/{self.deployment(deployment)['id']}/create_flow_run", {"parameters": parameters})
        return str(made["id"])

    def state(self, run: str) -> dict[str, Any]:
        return dict(self.ask(f"/flow_runs/{run}")["state"])

    async def end_of(self, run: str, *, seconds: float = 400.0) -> dict[str, Any]:
        """Return the state that a run ends in."""

        def ended() -> dict[str, Any] | None:
            with contextlib.suppress(OSError):
                state = self.state(run)
                return state if state["type"] in {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"} else None
            return None

        return await until(ended, seconds=seconds, what=f"the end of {run}") or {}

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to a process that this site started, and wait for its end."""
        process = self.running.pop(name)
        process.send_signal(number)
        process.wait(timeout=60)

    def close(self) -> None:
        """End what still runs: the worker first, then the server."""
        for process in reversed(list(self.running.values())):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        for process in self.running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=15)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=15)


@contextlib.contextmanager
def site(folder: Path) -> Iterator[Site]:
    """A site whose processes end with it."""
    made = Site(folder)
    made.prepare()
    try:
        yield made
    finally:
        made.close()


def processes_of(run: str) -> list[int]:
    """Ids of the processes that execute a flow run on this machine."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if f"PREFECT__FLOW_RUN_ID={run}".encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found
