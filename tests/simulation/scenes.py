"""Servers and traffic drawn from a seed, and what a good client gets out of them."""

from __future__ import annotations

import random
from dataclasses import dataclass

from parquill.job import LimitSettings
from tests.simulation.servers import Bucket, FixedWindow, Quanta, Server, SlidingLog, Slots
from tests.simulation.world import Traffic, World

KINDS = ("fixed", "sliding", "bucket", "quanta", "slots")


@dataclass
class Scene:
    """A world whose server has `limit` (a minute; for slots at once)."""

    world: World
    server: Server
    limit: float

    def fill(self, start: int, end: int) -> float:
        """Share of what the server gives that was used in minutes `start` to `end`.

        Of slots, a share is always on the way; only the rest counts.
        """
        log, limit, traffic = self.world.log, self.server.limit, self.world.traffic
        if not self.server.slots:
            return log.fill(limit, start, end)
        on_the_way = 2 * traffic.delay + traffic.jitter
        busy = sum(log.busy[start:end]) / (60.0 * limit * (end - start))
        return busy * (traffic.latency + on_the_way) / traffic.latency

    def step(self, factor: float) -> None:
        """Change the server's limit."""
        self.server.limit *= factor


def make_server(kind: str, limit: float, rng: random.Random, *, hint: bool = False) -> Server:
    """Make a server of `kind` at a random phase."""
    if kind == "fixed":
        return FixedWindow(limit, phase=rng.random() * 60, hint=hint)
    if kind == "sliding":
        return SlidingLog(limit, hint=hint)
    if kind == "bucket":
        return Bucket(limit, seconds=rng.choice([2, 5, 10]), hint=hint)
    if kind == "quanta":
        return Quanta(limit, phase=rng.random(), hint=hint)
    return Slots(limit, hint=hint)


def known(kind: str, seed: int, *, limit: float | None = None, by_tokens: bool = False) -> Scene:
    """A limit that the job tells."""
    rng = random.Random(seed)
    if limit is None:
        limit = rng.randint(16, 120) if kind == "slots" else 60 * rng.randint(5, 40)
    traffic = Traffic(latency=rng.choice([1.0, 2.3]), jitter=0.003 if kind == "quanta" else rng.choice([0.02, 0.18]))
    traffic.lost = rng.choice([0.0, 0.01])
    settings = LimitSettings(requests_per_minute=int(limit))
    if by_tokens:
        traffic.token_spread, traffic.error = 0.6, 0.1
        limit *= traffic.tokens
        settings = LimitSettings(tokens_per_minute=int(limit))
    elif kind == "slots":
        settings = LimitSettings(max_in_flight=int(limit))
    server = make_server(kind, limit, rng)
    return Scene(World(settings, server, seed=seed, traffic=traffic, by_tokens=by_tokens), server, limit)


def unknown(kind: str, seed: int, *, limit: float | None = None, hint: bool | None = None) -> Scene:
    """A limit that is not announced; a whole number for each second, also when it is halved."""
    rng = random.Random(seed)
    if limit is None:
        limit = rng.randint(20, 120) if kind == "slots" else 120 * rng.randint(5, 20)
    traffic = Traffic(
        latency=rng.choice([2.3, 5.0] if limit > 64 and kind == "slots" else [1.0, 2.3, 5.0]),
        jitter=0.003 if kind == "quanta" else rng.choice([0.02, 0.1]),
        lost=rng.choice([0.0, 0.01]),
        waiting=1200,
    )
    server = make_server(kind, limit, rng, hint=rng.random() < 0.5 if hint is None else hint)
    return Scene(World(LimitSettings(), server, seed=seed, traffic=traffic), server, limit)
