"""A vLLM that runs elsewhere or here, named in the environment; docs/local-models.md says how one is started."""

from __future__ import annotations

import base64
import os
import re
from pathlib import Path
from typing import Any

import pytest

from parquill.chat import ImagePart
from parquill.clock import SystemClock
from parquill.doctor import Health, examine
from parquill.job import ModelSettings
from parquill.planning.preparation import prepare
from parquill.tokens import TokenCounter
from tests.real.conftest import at
from tests.real.software import Server

ADDRESS = "PARQUILL_VLLM"
pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        ADDRESS not in os.environ,
        reason=f"{ADDRESS} names no running vLLM (http://127.0.0.1:8000); its environment has 3.5 GB",
    ),
]

SCHEMA = {
    "type": "object",
    "properties": {"kind": {"enum": ["cat", "house"]}, "sure": {"type": "boolean"}},
    "required": ["kind", "sure"],
    "additionalProperties": False,
}
OF_A_PICTURE = 260
"""256, two marks and two pairs of line breaks; a pair that meets another is one token less."""
SAMPLES = Path(__file__).parents[2] / "data" / "samples" / "pictures"


@pytest.fixture
def vllm() -> Server:
    return Server(os.environ[ADDRESS], Path(os.devnull))


def _with_pictures(work: Any) -> dict[str, Any]:
    return {"manifest": {"path": str(work.manifest), "id_column": "id", "image_columns": ["pictures"]}}


async def test_text_and_pictures_are_counted_as_we_count_them(
    vllm: Server, tmp_path: Path, tokenizer_json: Path
) -> None:
    data = "data:image/jpeg;base64," + base64.b64encode((SAMPLES / "chelsea.jpg").read_bytes()).decode()
    work = at(vllm, tmp_path, images={"root": str(SAMPLES), "send": "inline"})
    work.write({"id": ["none", "one"], "text": ["What is it?", "What is it?"], "pictures": [[], [data]]})
    settings = {**_with_pictures(work), "model": {"max_tokens": 8}, "prompt": {"images_first": True}}
    await work.run(**settings)
    asking = prepare(work.job(**settings), SystemClock()).asking
    counter = TokenCounter(ModelSettings(tokenizer=str(tokenizer_json)))
    requests = (asking.request("What is it?", parts, None) for parts in ((), (ImagePart(data),)))
    counted = [counter.count(request).expected for request in requests]
    each = [sum_ // tries for sum_, tries in zip(work.column("prompt_tokens"), work.column("attempts"), strict=True)]
    assert each == counted
    assert OF_A_PICTURE - 1 <= counted[1] - counted[0] <= OF_A_PICTURE
    await work.must_hold(**settings)


async def test_what_it_refuses_has_its_own_kind(vllm: Server, tmp_path: Path) -> None:
    """A picture's address it cannot reach is a 500 there, and no fault of the server's."""
    broken = "data:image/jpeg;base64," + base64.b64encode(b"\xff\xd8\xff\xe0" + bytes(400)).decode()
    work = at(vllm, tmp_path, images={"check": False, "send": "url"}, retry={"max_attempts": 2})
    pictures = [[], ["https://nowhere.invalid/a.jpg"], [broken]]
    work.write({"id": ["long", "away", "broken"], "text": ["word " * 6000, "What?", "What?"], "pictures": pictures})
    await work.run(**_with_pictures(work), model={"max_tokens": 8})
    assert work.column("error_kind") == ["context_overflow", "image_unreachable", "image_invalid"]


async def test_a_grammar_holds_the_model_to_the_schema(vllm: Server, tmp_path: Path) -> None:
    """Random weights fill the grammar's white space until they are cut, but say nothing else between."""
    work = at(vllm, tmp_path, output={"schema": SCHEMA})
    work.write({"id": ["a", "b", "c"], "text": ["One", "Two", "Three"]})
    await work.run(model={"max_tokens": 64, "temperature": 1.0})
    outcomes = zip(work.column("status"), work.column("finish_reason"), work.column("answer_text"), strict=True)
    for status, finish, text in outcomes:
        assert re.match(r'\s*{\s*"kind"\s*:', text)
        assert status == "ok" or finish == "length", text


async def test_the_doctor_knows_this_server(vllm: Server, tmp_path: Path) -> None:
    work = at(vllm, tmp_path, images={"root": str(SAMPLES), "send": "inline"}, output={"schema": SCHEMA})
    work.write({"id": ["a"], "text": ["What is it?"], "pictures": [["chelsea.jpg"]]})
    diagnosis = await examine(work.job(**_with_pictures(work)))
    found = {one.subject: one for one in diagnosis.findings}
    assert found["context"].text.startswith("4,096 tokens")
    assert found["pictures as data: URL"].health is Health.WORKS
    assert found["usage"].health is Health.WORKS
    assert diagnosis.requests <= 3
