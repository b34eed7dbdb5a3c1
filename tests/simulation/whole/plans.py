"""What a seed draws."""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import dataclass, field
from typing import Any

PRICE = 10**7
"""Pico-USD for a token, of prompts and answers alike."""
WORST = 45 * PRICE
"""About what a request can cost at most."""
MAX_TOKENS = 16
HOUR, DAY = 3600.0, 86_400.0

FAULTS = (
    "timeout", "reset", "unsent", "throttled", "server_error", "overloaded", "gateway_timeout", "error_in_200",
    "error_with_usage", "no_choices", "finish_error", "no_usage", "byok", "byok_untold", "more_tokens", "half_usage",
)  # fmt: skip

_NIGHTS = (
    # UTC times shortly before something happens to a zone's day.
    ("UTC", "2026-11-30T23:58"),
    ("Asia/Tokyo", "2026-11-30T14:58"),
    ("Atlantic/Azores", "2026-10-25T00:40"),
    ("America/Havana", "2026-11-01T04:40"),
    ("Asia/Beirut", "2026-03-28T21:58"),
    ("Europe/Berlin", "2026-10-25T22:58"),
    ("America/St_Johns", "2026-11-01T02:28"),
)


@dataclass(frozen=True)
class Life:
    """What happens to one process, and how long nothing runs after it."""

    turn: int | None = None
    """Of the loop, at which it is killed."""
    step: int | None = None
    """Of its disk or ledger, at which it is killed."""
    jumps: list[tuple[float, float]] = field(default_factory=list)
    pause: float = 90.0


@dataclass(frozen=True)
class Plan:
    """A job, the world that it meets, and the lives of its processes."""

    seed: int
    texts: list[str]
    sections: dict[str, Any]
    workers: int
    start: float
    faults: dict[str, float]
    """How often each comes, as a share of requests."""
    latency: float
    lives: list[Life]

    @property
    def kills(self) -> int:
        return sum(life.turn is not None or life.step is not None for life in self.lives)


def draw(seed: int) -> Plan:
    """Draw a plan; the same seed draws the same."""
    rng = random.Random(seed)
    count = rng.randint(4, 32)
    kinds = max(2, round(count * rng.choice([0.4, 0.8, 1.0])))
    texts = [f"thing number {rng.randrange(kinds)}" for _ in range(count)]
    zone, night = rng.choice(_NIGHTS)
    start = dt.datetime.fromisoformat(night).replace(tzinfo=dt.UTC).timestamp() + rng.choice([0.0, rng.uniform(0, DAY)])
    workers = rng.choice([1, 1, 1, 2])
    latency = rng.choice([0.05, 1.0, 1.0, 10.0])
    deadline = rng.choice([2.0, 10.0, 300.0])
    sections = {
        "output": {"rows_per_part": rng.randint(2, 12)},
        "limits": _limits(rng),
        "budget": _budget(rng, count, zone),
        "retry": {"max_attempts": rng.randint(1, 4), "deadline_seconds": max(deadline, 4 * latency)},
    }
    chosen = rng.sample(FAULTS, rng.randint(0, 5))
    faults = {name: rng.choice([0.05, 0.15, 0.3, 0.9]) for name in chosen}
    takes = latency * kinds / sections["limits"]["max_in_flight"]
    return Plan(seed, texts, sections, workers, start, faults, latency, _lives(rng, takes, back=workers == 1))


def _limits(rng: random.Random) -> dict[str, Any]:
    limits: dict[str, Any] = {"max_in_flight": rng.randint(1, 6)}
    if rng.random() < 0.3:
        limits["requests_per_minute"] = rng.randint(6, 40)
    if rng.random() < 0.3:
        limits["requests_per_day"] = rng.randint(3, 20)
    if rng.random() < 0.5:
        limits["wait"] = True
    return limits


def _budget(rng: random.Random, count: int, zone: str) -> dict[str, Any]:
    kind = rng.choice(["none", "run", "day", "day", "tokens"])
    if kind == "none":
        return {}
    if kind == "tokens":
        return {"tokens": rng.randint(60, 60 * count), "per": rng.choice(["run", "day"]), "timezone": zone}
    pico = WORST * rng.randint(2, max(3, count // 2))
    return {"usd": f"{pico / 10**12:.12f}", "per": kind, "timezone": zone}


def _lives(rng: random.Random, takes: float, *, back: bool) -> list[Life]:
    """`takes`: about how many seconds all rows take; most jumps come while they are asked."""
    lives = []
    for _ in range(rng.randint(1, 5)):
        turn = step = None
        how = rng.random()
        if how < 0.4:
            turn = int(rng.lognormvariate(5.0, 1.2)) + 1
        elif how < 0.7:
            step = rng.randint(1, 60)
        by = [HOUR, 8 * HOUR, DAY, 30.0] + ([-HOUR, -0.5, -30.0, -DAY, -2 * HOUR] if back else [])
        jumps = [
            (rng.choice([1.0, 1.0, 10.0]) * rng.uniform(0, takes), rng.choice(by))
            for _ in range(rng.choice([0, 0, 1, 2]))
        ]
        pause = rng.choice([65.0, 900.0, HOUR, HOUR, 7 * HOUR, DAY])
        lives.append(Life(turn, step, jumps, pause))
    return lives
