"""Output folders made up for tests of what reads them: the same columns a run writes."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from parquill.cost_range import CostRange
from parquill.errors import Stop
from parquill.results import (
    CostSource,
    ItemResult,
    Status,
    output_schema,
    part_name,
    result_table,
    write_part,
)
from parquill.storage import Storage
from parquill.summary import RowCounts, RunRecord, RunSummary, TokenCounts
from parquill.timeline import TimelineSample

START = dt.datetime(2026, 11, 22, 1, 0, tzinfo=dt.UTC)
ANSWER = pa.struct(
    [
        pa.field("caption", pa.string()),
        pa.field("tags", pa.list_(pa.string())),
        pa.field("mood", pa.string()),
        pa.field("people", pa.int64()),
        pa.field("outdoors", pa.bool_()),
    ]
)
KEPT = (pa.field("image_url", pa.string()), pa.field("title", pa.string()), pa.field("language", pa.string()))

OK = ItemResult(
    status=Status.OK,
    fingerprint=bytes(16),
    error_kind=None,
    error_message=None,
    answer={"caption": "A red kettle.", "tags": ["kettle", "red"], "mood": "calm", "people": 0, "outdoors": False},
    answer_text='{"caption": "A red kettle."}',
    attempts=1,
    model="google/gemma-3-4b-it",
    provider="DeepInfra",
    generation_id="gen-1",
    finish_reason="stop",
    prompt_tokens=310,
    completion_tokens=42,
    cached_tokens=0,
    cost_pico=14_080_000,
    cost_source=CostSource.ENDPOINT,
    estimated_pico=16_000_000,
    latency_ms=900,
    repairs=(),
    finished_at=int(START.timestamp() * 1_000_000),
)


def failed(kind: str, message: str, **changes: Any) -> ItemResult:
    """A row that failed."""
    values: dict[str, Any] = {
        "status": Status.FAILED, "error_kind": kind, "error_message": message, "answer": None, "answer_text": None,
        "finish_reason": None,
    }  # fmt: skip
    return dataclasses.replace(OK, **(values | changes))


def write_output(
    folder: Path,
    results: Sequence[ItemResult],
    columns: Mapping[str, Sequence[Any]] | None = None,
    *,
    key: pa.Field = pa.field("id", pa.string()),  # noqa: B008 - a value, never changed
    kept: Sequence[pa.Field] = KEPT,
    answer: pa.DataType = ANSWER,
    rows_per_part: int = 10_000,
) -> Storage:
    """Write results as an output folder; `columns` gives the key's and the kept columns' values."""
    storage = Storage.at(folder)
    storage.make_ready()
    schema = output_schema(key, kept, answer)
    given = dict(columns or {})
    given.setdefault(key.name, [f"row-{number:06d}" for number in range(len(results))])
    for field in kept:
        given.setdefault(field.name, [None] * len(results))
    copied = pa.table({field.name: pa.array(given[field.name], field.type) for field in (key, *kept)})
    for number, start in enumerate(range(0, len(results), rows_per_part)):
        chosen = results[start : start + rows_per_part]
        table = result_table(schema, copied.slice(start, len(chosen)), chosen, lambda values: pa.array(values, answer))
        write_part(
            storage, part_name("manifest", number), table, {"part_id": "p", "slice_digest": "d", "settings": "s"}
        )
    return storage


CAPTIONS: dict[str, tuple[str, list[str]]] = {
    "astronaut": (
        "An astronaut in an orange suit smiles before a flag and a model of a shuttle.",
        ["astronaut", "orange"],
    ),
    "brick": ("A brick wall in running bond, grey mortar between rough red bricks.", ["brick", "wall", "texture"]),
    "camera": ("A man in a dark coat looks through a film camera on a tripod in a park.", ["camera", "man", "park"]),
    "cell": ("A single cell with a bright rim on a dark ground, seen through a microscope.", ["cell", "microscope"]),
    "chelsea": ("A tabby cat looks past the camera; green eyes, white whiskers.", ["cat", "tabby", "portrait"]),
    "china": ("A many-storeyed pavilion with red columns stands on a hill above a lake.", ["pavilion", "lake", "red"]),
    "clock": ("A wall clock, blurred by movement; its hands cannot be read.", ["clock", "blurred"]),
    "coffee": (
        "A red cup of espresso on its saucer, a spoon beside it, on a table.",
        ["cup", "espresso", "red"],
    ),
    "grass": ("Short grass seen from above, blades in every direction.", ["grass", "texture"]),
    "gravel": ("Rounded grey gravel, stones of one to two centimetres.", ["gravel", "grey", "texture"]),
    "horse": ("The black silhouette of a walking horse, facing right, on white.", ["horse", "silhouette"]),
    "hubble_deep_field": ("Hundreds of small galaxies, yellow, red and blue, on black.", ["galaxies", "space"]),
    "price_tag": ("A price tag: espresso cup, red, EUR 13.75, with saucer, 80 ml.", ["price tag", "text"]),
    "receipt": ("A shop receipt with several items and a total at its foot.", ["receipt", "text"]),
    "retina": ("The back of an eye: an orange disc with branching vessels.", ["retina", "orange"]),
    "text": ("A page of handwriting on lined paper, partly in shadow.", ["handwriting", "paper"]),
}
"""What a good model would say of the sample pictures, by file name."""

LANGUAGES = {
    "English": "A {colour} {thing} stands on a wooden table beside a window, with soft light from the left.",
    "German": "Ein {thing} in {colour} steht auf einem Holztisch neben dem Fenster, das Licht fällt weich von links.",
    "Japanese": "窓のそばの木のテーブルに{colour}の{thing}が置かれ、左から柔らかい光が差している。",
    "Arabic": "{thing} {colour} على طاولة خشبية بجانب النافذة مع ضوء ناعم من اليسار.",
}
THINGS = ("kettle", "chair", "lamp", "bicycle", "teapot", "jacket", "radio", "globe", "violin", "basket")
COLOURS = ("red", "blue", "green", "black", "white", "yellow")
MOODS = ("calm", "lively", "sober", "playful")
_FAULTS = (
    ("timeout", "no reply within 60 s"),
    ("image_invalid", "image_url: the bytes are HTML, not a picture"),
    ("image_unreachable", "image_url: https://shop.example answered 404 Not Found"),
    ("moderated", "the provider declined: flagged for violence"),
    ("truncated", "the answer was cut off after 256 tokens"),
    ("invalid_answer", "answer.tags: 9 items, the schema allows 8"),
)


def night(
    rows: int, *, seed: int = 7, pictures: Sequence[str] = (), failing: float = 0.03
) -> tuple[list[ItemResult], dict[str, list[Any]]]:
    """A night's results that look like real ones, with the key's and the kept columns' values."""
    random = np.random.default_rng(seed)
    latency = random.lognormal(6.9, 0.45, rows)
    finished = np.sort(random.random(rows)) * max(60.0, rows / 9)
    results, columns = [], {"id": [], "image_url": [], "title": [], "language": []}
    for row in range(rows):
        language = list(LANGUAGES)[int(random.choice(4, p=(0.5, 0.3, 0.15, 0.05)))]
        thing, colour = THINGS[int(random.integers(10))], COLOURS[int(random.integers(6))]
        columns["id"].append(f"sku-{row:06d}")
        columns["image_url"].append(pictures[row % len(pictures)] if pictures else f"https://shop.example/p/{row}.jpg")
        columns["title"].append(f"{colour.capitalize()} {thing} no. {row}")
        columns["language"].append(language)
        moment = int((START.timestamp() + float(finished[row])) * 1_000_000)
        if random.random() < failing:
            kind, message = _FAULTS[int(random.choice(6, p=(0.4, 0.2, 0.2, 0.1, 0.05, 0.05)))]
            free = kind.startswith("image")
            figures = (
                {"attempts": 0, "prompt_tokens": 0, "completion_tokens": 0, "cost_pico": 0} if free else {"attempts": 4}
            )
            results.append(failed(kind, message, finished_at=moment, latency_ms=int(latency[row]), **figures))
            continue
        caption = LANGUAGES[language].format(thing=thing, colour=colour) * (1 + int(random.random() < 0.04) * 3)
        prompt, completion = int(random.normal(318, 14)), 20 + len(caption) // 3
        answer = {
            "caption": caption,
            "tags": [thing, colour, *(["table", "window", "light"][: int(random.integers(0, 4))])],
            "mood": MOODS[int(random.choice(4, p=(0.6, 0.2, 0.15, 0.05)))],
            "people": int(random.poisson(0.2)),
            "outdoors": bool(random.random() < 0.2),
        }
        results.append(
            dataclasses.replace(
                OK,
                answer=answer,
                answer_text=str(answer),
                provider=("DeepInfra", "Chutes", "Parasail")[int(random.choice(3, p=(0.7, 0.2, 0.1)))],
                prompt_tokens=prompt,
                completion_tokens=completion,
                cost_pico=prompt * 20_000 + completion * 40_000,
                estimated_pico=318 * 20_000 + 60 * 40_000,
                latency_ms=int(latency[row]),
                repairs=("code fence removed",) if random.random() < 0.06 else (),
                finished_at=moment,
                fingerprint=int(row).to_bytes(16, "big"),
            )
        )
    return results, columns


