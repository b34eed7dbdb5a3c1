"""Processes of tests, forked from a server that has imported what a run needs: each start costs milliseconds.

`ran` is `parquill` as a process of its own, with the status, output and messages of one. What an interpreter's
start itself does (imports, the environment, standard files, signals) needs a real one: `Rehearsal.start`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from parquill.__main__ import main

__all__ = ["FORKS", "Ended", "ran"]

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


async def ran(*words: str, folder: Path, environ: Mapping[str, str] | None = None) -> Ended:
    """Run `parquill` with these words in a folder, in a process of its own.

    Args:
        words: The arguments, the command's name first.
        folder: The working directory.
        environ: The whole environment; that of this process where it is None.
    """
    with tempfile.TemporaryDirectory() as told:
        out, err = Path(told, "out"), Path(told, "err")
        arguments = (words, folder, {**(os.environ if environ is None else environ)}, out, err)
        process = FORKS.Process(target=_command, args=arguments)  # type: ignore[arg-type] # a function of five
        process.start()
        try:
            await asyncio.to_thread(process.join)
        finally:
            process.kill()
        assert process.exitcode is not None
        said = err.read_text(encoding="utf-8")
        assert "was never retrieved" not in said, said
        return Ended(process.exitcode, out.read_text(encoding="utf-8"), said)


def _command(words: tuple[str, ...], folder: Path, environ: Mapping[str, str], out: Path, err: Path) -> None:
    for number, path in ((0, os.devnull), (1, out), (2, err)):
        opened = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    sys.argv = ["parquill", *words]
    main()
