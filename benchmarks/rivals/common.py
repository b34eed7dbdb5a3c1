"""What the scripts of all rivals share: the rows, their messages, and the table that they leave.

Each is run as `python ask_X.py MANIFEST BASE_URL FOLDER` by the Python of an environment of its
own, so nothing of Parquill can be imported here.
"""

from __future__ import annotations

import atexit
import os
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

IN_FLIGHT = 256
MODEL = "google/gemma-3-4b-it"
MAX_TOKENS = 128
PROMPT_PRICE, COMPLETION_PRICE = 0.00000002, 0.00000004
"""USD a token, as the endpoint offers it."""


def arguments() -> tuple[list[dict[str, str]], str, Path]:
    """The rows, the endpoint's base URL, and a folder for what a rival writes."""
    return pq.read_table(sys.argv[1]).to_pylist(), sys.argv[2], Path(sys.argv[3])


def messages(row: dict[str, str]) -> list[dict[str, Any]]:
    """One row as the chat that everybody sends."""
    content = [
        {"type": "text", "text": row["text"]},
        {"type": "image_url", "image_url": {"url": row["image_url"]}},
    ]
    return [{"role": "user", "content": content}]


def write(folder: Path, rows: list[dict[str, str]], answers: list[str | None]) -> None:
    """Leave the answers, in the manifest's order, where the benchmark checks them."""
    ids = [row["id"] for row in rows]
    pq.write_table(pa.table({"id": ids, "answer_text": answers}), folder / "answers.parquet")


def _leave_peak() -> None:
    """Write this process's peak memory in MiB where the one that measures reads it (see `sides.py`)."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
    Path(os.environ["PARQUILL_BENCHMARK_PEAK"]).write_text(str(peak), encoding="utf-8")


if "PARQUILL_BENCHMARK_PEAK" in os.environ:
    atexit.register(_leave_peak)
