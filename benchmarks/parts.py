"""How fast parts are made of results, written, merged, and planned from their footers.

python benchmarks/parts.py [PARTS] [ROWS_PER_PART] [FOLDER]
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from parquill.results import (
    CostSource,
    ItemResult,
    Status,
    merge_rows,
    not_attempted_table,
    output_schema,
    part_name,
    read_part,
    read_part_info,
    result_table,
    results_of,
    write_part,
)
from parquill.storage import Storage

ANSWER = pa.struct([("caption", pa.string()), ("tags", pa.list_(pa.string())), ("people", pa.int64())])
RESULT = ItemResult(
    status=Status.OK,
    fingerprint=bytes(16),
    error_kind=None,
    error_message=None,
    answer=None,
    answer_text=None,
    attempts=1,
    model="google/gemma-3-4b-it",
    provider="DeepInfra",
    generation_id=None,
    finish_reason="stop",
    prompt_tokens=310,
    completion_tokens=42,
    cached_tokens=0,
    cost_pico=7_880_000,
    cost_source=CostSource.ENDPOINT,
    estimated_pico=9_000_000,
    latency_ms=812,
    repairs=(),
    finished_at=1_790_000_000_000_000,
)


def made_up(rows: int) -> list[ItemResult]:
    """Results that differ as real ones do: text, ids and fingerprints compress badly."""
    chance = np.random.default_rng(7)
    results = []
    for row in range(rows):
        noise = chance.bytes(60).hex()
        answer = {"caption": f"A photo of {noise} on a table.", "tags": [noise[:8], "table"], "people": row % 5}
        changed = {"answer": answer, "answer_text": str(answer), "generation_id": f"gen-{noise[:20]}"}
        results.append(dataclasses.replace(RESULT, fingerprint=chance.bytes(16), **changed))
    return results


def timed(what: str, rows: int, work: Callable[[], Any]) -> Any:
    """Run `work` and print microseconds a row."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{what:<32} {wall / rows * 1e6:8.2f} us a row, CPU {cpu / rows * 1e6:.2f} us")
    return result


def measure(folder: Path, parts: int, rows: int) -> None:
    storage = Storage.at(folder)
    manifest = pa.table({"id": [f"row {row}" for row in range(rows)], "title": [f"title {row}" for row in range(rows)]})
    schema = output_schema(manifest.schema.field("id"), [manifest.schema.field("title")], ANSWER)
    results = made_up(rows)
    about = {"part_id": "p", "slice_digest": "d", "settings": "s", "job": "benchmark"}

    def to_arrow(answers: list[Any]) -> pa.Array:
        return pa.array(answers, ANSWER)

    encoded = timed("results encoded for the ledger", rows, lambda: [result.encode() for result in results])
    timed("results decoded", rows, lambda: [ItemResult.decode(raw) for raw in encoded])
    print(f"{'an encoded result':<32} {sum(map(len, encoded)) / rows:8.0f} bytes")
    table = timed("table of results", rows, lambda: result_table(schema, manifest, results, to_arrow))
    timed("table of rows not attempted", rows, lambda: not_attempted_table(schema, manifest, "why"))
    half = np.arange(0, rows, 2)
    fresh = results[: rows // 2]
    timed(
        "merge of kept and fresh halves",
        rows,
        lambda: merge_rows(schema, manifest, table.take(half), half, fresh, half[: len(fresh)] + 1, to_arrow),
    )
    timed("rows read back as results", rows, lambda: results_of(table))
    infos = timed(
        f"{parts} parts written",
        rows * parts,
        lambda: [write_part(storage, part_name("benchmark", number), table, about) for number in range(parts)],
    )
    print(f"{'a row in a part':<32} {infos[0].bytes / rows:8.0f} bytes")
    timed(f"{parts} footers read", rows * parts, lambda: [read_part_info(storage, info.name) for info in infos])
    timed("a part read", rows, lambda: read_part(storage, infos[0].name))
    fingerprints = ["fingerprint", "status"]
    timed("fingerprints of a part read", rows, lambda: read_part(storage, infos[0].name, fingerprints))


def main() -> None:
    parts, rows = (int(value) for value in [*sys.argv[1:3], *("50", "10000")[len(sys.argv[1:3]) :]])
    with tempfile.TemporaryDirectory(dir=sys.argv[3] if len(sys.argv) > 3 else None) as folder:
        measure(Path(folder), parts, rows)


if __name__ == "__main__":
    main()
