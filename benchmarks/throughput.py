"""Requests a second, and CPU for each thousand: `parquill run`, a bare aiohttp loop, the rivals, a C client.

All ask the same endpoint in turn, each in a process of its own on uvloop: the bare loop with no
limits and no books, rows appended to a list; Parquill with everything on (limits, budget, ledger,
typed answers, parts); the rivals as their makers advise, with the checkpoint, the limiter and the
cap that they have, for plain text, which costs them less than Parquill's typed answers. Start-up
is taken out by a run of 100 rows, from wall and CPU alike.

`steady` is the rate between the first and the last tenth of the answers, as the endpoint noted
them (see seen.py), so without any start or end; `at once`, how many requests were with the
endpoint then. `wrk`, a client in C that reads no answer, says what this endpoint on this machine
gives at all. Then peak memory at several sizes.

    python -m benchmarks.throughput [--rows 20000] [--rival-rows 5000] [--latency 0 0.2] [--rounds 3]
                                    [--sides wrk bare parquill flexllm …] [--memory 10000 100000]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from dataclasses import astuple, dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.endpoint import endpoint, kind
from benchmarks.environments import RIVALS, command
from benchmarks.seen import Notes, Seen, has_wrk, wrk
from benchmarks.sides import IN_FLIGHT, Spent, clear, job, manifest, measure, side

START = 100
"""Rows of the run whose cost is a side's start-up."""
SHORTEST = 3.0
"""Seconds after the start that a run must take for its rate to be told: taking a start away adds the noise of both."""
C_CLIENT = "wrk"
OWN = (C_CLIENT, "bare", "parquill")
SIDES = (*OWN, *RIVALS)


@dataclass
class Rounds:
    """What was measured of one side, round by round."""

    rows: int
    spent: list[Spent] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    answered: int | None = None
    """Rows that hold their own answer, in the worst round; None of who keeps none."""

    def middle(self, figure: str) -> float | None:
        """The median of what the endpoint saw; None where it takes no notes."""
        return statistics.median(getattr(one, figure) for one in self.seen) if self.seen else None


def ask(name: str, folder: Path, rows: int, base_url: str) -> tuple[Spent, int | None]:
    """One side asks once, from an empty output: what it took, and how many rows hold their own answer."""
    clear(folder)
    if name == "bare":
        return measure(side("bare", str(manifest(folder, rows)), base_url)), None
    if name == "parquill":
        job_file = folder / f"job-{rows}.json"
        job_file.write_text(json.dumps(job(folder, rows, base_url)))
        return measure(side("ours", str(job_file), "--quiet")), own_answers(folder / "out")
    left = folder / "rival"
    shutil.rmtree(left, ignore_errors=True)
    left.mkdir()
    return measure(command(RIVALS[name], manifest(folder, rows), base_url, left)), own_answers(left / "answers.parquet")


def own_answers(output: Path) -> int:
    """How many rows hold the answer to their own picture, which nginx names in each."""
    table = pq.read_table(output, columns=["id", "answer_text"])
    named = kind() == "nginx"
    return sum(
        text is not None and (not named or f"Picture {int(row_id.removeprefix('row-'))}:" in text)
        for row_id, text in zip(table["id"].to_pylist(), table["answer_text"].to_pylist(), strict=True)
    )


