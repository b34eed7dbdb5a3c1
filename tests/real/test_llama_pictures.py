"""Pictures through llama.cpp: decoded, shrunk and counted for real by a tower that sees noise."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from parquill.chat import ImagePart
from parquill.clock import SystemClock
from parquill.doctor import Health, examine
from parquill.job import ModelSettings
from parquill.planning.preparation import prepare
from parquill.tokens import TokenCounter
from tests.real.conftest import at
from tests.real.software import Server
from tests.real.texts import SCHEMA

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

OF_A_PICTURE = 258
"""256 and a mark before and after."""
LINE_BREAKS = 4
"""Gemma's own processor, whose way we count, puts two line breaks before a picture and two after it."""
SAMPLES = Path(__file__).parents[2] / "data" / "samples" / "pictures"


async def test_each_picture_is_258_tokens_in_every_form_and_the_schema_holds(
    seeing_llama: Server, tmp_path: Path, tokenizer_json: Path
) -> None:
    pictures = [SAMPLES / "chelsea.jpg", SAMPLES / "china.jpg"]
    as_data = "data:image/jpeg;base64," + base64.b64encode(pictures[0].read_bytes()).decode()
    work = at(seeing_llama, tmp_path, output={"schema": SCHEMA}, images={"root": str(SAMPLES), "send": "inline"})
    forms = [[], [str(pictures[0])], [as_data], [str(pictures[0]), str(pictures[1])]]
    work.write(
        {"id": ["none", "path", "data", "two"], "text": ["Tag it.", "Tag it.", "Tag me.", "Tag it."], "pictures": forms}
    )
    settings: dict[str, Any] = {"manifest": {"path": str(work.manifest), "id_column": "id"}}
    settings["manifest"]["image_columns"] = ["pictures"]
    example = {"user": "Tag it.", "answer": {"language": "en", "topic": "other", "urgent": False}}
    settings["prompt"] = {"user_column": "text", "examples": [example]}
    job = work.job(**settings)
    summary = await work.run(**settings)
    assert summary.exit_status == 0, work.column("error_message")
    none, path, data, two = work.column("prompt_tokens")
    assert (path - none, data - none, two - path) == (OF_A_PICTURE,) * 3
    counter, asking = TokenCounter(ModelSettings(tokenizer=str(tokenizer_json))), prepare(job, SystemClock()).asking
    assert counter.count(asking.request("Tag it.", (), None)).expected == none
    seen = counter.count(asking.request("Tag it.", (ImagePart(as_data),), None))
    assert path <= seen.expected <= path + LINE_BREAKS
    assert seen.upper >= path
    for text in work.column("answer_text"):
        jsonschema.validate(json.loads(text), SCHEMA)
    await work.must_hold(**settings)


async def test_a_broken_picture_fails_its_own_row_only(seeing_llama: Server, tmp_path: Path) -> None:
    work = at(seeing_llama, tmp_path, images={"check": False})
    broken = "data:image/jpeg;base64," + base64.b64encode(b"\xff\xd8\xff\xe0" + bytes(400)).decode()
    work.write({"id": ["broken", "well"], "text": ["What is it?", "Hello"], "picture": [broken, None]})
    summary = await work.run(
        manifest={"path": str(work.manifest), "id_column": "id", "image_columns": ["picture"]}, model={"max_tokens": 8}
    )
    assert work.column("error_kind")[0] == "image_invalid"
    assert summary.rows.total == 2


async def test_the_doctor_sees_that_it_sees(seeing_llama: Server, tmp_path: Path) -> None:
    work = at(seeing_llama, tmp_path)
    data = (
        "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAIAAAAlC+aJAAAAT0lEQVR42u3PQQkAAAgEsEty/aMYywi+hcEKLNO+"
    )
    data += "FgEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQGBywLKp0DxvxLbjwAAAABJRU5ErkJggg=="
    work.write({"id": ["a"], "text": ["What is it?"], "picture": [data]})
    manifest = {"path": str(work.manifest), "id_column": "id", "image_columns": ["picture"]}
    diagnosis = await examine(work.job(manifest=manifest))
    pictures = diagnosis.of("pictures as data: URL")
    assert pictures is not None
    assert pictures.health is Health.WORKS, pictures
