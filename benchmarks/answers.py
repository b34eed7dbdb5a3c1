"""How long an answer takes from the model's text to a checked value: `python -m benchmarks.answers`.

Prints the median of repeated rounds, in microseconds for each answer. The bar is 25 us for a
clean answer of the caption schema: 40,000 a second on one core, far above what endpoints send.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import orjson

from parquill.answers import AnswerSchema, OutputMode, load_answer_schema
from parquill.chat import ChatCompletion
from parquill.job import OutputSettings

BAR_MICROSECONDS = 25.0

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "caption": {"type": "string", "maxLength": 300},
        "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 10},
        "dominant_colours": {"type": "array", "items": {"type": "string"}},
        "contains_text": {"type": "boolean"},
        "language": {"enum": ["en", "de", "fr", "es", "zh", "ar"]},
    },
    "required": ["caption", "tags", "dominant_colours", "contains_text", "language"],
    "additionalProperties": False,
}
VALUE = {
    "caption": "A red bicycle leans against a brick wall beside a shop window with a hand-painted sign that says "
    '"Café Zoë", in soft morning light; two cats sleep on the step and a newspaper lies on the pavement.',
    "tags": ["bicycle", "brick wall", "street", "shop", "sign", "cat", "newspaper"],
    "dominant_colours": ["red", "brown", "cream"],
    "contains_text": True,
    "language": "en",
}
CLEAN = orjson.dumps(VALUE).decode()
TEXTS = {
    "clean": CLEAN,
    "clean, \\u escapes": CLEAN.replace("é", "\\u00e9"),
    "fenced": f"Here is the JSON:\n```json\n{CLEAN}\n```",
    "trailing comma": CLEAN[:-1] + ",}",
    "python literals": str(VALUE),
}


def microseconds(work: Callable[[], object], rounds: int = 15, calls: int = 400) -> float:
    """Return the median over rounds of the mean time of one call."""
    means = []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(calls):
            work()
        means.append((time.perf_counter() - start) / calls * 1e6)
    return statistics.median(means)


def parse_time(shape: AnswerSchema, text: str) -> float:
    """Return the microseconds that one parse of `text` takes; the answer has to be ok."""
    completion = ChatCompletion("gen-1", "google/gemma-3-4b-it", "DeepInfra", text, (), "stop", None)
    assert shape.parse(completion, OutputMode.JSON_SCHEMA).ok, text
    return microseconds(lambda: shape.parse(completion, OutputMode.JSON_SCHEMA))


def main() -> None:
    """Print one line for each kind of text, and one for writing."""
    shape = load_answer_schema(OutputSettings(path="out", schema=SCHEMA))
    for name, text in TEXTS.items():
        print(f"parse and validate, {name:<20} {parse_time(shape, text):8.1f} us")
    column = microseconds(lambda: shape.to_arrow([VALUE] * 10_000), rounds=3, calls=1) / 10_000
    print(f"to Arrow, of 10,000 rows{'':<17} {column:8.1f} us")
    print(f"bar for a clean answer{'':<19} {BAR_MICROSECONDS:8.1f} us")


if __name__ == "__main__":
    main()
