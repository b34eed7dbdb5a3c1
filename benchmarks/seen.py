"""What the endpoint itself saw of those who ask: its own notes, so that all sides are measured alike.

nginx notes each answer: the picture, when it was sent, and how long the request had been with it.
From that comes the rate in the steady middle of a run, without start and end; and how many
requests were with the endpoint at once. What a client in C (wrk, from Debian) reaches at the same endpoint
says how much of a missing rate is the endpoint's own and the machine's.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.sides import IN_FLIGHT, WORDS

_MIDDLE = (0.1, 0.9)
"""Of a run's answers: what comes before is the start, what comes after the end."""
_FLUSHED = 0.3
"""Seconds after which the endpoint has written down all that it answered."""

_WRK = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local asked = 0
function request()
  asked = asked + 1
  return wrk.format(nil, nil, nil, '{"model":"google/gemma-3-4b-it","max_tokens":128,"temperature":0.0,"messages":[' ..
    '{"role":"user","content":[{"type":"text","text":"Describe picture ' .. asked .. '. Context: @WORDS@"}]}]}')
end
"""


@dataclass(frozen=True)
class Seen:
    """A run as its endpoint saw it."""

    answers: int
    steady: float
    """Answers a second in the middle of the run."""
    seconds: float
    """What a request took there on average, from its first byte to the answer's last."""

    @property
    def at_once(self) -> float:
        """Requests that were with the endpoint, on average, in the middle of the run."""
        return self.steady * self.seconds


class Notes:
    """The endpoint's notes, as a file that grows."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def position(self) -> int:
        """Where the next answer will be noted; all before is written down."""
        time.sleep(_FLUSHED)
        return self._path.stat().st_size if self._path.exists() else 0

    def since(self, position: int) -> Seen | None:
        """What was noted from `position` on; None where that is too little to speak of."""
        self.position()
        with self._path.open(encoding="ascii") as file:
            file.seek(position)
            noted = [tuple(map(float, line.split()[-2:])) for line in file]
        if len(noted) < 10 * IN_FLIGHT:
            return None
        at = sorted(when for when, _ in noted)
        first, last = (int(len(at) * share) for share in _MIDDLE)
        steady = (last - first) / (at[last] - at[first])
        return Seen(len(at), steady, sum(seconds for _, seconds in noted) / len(noted))


def wrk(base_url: str, seconds: float) -> None:
    """Have the C client ask for a while, on one thread and as many connections as all have in flight."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_WRK.replace("@WORDS@", f"{WORDS} {WORDS} {WORDS}"))
        script.flush()
        options = ["-t", "1", "-c", str(IN_FLIGHT), "-d", f"{seconds:.0f}s", "--timeout", "30s", "-s", script.name]
        command = ["wrk", *options, f"{base_url}/chat/completions"]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)


def has_wrk() -> bool:
    """Whether the C client is installed."""
    return shutil.which("wrk") is not None
