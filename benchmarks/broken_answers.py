"""What becomes of 140 broken answers here and with three libraries: `python -m benchmarks.broken_answers`.

The answers are those of `tests/broken_answers.py`. Of 70 with one meaning, a library gives the right value or nothing
(the answer has to be asked again, and paid again); of 70 with a doubt, it gives nothing. Any other value that fits the
schema is a wrong one. What does not fit the schema counts as nothing: its caller would validate it.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema

from benchmarks.environments import SCRIPTS, rival_python
from parquill.answers import OutputMode, load_answer_schema
from parquill.chat import ChatCompletion, ToolCall
from parquill.job import OutputSettings
from tests.broken_answers import ANSWERS, NO_MEANING, ONE_MEANING, SCHEMAS, Broken

_SHAPES = {name: load_answer_schema(OutputSettings(path="out", schema=schema)) for name, schema in SCHEMAS.items()}
_CHECKS = {
    name: jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    for name, schema in SCHEMAS.items()
}


def read_here(one: Broken) -> Any:
    """Return what Parquill reads; None where the answer is asked again."""
    calls = (ToolCall("answer", one.call),) if one.call is not None else ()
    completion = ChatCompletion("gen-1", "m", "p", one.text, calls, one.finish_reason, None)
    return _SHAPES[one.schema].parse(completion, OutputMode.PROMPT).value


def read_elsewhere() -> dict[str, Any]:
    """Return what the libraries read, each in one environment of their own."""
    answers = [
        {"schema": one.schema, "text": one.text, "call": one.call, "finish_reason": one.finish_reason}
        for one in ANSWERS
    ]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder) / "work.json"
        work.write_text(json.dumps({"schemas": SCHEMAS, "answers": answers}))
        command = [str(rival_python("answers")), str(SCRIPTS / "read_answers.py"), str(work), folder]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def score(values: Sequence[Any]) -> tuple[int, int, int, int]:
    """Return how many are right, asked again though they have one meaning, asked again rightly, and wrong."""
    given = [
        value if value is not None and _CHECKS[one.schema].is_valid(value) else None
        for one, value in zip(ANSWERS, values, strict=True)
    ]
    meant = given[: len(ONE_MEANING)]
    right = sum(value is not None and value == one.means for one, value in zip(ONE_MEANING, meant, strict=True))
    again = meant.count(None)
    rightly = given[len(ONE_MEANING) :].count(None)
    return right, again, rightly, len(given) - right - again - rightly


def main() -> None:
    """Print one line for each library."""
    rows = [("Parquill", [read_here(one) for one in ANSWERS])]
    rows += [(f"{name} {one['version']}", one["values"]) for name, one in read_elsewhere().items()]
    heads = (
        f"right, of {len(ONE_MEANING)}",
        "again",
        f"again rightly, of {len(NO_MEANING)}",
        f"wrong, of {len(ANSWERS)}",
    )
    print(f"{'':<36} {heads[0]:>12} {heads[1]:>7} {heads[2]:>21} {heads[3]:>15}")
    for name, values in rows:
        right, again, rightly, wrong = score(values)
        print(f"{name:<36} {right:>12} {again:>7} {rightly:>21} {wrong:>15}")


if __name__ == "__main__":
    main()
