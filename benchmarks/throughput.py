"""Requests a second, and CPU for each thousand: `parquill run`, a bare aiohttp loop, the rivals.

All ask the same endpoint in turn, each in a process of its own on uvloop: the bare loop with no
limits and no books, rows appended to a list; Parquill with everything on (limits, budget, ledger,
typed answers, parts); the rivals as their makers advise, with the checkpoint, the limiter and the
cap that they have, for plain text, which costs them less than Parquill's typed answers. Start-up
is taken out by a run of 100 rows, from wall and CPU alike. Then peak memory at several sizes.

    python -m benchmarks.throughput [--rows 20000] [--rival-rows 5000] [--latency 0 0.2] [--rounds 3]
                                    [--sides bare parquill flexllm …] [--memory 10000 100000]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from dataclasses import astuple
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.endpoint import endpoint, kind
from benchmarks.environments import RIVALS, command
from benchmarks.sides import IN_FLIGHT, Spent, clear, job, manifest, measure, side

START = 100
"""Rows of the run whose cost is a side's start-up."""
OWN = ("bare", "parquill")
SIDES = (*OWN, *RIVALS)


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
    spent: dict[str, list[Spent]] = {name: [] for name in sizes}
    answered: dict[str, int | None] = {}
    with endpoint(latency) as base_url:
        for _ in range(rounds):
            for name, rows in sizes.items():
                start, _ = ask(name, folder, START, base_url)
                whole, found = ask(name, folder, rows, base_url)
                spent[name].append(whole.without(start))
                seen = f"{whole.wall - start.wall:.1f} s, {whole.cpu - start.cpu:.1f} CPU s"
                print(f"{time.strftime('%H:%M:%S')} {name}: {seen}, load {os.getloadavg()[0]:.1f}", flush=True)
                answered[name] = rows if found is None else min(found, answered.get(name) or rows)
    show(spent, sizes, answered, latency)


def show(spent: dict[str, list[Spent]], sizes: dict[str, int], answered: dict[str, int | None], latency: float) -> None:
    """Print one line for each side: medians of the rounds, ratios to the bare loop's."""
    rounds = len(next(iter(spent.values())))
    print(f"\n{latency * 1000:g} ms latency, {IN_FLIGHT} in flight, medians of {rounds}, endpoint: {kind()}")
    heads = f"{'rows':>8}{'req/s':>8}{'% ideal':>9}{'CPU s/1,000':>13}{'range':>15}{'x bare':>8}{'MiB':>6}"
    print(f"{'':32}{heads}{'answered':>10}")
    floor = 0.0
    for name, rows in sizes.items():
        wall, _, peak = (statistics.median(column) for column in zip(*map(astuple, spent[name]), strict=True))
        each = sorted(one.cpu / (rows - START) * 1000 for one in spent[name])
        cpu, rate = statistics.median(each), (rows - START) / wall
        floor = cpu if name == "bare" else floor
        ideal = f"{100 * rate * latency / IN_FLIGHT:.1f}" if latency else "-"
        times = f"{cpu / floor:.2f}" if floor else "-"
        print(
            f"{name:32}{rows:>8,}{rate:>8,.0f}{ideal:>9}{cpu:>13.3f}{f'{each[0]:.3f}-{each[-1]:.3f}':>15}"
            f"{times:>8}{peak:>6.0f}{answered[name]:>10,}"
        )


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