def compare(folder: Path, sizes: dict[str, int], latency: float, rounds: int) -> None:
    """Let all sides ask in turn, round by round, and print their medians."""
    sides = {name: Rounds(rows) for name, rows in sizes.items()}
    log = folder / f"noted-{latency}" if kind() == "nginx" else None
    with endpoint(latency, log) as base_url:
        notes = Notes(log) if log is not None else None
        for _ in range(rounds):
            for name, one in sides.items():
                if name == C_CLIENT:
                    position = notes.position() if notes else 0
                    wrk(base_url, max(5.0, one.rows * latency / IN_FLIGHT))
                else:
                    start, _ = ask(name, folder, START, base_url)
                    position = notes.position() if notes else 0
                    whole, found = ask(name, folder, one.rows, base_url)
                    one.spent.append(whole.without(start))
                    one.answered = found if one.answered is None or found is None else min(found, one.answered)
                    seen = f"{whole.wall - start.wall:.1f} s, {whole.cpu - start.cpu:.1f} CPU s"
                    print(f"{time.strftime('%H:%M:%S')} {name}: {seen}, load {os.getloadavg()[0]:.1f}", flush=True)
                if notes and (noted := notes.since(position)):
                    one.seen.append(noted)
    show(sides, latency)


def show(sides: dict[str, Rounds], latency: float) -> None:
    """Print one line for each side: medians of the rounds, ratios to the bare loop's."""
    rounds = max(len(one.spent) for one in sides.values())
    print(f"\n{latency * 1000:g} ms latency, {IN_FLIGHT} in flight, medians of {rounds}, endpoint: {kind()}")
    heads = f"{'rows':>8}{'req/s':>8}{'% ideal':>9}{'steady':>8}{'% ideal':>9}{'at once':>9}"
    print(f"{'':32}{heads}{'CPU s/1,000':>13}{'range':>15}{'x bare':>8}{'MiB':>6}{'answered':>10}")
    floor = 0.0
    for name, one in sides.items():
        steady, at_once = one.middle("steady"), one.middle("at_once")
        middle = f"{_number(steady)}{_share(steady, latency):>9}{_number(at_once if latency else None, 9)}"
        if not one.spent:
            print(f"{name:32}{'':>25}{middle}")
            continue
        wall, _, peak = (statistics.median(column) for column in zip(*map(astuple, one.spent), strict=True))
        each = sorted(spent.cpu / (one.rows - START) * 1000 for spent in one.spent)
        cpu, rate = statistics.median(each), (one.rows - START) / wall if wall >= SHORTEST else None
        floor = cpu if name == "bare" else floor
        times = f"{cpu / floor:.2f}" if floor else "-"
        answered = one.rows if one.answered is None else one.answered
        print(
            f"{name:32}{one.rows:>8,}{_number(rate)}{_share(rate, latency):>9}{middle}"
            f"{cpu:>13.3f}{f'{each[0]:.3f}-{each[-1]:.3f}':>15}{times:>8}{peak:>6.0f}{answered:>10,}"
        )


def _number(value: float | None, width: int = 8) -> str:
    return f"{'-' if value is None else format(value, ',.0f'):>{width}}"


def _share(rate: float | None, latency: float) -> str:
    """The share of what is possible at a latency, with all that may be in flight there all the time."""
    return "-" if rate is None or not latency else f"{100 * rate * latency / IN_FLIGHT:.1f}"


def main() -> None:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--rival-rows", type=int, default=5_000)
    parser.add_argument("--latency", type=float, nargs="*", default=[0.0, 0.2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sides", nargs="*", default=list(SIDES), choices=SIDES)
    parser.add_argument("--memory", type=int, nargs="*", default=[])
    options = parser.parse_args()
    if C_CLIENT in options.sides and not (has_wrk() and kind() == "nginx"):
        print("wrk or nginx is not installed: what a client in C reaches is not shown (apt-get install wrk)")
        options.sides.remove(C_CLIENT)
    sizes = {name: options.rows if name in OWN else options.rival_rows for name in options.sides}
    print(f"load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for latency in options.latency:
            compare(folder, sizes, latency, options.rounds)
        with endpoint(0.0) as base_url:
            for rows in options.memory:
                taken, answered = ask("parquill", folder, rows, base_url)
                print(
                    f"{rows:,} rows: peak {taken.peak:,.0f} MiB, {taken.wall:,.0f} s, {taken.cpu:,.0f} CPU s, "
                    f"{answered:,} answered, load {os.getloadavg()[0]:.1f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
