"""Processes of tests, forked from a server that has imported what a run needs: each start costs milliseconds.

`ran` is `parquill` as a process of its own, with the status, output and messages of one. What an interpreter's
start itself does (imports, the environment, standard files) needs a real one: `Rehearsal.start`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from parquill.__main__ import main

__all__ = ["FORKS", "Command", "Ended", "Forked", "Script", "ran", "started"]

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.e2e.preloaded"])


@dataclasses.dataclass(frozen=True, slots=True)
class Ended:
    """A process that has ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Forked:
    """A process that works with standard files, an environment and a working directory of its own."""

    def __init__(self, work: Callable[[], object], folder: Path, environ: Mapping[str, str], stdin: str) -> None:
        """`work` is pickled: a function of a module, or a `functools.partial` of one."""
        self._told = Path(tempfile.mkdtemp())
        (self._told / "in").write_text(stdin, encoding="utf-8")
        self._process = FORKS.Process(target=_work, args=(work, folder, {**environ}, self._told))  # type: ignore[arg-type] # a function of four
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.is_alive()

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self._process.kill()

    async def ended(self) -> Ended:
        """Wait for its end. It is killed where the wait is cancelled."""
        try:
            await asyncio.to_thread(self._process.join)
        except asyncio.CancelledError:
            self.kill()
            raise
        assert self._process.exitcode is not None
        out, err = ((self._told / name).read_text(encoding="utf-8") for name in ("out", "err"))
        shutil.rmtree(self._told)
        assert "was never retrieved" not in err, err
        return Ended(self._process.exitcode, out, err)


def started(
    work: Callable[[], object], *, folder: Path, environ: Mapping[str, str] | None = None, stdin: str = ""
) -> Forked:
    """Have a process of its own do some work, in a folder and with this environment, else with ours."""
    return Forked(work, folder, os.environ if environ is None else environ, stdin)


async def ran(*words: str, folder: Path, environ: Mapping[str, str] | None = None) -> Ended:
    """Run `parquill` with these words, the command's name first, in a process of its own, to its end."""
    return await started(Command(words), folder=folder, environ=environ).ended()


@dataclasses.dataclass(frozen=True, slots=True)
class Command:
    """What `parquill` does with these words."""

    words: Sequence[str]

    def __call__(self) -> None:
        sys.argv = ["parquill", *self.words]
        main()


@dataclasses.dataclass(frozen=True, slots=True)
class Script:
    """What a Python does with a script and an argument."""

    text: str
    argument: str

    def __call__(self) -> None:
        sys.argv = ["-c", self.argument]
        exec(self.text, {"__name__": "__main__"})


def _work(work: Callable[[], object], folder: Path, environ: Mapping[str, str], told: Path) -> None:
    for number, name in enumerate(("in", "out", "err")):
        opened = os.open(told / name, os.O_RDWR | os.O_CREAT, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 # for the process
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    work()
