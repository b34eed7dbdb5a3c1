"""Runs tests again and again in forks of one pytest session, which has imported and collected everything once.

    python -m tests.mutants.forks FILES        in the folder of a copy of the project

It reads orders, a JSON object a line, and writes a verdict for each, a JSON object a line; the first line says that it
is ready. An order: `tests`, names of tests (or of whole files) in the order in which they are to run; `limits`, seconds
for each; `seconds` for all of them; `path` and `before`: the file that is changed, and its text without the change. A
verdict: `outcome` passed, failed, broken (a module cannot be imported), hung or none (no such test); `by` the test;
`why` the last line of its failure; `seconds` of each test that ran.

A fork gives the functions that the change touches their new code in place. Where that cannot be done (a default value,
the body of a class) it begins anew, as a process of its own that imports what the tests need: `--once`.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FunctionType
from typing import IO, Any

import pytest

from tests.mutants.patching import functions_in, patched

_TOLD, _ORDER, _TEMPORARY = Path("verdict.json"), Path("order.json"), Path("temporary")
_OPTIONS = ("-q", "-s", "-n", "0", "--no-header", "--tb=short", "-p", "no:cacheprovider", "-m", "")


class Judge:
    """A plug-in: runs ordered tests, each with its own limit, and notes the first that fails."""

    def __init__(self, order: Mapping[str, Any]) -> None:
        self._order = order
        self.by, self.why = "", ""
        self.broken = False
        self.seconds: dict[str, float] = {}

    def run(self, session: pytest.Session) -> None:
        """Run the tests that are ordered, to the first that fails; note the verdict."""
        by_name: dict[str, list[pytest.Item]] = {}
        for item in session.items:
            for name in (item.nodeid, item.nodeid.partition("::")[0]):
                by_name.setdefault(name, []).append(item)
        chosen = [(name, item) for name in self._order["tests"] for item in by_name.get(name, ())]
        for at, (name, item) in enumerate(chosen):
            item.add_marker(pytest.mark.timeout(self._order["limits"][name]), append=False)
            following = chosen[at + 1][1] if at + 1 < len(chosen) else None
            item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
            if self.by:
                break
        self.tell("failed" if self.by else "passed" if chosen else "none")

    def tell(self, outcome: str) -> None:
        told = {"outcome": outcome, "by": self.by, "why": self.why, "seconds": self.seconds}
        _TOLD.write_text(json.dumps(told))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed and not self.by:
            self.by, self.why, self.broken = report.nodeid, _last_line(report.longreprtext), True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration
        if report.failed and not self.by:
            self.by, self.why = report.nodeid, _last_line(report.longreprtext)


class Server:
    """A plug-in: in place of running tests it serves orders, each in a fork."""

    def __init__(self, orders: IO[str], verdicts: IO[str]) -> None:
        self._orders = orders
        self._verdicts = verdicts

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        loaded = functions_in(Path("parquill").resolve())
        gc.collect()
        gc.freeze()  # a collection in a fork leaves alone, and unshared, what all of them share
        self._say({"outcome": "ready"})
        for line in self._orders:
            order = json.loads(line)
            _TOLD.unlink(missing_ok=True)
            child = os.fork()
            if not child:
                _in_the_fork(session, order, loaded)
            self._say(_verdict_of(child, order["seconds"]))
        return True

    def _say(self, told: Mapping[str, Any]) -> None:
        self._verdicts.write(json.dumps(told) + "\n")
        self._verdicts.flush()


class _Once:
    """A plug-in for a process that runs one order."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if not self._judge.broken:
            self._judge.run(session)
        return True


def _in_the_fork(session: pytest.Session, order: Mapping[str, Any], loaded: Sequence[FunctionType]) -> None:
    os.setsid()
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    output = os.open("output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(output, stream)
    try:
        file = Path(order["path"]).resolve() if order["path"] else None
        if file is not None and not patched(loaded, file, order["before"], file.read_text()):
            _ORDER.write_text(json.dumps(order))
            os.execv(sys.executable, [sys.executable, "-m", "tests.mutants.forks", "--once"])
        _make_temporary(session.config)
        judge = Judge(order)
        session.config.pluginmanager.register(judge)
        judge.run(session)
    finally:
        os._exit(0)


def _make_temporary(config: pytest.Config) -> None:
    """Keep temporary folders of tests in the copy, where they are removed with it."""
    shutil.rmtree(_TEMPORARY, ignore_errors=True)
    _TEMPORARY.mkdir()
    factory: Any = config._tmp_path_factory  # type: ignore[attr-defined] # pytest has no other way to set it later
    factory._basetemp = _TEMPORARY.resolve()


def _verdict_of(child: int, seconds: float) -> dict[str, Any]:
    process = os.pidfd_open(child)
    ended, _, _ = select.select([process], [], [], seconds)
    os.close(process)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    _, code = os.waitpid(child, 0)
    status = os.waitstatus_to_exitcode(code) if ended else None
    if _TOLD.exists():
        told: dict[str, Any] = json.loads(_TOLD.read_text())
        return told
    outcome = "hung" if status is None else "failed"
    return {"outcome": outcome, "by": "", "why": f"the process ended with {status}", "seconds": {}}


def _serve(files: Sequence[str]) -> None:
    orders, verdicts = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    nothing, output = os.open(os.devnull, os.O_RDONLY), os.open("server.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for to, stream in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(to, stream)
    pytest.main([*_OPTIONS, "--continue-on-collection-errors", *files], plugins=[Server(orders, verdicts)])


def _once() -> None:
    order = json.loads(_ORDER.read_text())
    judge = Judge(order)
    files = dict.fromkeys(name.partition("::")[0] for name in order["tests"])
    pytest.main([*_OPTIONS, "--basetemp", str(_TEMPORARY), *files], plugins=[judge, _Once(judge)])
    if judge.broken or not _TOLD.exists():
        judge.tell("broken")


def _last_line(text: str) -> str:
    told = [line.removeprefix("E").strip() for line in text.splitlines() if line.startswith("E ")]
    return (told or text.strip().splitlines() or [""])[0][:300]


if __name__ == "__main__":
    if sys.argv[1:] == ["--once"]:
        _once()
    else:
        _serve(sys.argv[1:])
