"""`make bench`: every benchmark in turn, each in a process of its own, in its short form.

python -m benchmarks [NAME …]
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from importlib.metadata import version

SHORT: dict[str, list[str]] = {
    "throughput": ["--rows", "5000", "--rival-rows", "500", "--latency", "0", "--rounds", "2", "--memory", "10000"],
    "throughput --latency 0.2": ["--sides", "wrk", "bare", "parquill", "--rows", "10000", "--rounds", "2"],
    "kills": ["--rows", "5000", "--kills", "2"],
    "start": ["3"],
    "limits": [],
    "ledger": [],
    "parts": [],
    "planning": ["100000"],
    "answers": [],
    "tokens": [],
    "estimate": [],
    "intervals": ["30"],
    "images": [],
    "emulator": [],
}
"""The words each is started with, and what more it is given here; run one by itself for its other options."""


def main(names: list[str]) -> int:
    """Run the named benchmarks, or all that there are; the number that failed."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("parquill", "aiohttp", "uvloop", "pyarrow", "orjson"))
    print(f"Python {platform.python_version()}, {packages}; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    failed, started = 0, time.perf_counter()
    for name in names or SHORT:
        print(f"\n== {name}", flush=True)
        command = [sys.executable, "-m", *f"benchmarks.{name}".split(), *SHORT.get(name, [])]
        began = time.perf_counter()
        status = subprocess.run(command, check=False).returncode
        failed += status != 0
        print(
            f"== {name}: {time.perf_counter() - began:.0f} s{f', FAILED with {status}' if status else ''}", flush=True
        )
    print(f"\n{time.perf_counter() - started:.0f} s in all, {failed} failed, load {os.getloadavg()[0]:.1f}")
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