def record(results: Sequence[ItemResult], *, run_id: str = "2026-11-22T01-00-00Z", **changes: Any) -> RunRecord:
    """The record of the run that gave these results."""
    cost = sum(result.cost_pico or 0 for result in results)
    rows = [sum(result.status == status for result in results) for status in Status]
    seconds = max(60.0, len(results) / 9)
    kinds: dict[str, int] = {}
    for result in results:
        if result.error_kind:
            kinds[result.error_kind] = kinds.get(result.error_kind, 0) + 1
    summary = RunSummary(
        job="product-captions",
        run_id=run_id,
        started_at=START,
        rows=RowCounts(len(results), *rows, kept=len(results) // 8, reused=len(results) // 50),
        output="out/product-captions",
        seconds=seconds,
        requests=sum(result.attempts for result in results),
        cost_pico=cost,
        tokens=TokenCounts(
            sum(result.prompt_tokens or 0 for result in results),
            sum(result.completion_tokens or 0 for result in results),
        ),
        errors_by_kind=kinds,
        estimate=CostRange(cost * 102 // 100, cost * 94 // 100, cost * 110 // 100),
    )
    summary = dataclasses.replace(summary, **changes)
    steps = 200
    timeline = tuple(
        TimelineSample(
            t=seconds * step / steps,
            rows=len(results) * step // steps,
            cost_pico=cost * step // steps,
            tokens=(summary.tokens.prompt + summary.tokens.completion) * step // steps,
            in_flight=min(8 + step, 48) - (step % 7),
            limit=min(8 + step, 64) if step % 90 else 32,
            binds=("in flight", "requests/min", "requests/min", None)[min(step // 40, 3) if step % 11 else 3],
        )
        for step in range(steps + 1)
    )
    settings = {
        "name": "product-captions",
        "model": {"name": "google/gemma-3-4b-it", "endpoint": "openrouter", "max_tokens": 256, "temperature": 0.0},
        "limits": {"requests_per_minute": 600, "max_in_flight": "auto"},
        "budget": {"usd": "2.00", "per": "run"},
        "prompt": {"user": "Describe {{ title }} in {{ language }}."},
    }
    price = {"prompt": "0.00000002", "completion": "0.00000004", "source": "endpoint", "at": START.isoformat()}
    return RunRecord(summary, settings, price, {"parquill": "0.1.0", "python": "3.11.7"}, timeline)


STOPPED = {"stopped_by": Stop.BUDGET, "stop_message": "The budget of $2.00 is used up: $1.9987 spent."}
