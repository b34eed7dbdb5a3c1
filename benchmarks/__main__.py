"""`make bench`: every benchmark in turn, each in a process of its own, in its short form.

python -m benchmarks [NAME …]
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

SHORT: dict[str, list[str]] = {
    "throughput": ["--rows", "5000", "--rival-rows", "500", "--latency", "0", "--memory", "10000"],
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
"""What each is given here; run one by itself for its other options."""


def main(names: list[str]) -> int:
    """Run the named benchmarks, or all that there are; the number that failed."""
    here = Path(__file__).parent
    packages = ", ".join(f"{name} {version(name)}" for name in ("parquill", "aiohttp", "uvloop", "pyarrow", "orjson"))
    print(f"Python {platform.python_version()}, {packages}; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    failed = 0
    for name in names or [name for name in SHORT if (here / f"{name}.py").exists()]:
        print(f"\n== {name}", flush=True)
        command = [sys.executable, "-m", f"benchmarks.{name}", *SHORT.get(name, [])]
        failed += subprocess.run(command, check=False).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
