"""What all tests share: how patient and how thorough they are, and which of them share a process."""

from __future__ import annotations

import gc
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

from tests.clock import JUMPS, ManualClock
from tests.lanes import FAST, THOROUGH, register_lanes
from tests.unread_faults import no_unread_faults, no_unread_faults_in_cycles

__all__ = ["no_unread_faults", "no_unread_faults_in_cycles"]

HERE = Path(__file__).parent

register_lanes()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=5, help="how often runs are killed: 5, in CI 50, in chaos 200")
    parser.addoption("--thorough", action="store_true", help="all examples of properties and simulations")
    parser.addoption("--fuzz-seconds", type=float, default=0, help="how long foreign data is made up; 0: a short look")
    parser.addoption(
        "--fuzz-seed", type=int, default=0, help="the first seed of what is made up; a finding names its own"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Choose the lane, before tests are imported, and hear interrupts, which a shell's background jobs ignore.

    Processes of tests inherit what is ignored, so none of theirs would be interrupted.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    settings.load_profile(THOROUGH if config.getoption("--thorough") else FAST)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not import a folder of tests that the marks of this run leave out: `-m "not (browser or ...)"`."""
    if collection_path.parent != HERE or collection_path.name not in ("browser", "real"):
        return None
    left_out = re.search(rf"not \(.*\b{collection_path.name}\b.*\)", config.option.markexpr)
    return True if left_out else None


@pytest.fixture(scope="session", autouse=True)
def collected_tests_are_no_garbage() -> Iterator[None]:
    """Keep what was imported and collected out of garbage collections: each would look at two million objects."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


LONGEST = (
    "tests/orchestration/",
    "tests/test_whole_runs_simulated.py",
    "tests/test_limits_simulation.py",
    "tests/portions/",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no process waits at the end for another one's file."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


class _Scheduling(LoadFileScheduling):
    """A file's tests share a process; all tests of flows do, and so Prefect's server is started once."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return "tests/orchestration" if file.startswith("tests/orchestration/") else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> _Scheduling | None:
    """Take it for `--dist loadfile`."""
    return _Scheduling(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.fixture(params=JUMPS)
def jumping(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every clock turned by hand jumps, one way after the other: `pytestmark = pytest.mark.usefixtures("jumping")`."""
    monkeypatch.setattr(ManualClock, "jumps", JUMPS[request.param])


@pytest.fixture(scope="session")
def kills(request: pytest.FixtureRequest) -> int:
    count = request.config.getoption("--kills")
    assert isinstance(count, int)
    return count
