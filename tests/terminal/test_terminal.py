"""The live view on a real terminal, as tmux shows it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.terminal.scenes import BUSY

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed (apt install tmux)")


class Terminal:
    """A tmux server of its own with one window."""

    def __init__(self, folder: Path, columns: int, command: str) -> None:
        self._tmux = ["tmux", "-S", str(folder / "tmux"), "-f", "/dev/null"]
        # The window tells when the scene has ended; until then it is looked at, never waited for by time.
        self.run("new-session", "-d", "-x", str(columns), "-y", "30", f"{command}; tmux wait-for -S ended; cat")

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._tmux, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
        )
        return done.stdout

    def screen(self, until: str) -> list[str]:
        """Return the screen's lines once `until` is on it."""
        deadline = time.monotonic() + 20
        while until not in (text := self.run("capture-pane", "-p")):
            assert time.monotonic() < deadline, text
        return [line.rstrip() for line in text.splitlines() if line.strip()]


@pytest.fixture
def terminal(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Terminal]:
    columns, scene = request.param
    window = Terminal(tmp_path, columns, f"env -u COLUMNS -u LINES {sys.executable} -m tests.terminal.scenes {scene}")
    yield window
    window.run("kill-server")


@pytest.mark.parametrize(
    "terminal", [(50, "busy"), (80, "busy"), (160, "busy")], indirect=True, ids=["50", "80", "160"]
)
def test_the_live_panel_stands_below_whole_log_lines(terminal: Terminal) -> None:
    lines = terminal.screen(until="holds the run back")
    assert lines[:4] == [
        *(f"INFO log line {number} beside the panel" for number in range(3)),
        "a line that was printed",
    ]
    panel = lines[4:]
    assert panel[0].startswith(BUSY.job)
    assert panel[0].endswith("0:12:41")
    assert "61 %" in panel[1]
    assert len(panel[0]) == len(max(panel, key=len)) == int(terminal.run("display", "-p", "#{pane_width}"))
    assert sum(BUSY.job in line for line in lines) == 1


@pytest.mark.parametrize("terminal", [(80, "busy")], indirect=True, ids=["80"])
def test_the_panel_goes_when_the_run_ends_and_the_log_stays(terminal: Terminal) -> None:
    terminal.screen(until="holds the run back")
    terminal.run("send-keys", "Enter")
    terminal.run("wait-for", "ended")
    lines = terminal.screen(until="a line that was printed")
    assert "INFO log line 2 beside the panel" in lines
    assert not any("holds the run back" in line for line in lines)


@pytest.mark.parametrize("terminal", [(80, "stopped")], indirect=True, ids=["80"])
def test_the_closing_table_stays_on_the_screen(terminal: Terminal) -> None:
    lines = terminal.screen(until="Output: out/product-captions")
    assert lines[0].strip() == "product-captions  stopped: the budget is used up  after 19 min"
