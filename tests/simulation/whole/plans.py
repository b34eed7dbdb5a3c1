"""What a seed draws."""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import dataclass, field, replace
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
    """Draw a plan; the same seed draws the same.

    Four in ten plans are bent towards what is rare by chance and has hidden faults before: a day that turns while
    rows are asked, a midnight hour that comes twice, rows whose time runs out between two tries.
    """
    rng = random.Random(seed)
    plan = _drawn(seed, rng)
    bend = rng.choice([None] * 6 + [_over_midnight, _over_midnight, _in_repeated_hour, _with_little_time])
    return plan if bend is None else bend(rng, plan)


def _drawn(seed: int, rng: random.Random) -> Plan:
    count = rng.randint(4, 32)
    kinds = max(2, round(count * rng.choice([0.4, 0.8, 1.0])))
    texts = [f"thing number {rng.randrange(kinds)}" for _ in range(count)]
    zone, night = rng.choice(_NIGHTS)
    start = _at(night) + rng.choice([0.0, rng.uniform(0, DAY)])
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


def _over_midnight(rng: random.Random, plan: Plan) -> Plan:
    """A day's cap, and a clock that jumps over the day's end, and sometimes back, before the cap is used up.

    The machine sleeps, or its clock is set. No rate is limited, so that no timer of the gate's tells it the time.
    """
    zone, night = rng.choice(_NIGHTS)
    by_requests = rng.random() < 0.5
    rows = rng.randint(12, 32)
    each = rng.randint(3, rows // 3)
    limits = {"max_in_flight": rng.randint(1, 3), "wait": rng.random() < 0.8}
    budget: dict[str, Any] = {}
    if by_requests:
        zone, night = "UTC", "2026-11-30T23:58"
        limits["requests_per_day"] = each
    else:
        budget = {"usd": _usd(WORST * each), "per": "day", "timezone": zone}
    latency = rng.choice([1.0, 10.0])
    takes = latency * rows / limits["max_in_flight"]
    jumps = [(rng.uniform(0, takes / 2), rng.choice([300.0, HOUR, 8 * HOUR, DAY]))]
    if rng.random() < 0.3:  # set back again, while it runs
        jumps.append((rng.uniform(takes / 2, takes), -jumps[0][1]))
    return replace(
        plan,
        texts=[f"thing number {row}" for row in range(rows)],
        sections={**plan.sections, "limits": limits, "budget": budget},
        workers=1,
        start=_at(night) + rng.uniform(0, 100),
        faults=dict(list(plan.faults.items())[:1]),
        latency=latency,
        lives=[Life(jumps=jumps, pause=rng.choice([65.0, HOUR])), *plan.lives[1:]],
    )


def _in_repeated_hour(rng: random.Random, plan: Plan) -> Plan:
    """A day's budget that is spent in a midnight hour, and processes that begin when this hour comes again."""
    zone, night = rng.choice([one for one in _NIGHTS if one[0] in ("Atlantic/Azores", "America/Havana")])
    rows = rng.randint(8, 24)
    budget = {"usd": _usd(WORST * rng.randint(2, max(3, rows // 3))), "per": "day", "timezone": zone}
    limits = {"max_in_flight": rng.randint(1, 4), "wait": False}
    lives = [Life(pause=rng.choice([900.0, 900.0, 1800.0, HOUR])) for _ in range(rng.randint(2, 4))]
    return replace(
        plan,
        texts=[f"thing number {row}" for row in range(rows)],
        sections={**plan.sections, "limits": limits, "budget": budget},
        start=_at(night) + rng.uniform(0, 1200),
        lives=lives,
    )


def _with_little_time(rng: random.Random, plan: Plan) -> Plan:
    """Rows that have a second or a few, at an endpoint that fails at once or asks for patience."""
    kinds = rng.sample(["server_error", "overloaded", "throttled", "error_in_200", "unsent", "timeout"], 2)
    retry = {"max_attempts": rng.randint(3, 6), "deadline_seconds": rng.choice([1.0, 2.0, 4.0])}
    return replace(
        plan,
        sections={**plan.sections, "retry": retry, "budget": {}, "limits": {"max_in_flight": rng.randint(1, 6)}},
        faults={name: rng.choice([0.3, 0.6]) for name in kinds},
        latency=rng.choice([0.05, 0.2]),
    )


def _at(time: str) -> float:
    return dt.datetime.fromisoformat(time).replace(tzinfo=dt.UTC).timestamp()


def _usd(pico: int) -> str:
    return f"{pico / 10**12:.12f}"


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
    return {"usd": _usd(pico), "per": kind, "timezone": zone}


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
