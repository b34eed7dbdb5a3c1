"""`transformers serve` with Gemma 3's shape and tokenizer, tiny, its weights random: tokens, pictures, all commands."""

from __future__ import annotations

import base64
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from parquill.clock import SystemClock
from parquill.doctor import Health, examine
from parquill.job import ModelSettings
from parquill.planning.preparation import prepare
from parquill.tokens import TokenCounter
from tests.real import software
from tests.real.conftest import at, or_skip, whole_way
from tests.real.software import Server

pytestmark = [pytest.mark.real, pytest.mark.timeout(1200)]

SAMPLES = Path(__file__).parents[2] / "data" / "samples" / "pictures"
TEXTS = (
    "What is it?",
    "Was ist das, bitte?",
    "これは何ですか。",
    "  leading\n\nand blank lines  ",
    "😀 emoji and <b>marks</b>",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder, port = tmp_path_factory.mktemp("transformers"), software.free_port()
    with contextlib.ExitStack() as stack:
        with or_skip():
            tools = software.locked_environment("transformers", software.TORCH)
            model = software.tiny_gemma(tools)
            (folder / "gemma").symlink_to(model)
            command = [tools / "transformers", "serve", "gemma", "--host", "127.0.0.1", "--port", str(port)]
            command += ["--device", "cpu", "--log-level", "info"]
            environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
            started = software.serving(
                command, port, ready="Uvicorn running", log=folder / "serve.log", environ=environ, folder=folder
            )
            running = stack.enter_context(started)
        yield running


MODEL = {"name": "gemma", "max_tokens": 128, "temperature": 1.0}
"""Answers of ten random words on average; one of eleven is empty, and is asked again."""
REASKS = {"max_reasks": 5}


async def test_a_job_goes_through_it_from_doctor_to_verify(server: Server, tmp_path: Path) -> None:
    work = at(server, tmp_path, output=REASKS)
    work.write({"id": list("abcde"), "text": list(TEXTS)})
    summary = await whole_way(work, model=MODEL)
    assert set(work.column("cost_source")) == {"price"}
    assert summary.requests >= len(TEXTS)


async def test_text_and_pictures_are_counted_as_we_count_them(
    server: Server, tmp_path: Path, tokenizer_json: Path
) -> None:
    data = "data:image/jpeg;base64," + base64.b64encode((SAMPLES / "chelsea.jpg").read_bytes()).decode()
    pictures = [[data], *([] for _ in TEXTS[1:])]
    work = at(
        server, tmp_path, images={"root": str(SAMPLES), "send": "inline"}, prompt={"images_first": True}, output=REASKS
    )
    work.write({"id": list("abcde"), "text": list(TEXTS), "pictures": pictures})
    with_pictures: dict[str, Any] = {
        "manifest": {"path": str(work.manifest), "id_column": "id", "image_columns": ["pictures"]},
        "model": MODEL,
    }
    await work.run(**with_pictures)
    asking = prepare(work.job(**with_pictures), SystemClock()).asking
    counter = TokenCounter(ModelSettings(tokenizer=str(tokenizer_json)))
    counted = [counter.count(asking.request(text, (), None)).expected for text in TEXTS]
    tries = work.column("attempts")
    each = [total // count for total, count in zip(work.column("prompt_tokens"), tries, strict=True)]
    assert each[1:] == counted[1:]
    assert 256 <= each[0] - counted[0] <= 262
    await work.must_hold(**with_pictures)


async def test_the_doctor_sees_that_a_schema_is_not_heeded(server: Server, tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"sure": {"type": "boolean"}}, "required": ["sure"]}
    work = at(server, tmp_path, images={"root": str(SAMPLES)}, output={"schema": schema})
    work.write({"id": ["a"], "text": ["What is it?"], "pictures": [["chelsea.jpg"]]})
    manifest = {"path": str(work.manifest), "id_column": "id", "image_columns": ["pictures"]}
    diagnosis = await examine(work.job(manifest=manifest, model={**MODEL, "seed": 1}))
    found = {one.subject: one for one in diagnosis.findings}
    assert found["pictures as data: URL"].health is Health.WORKS
    assert "json_schema is taken, but not heeded" in " ".join(one.text for one in diagnosis.findings)
    assert diagnosis.requests <= 3
