"""What the gate costs and what it makes of a limit.

    python -m benchmarks.limits [seconds of wall time for the real clock, default 10]

Three parts: CPU microseconds for one request's reserve, admit and settle when nothing has to
wait (goal: under 10); known and unknown limits of simulated servers, with the share of the
limit that was used, the 429s, and the CPU time of one simulated hour; and the real clock and
event loop under a limit of 100 a second, kept on a fixed window by a counter in this process.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter

from parquill.budget import Budget
from parquill.clock import SystemClock
from parquill.job import LimitSettings
from parquill.limits import Gate, Need, Outcome, Reply
from tests.simulation.scenes import Scene, known, unknown

OK = Reply(Outcome.OK)
NEED = Need(tokens=1000, worst_pico=10**6, worst_tokens=2000)
PLENTY = LimitSettings(requests_per_minute=10**12, tokens_per_minute=10**12, requests_per_day=10**12)


async def cpu(limits: LimitSettings, requests: int = 20_000) -> float:
    """Return CPU microseconds a request: the best of five rounds, since others use the machine too."""
    rounds = []
    for _ in range(5):
        gate = Gate(limits, Budget(cap_pico=10**18, cap_tokens=10**15), SystemClock())
        began = time.process_time()
        for _ in range(requests):
            ticket = await gate.reserve(NEED)
            await gate.admit(ticket)
            gate.settle(ticket, cost_pico=900_000, tokens=1000, reply=OK)
        rounds.append((time.process_time() - began) / requests * 1e6)
    return min(rounds)


def simulate(name: str, scene: Scene, minutes: int, since: int) -> None:
    """Run a scene and print its figures from minute `since` on."""
    began = time.process_time()
    log = scene.world.run(minutes * 60)
    seconds = time.process_time() - began
    requests = sum(log.sent)
    print(
        f"{name:<34} {scene.limit:>9,.0f} {scene.fill(since, minutes):>7.1%} {sum(log.refused):>5} "
        f"{log.refusals():>7.2%} {max(log.waits) / (sum(log.waits) / len(log.waits)):>9.1f} "
        f"{seconds / minutes * 60:>8.1f} {seconds / requests * 1e6:>8.1f}"
    )


async def real_clock(seconds: float) -> None:
    """Keep 100 a second for a while, with 200 workers and answers after 50 ms."""
    gate = Gate(LimitSettings(requests_per_minute=6000), Budget(), SystemClock())
    by_second: Counter[int] = Counter()
    began, cpu_began = time.monotonic(), time.process_time()

    async def work() -> None:
        while time.monotonic() - began < seconds:
            ticket = await gate.reserve(NEED)
            await gate.admit(ticket)
            by_second[int(time.monotonic() - began)] += 1
            await asyncio.sleep(0.05)
            gate.settle(ticket, cost_pico=0, tokens=1000, reply=OK)

    await asyncio.gather(*(work() for _ in range(200)))
    full = [by_second[second] for second in range(1, int(seconds))]
    sent = sum(by_second.values())
    print(
        f"real clock, 6,000 a minute: {sum(full) / len(full):.1f} a second, at most {max(full)} in one; "
        f"{(time.process_time() - cpu_began) / sent * 1e6:.0f} us of CPU a request with workers and timers"
    )


def main(seconds: float = 10.0) -> None:
    """Print all figures."""
    print("CPU us a request, nothing waits (goal: under 10)")
    for name, limits in (("in flight and money", LimitSettings()), ("all limits", PLENTY)):
        print(f"  {name:<24} {asyncio.run(cpu(limits)):.1f}")
    print(
        f"\n{'simulated server':<34} {'limit':>9} {'fill':>7} {'429s':>5} {'share':>7} {'wait':>9} "
        f"{'s/hour':>8} {'us/req':>8}"
    )
    for kind in ("fixed", "sliding", "bucket", "quanta", "slots"):
        simulate(f"known, {kind}", known(kind, 1, limit=64 if kind == "slots" else 1200), 60, 1)
    simulate("known tokens, 10 % off, fixed", known("fixed", 1, limit=1200, by_tokens=True), 60, 1)
    for kind in ("fixed", "sliding", "bucket", "quanta", "slots"):
        simulate(f"unknown, {kind}, from minute 12", unknown(kind, 1, limit=64 if kind == "slots" else 1200), 60, 12)
    print("  wait: the longest as a multiple of the mean; s/hour: CPU for a simulated hour, server included\n")
    asyncio.run(real_clock(seconds))


if __name__ == "__main__":
    main(*(float(argument) for argument in sys.argv[1:2]))
