"""What the environment put into a job, and the key, are told by an endpoint in every way: no file holds them."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from parquill.job import Job, load_job, load_written
from tests.e2e.forked import ran
from tests.wire import reply, serving, then
from tests.wire import reset as reset_after

KEY = "Zm9v/YmFy+CANARY/abcdef=="
TOKEN, ROUTE, HOOK = "t0k3n-CANARY-0123456789", "route/CANARY+0123456789", "B0/CANARY-hook"


def job_in(folder: Path, url: str, **more: Any) -> Path:
    pq.write_table(pa.table({"id": ["a", "b"], "t": ["one", "two"]}), folder / "m.parquet")
    job: dict[str, Any] = {
        "name": "told",
        "manifest": {"path": "m.parquet", "id_column": "id"},
        "prompt": {"user_column": "t"},
        "output": {"path": "out", "keep_attempts": True},
        "model": {
            "endpoint": url.replace("/v1", "/${TOKEN}/v1"),
            "api_key_env": "CANARY_KEY",
            "provider": {"order": ["${ROUTE}", "$${kept}"]},
            "price": {"prompt": "0", "completion": "0"},
        },
        "nightly": {"notify": {"webhook": "https://hooks.example/${HOOK}"}},
        "retry": {"max_attempts": 1, "give_up_seconds": 2},
        **more,
    }
    path = folder / "job.yaml"
    path.write_text(json.dumps(job))
    return path


ENVIRON = {"CANARY_KEY": KEY, "TOKEN": TOKEN, "ROUTE": ROUTE, "HOOK": HOOK}


async def command(folder: Path, *words: str) -> str:
    done = await ran(*words, folder=folder, environ={**os.environ, **ENVIRON})
    return done.out + done.err


def escaped(text: str) -> str:
    return text.replace("/", "\\/").replace("+", "\\u002B")


def said(text: str) -> bytes:
    return (
        f'{{"id":"{text}","model":"m","choices":[{{"finish_reason":"stop","message":{{"content":"It is {text}."}}}}],'
        '"usage":{"prompt_tokens":1,"completion_tokens":1}}'
    ).encode()


def streamed(text: str) -> bytes:
    """An event stream that was not asked for, in pieces of three letters."""
    pieces = [text[at : at + 3] for at in range(0, len(text), 3)]
    deltas = [{"index": 0, "delta": {"content": piece}} for piece in pieces] + [{"index": 0, "finish_reason": "stop"}]
    return "".join(f"data: {json.dumps({'id': 'g', 'choices': [delta]})}\n\n" for delta in deltas).encode()


ALL = f"{KEY} {TOKEN} {ROUTE}"
FORMS = {
    "answer": reply(said(escaped(ALL))),
    "stream": reply(streamed(f"It is {ALL}.")),
    "utf-16": reply(said(ALL).decode().encode("utf-16")),
    "page in utf-16": reply(f"<html>{ALL}</html>".encode("utf-16"), "502 Bad"),
    "error": reply(json.dumps({"error": {"message": f"no route for {ALL}"}}).encode(), "400 Bad"),
    "key": reply(f'{{"error":"{escaped(ALL)}"}}'.encode(), "401 No"),
    "redirect": reply(b"", "302 Away", Location=f"https://login.example/{TOKEN}/{KEY}/{ROUTE}/"),
    "page": reply(f"<html>{ALL}</html>".encode(), "502 Bad"),
    "id": then(reply(b"{}", Content_Length="9", X_Generation_Id=KEY), reset_after),
    "header": reply(b"{}", X_A="a" * 140 + KEY + "\0"),
}


@pytest.mark.parametrize("form", FORMS)
async def test_an_endpoint_that_repeats_key_and_variables_brings_them_into_no_file(form: str, tmp_path: Path) -> None:
    async with serving(reply(b"{}", "404 No"), reply(b"{}", "404 No"), FORMS[form]) as server:
        job_in(tmp_path, server.url)
        told = await command(tmp_path, "run", "job.yaml", "--json")
        told += await command(tmp_path, "report", "job.yaml")
        for other in ("doctor", "estimate") if form in ("answer", "key") else ():
            told += await command(tmp_path, other, "job.yaml")
    assert any(TOKEN in head for head in server.heads), "the endpoint itself is given all of it"
    assert ROUTE.encode() in b"".join(server.bodies)
    held = {str(path): path.read_bytes() for path in (tmp_path).rglob("*") if path.is_file() and path.suffix != ".yaml"}
    held |= {
        f"{path} read": str(pq.read_table(path, partitioning=None).to_pylist()).encode()
        for path in tmp_path.rglob("*.parquet")
    }
    held["told"] = told.encode()
    for name, content in held.items():
        for secret in (KEY, TOKEN, ROUTE, HOOK):
            assert secret.encode() not in content, f"{name}: {secret}"
            assert secret[:-4].encode() not in content, f"{name}: a part of {secret}"
    record = json.loads(next((tmp_path / "out.parquill" / "runs").glob("*.json")).read_bytes())
    assert re.fullmatch(r"http://[^/]+/\$\{TOKEN\}/v1", record["settings"]["model"]["endpoint"])
    assert record["settings"]["model"]["provider"] == {"order": ["${ROUTE}", "$${kept}"]}
    assert record["settings"]["nightly"]["notify"]["webhook"] == "https://hooks.example/${HOOK}"


def loaded(folder: Path, *overrides: str) -> Job:
    return load_job(job_in(folder, "http://127.0.0.1:9/v1"), overrides, environ=ENVIRON)


def test_a_job_as_json_shows_variables_by_name_and_comes_back_whole(tmp_path: Path) -> None:
    job = loaded(tmp_path)
    shown = job.model_dump_json(by_alias=True) + repr(job)
    assert not any(secret in shown for secret in (TOKEN, ROUTE, HOOK))
    assert "${TOKEN}" in shown
    data = json.loads(job.model_dump_json(by_alias=True, exclude_unset=True))
    again = load_written(data, environ={**ENVIRON, "TOKEN": "another-token"})
    assert again.model.endpoint == "http://127.0.0.1:9/another-token/v1"
    assert again.model.provider == {"order": [ROUTE, "${kept}"]}
    assert again.hidden == {**job.hidden, "TOKEN": "another-token"}


def test_an_override_takes_the_place_of_what_was_written(tmp_path: Path) -> None:
    job = loaded(tmp_path, "model.endpoint=http://127.0.0.1:8/v1", "model.provider={order: ['${HOOK}']}")
    data = job.model_dump(mode="json")
    assert (data["model"]["endpoint"], data["model"]["provider"]) == ("http://127.0.0.1:8/v1", {"order": ["${HOOK}"]})
    once_more = load_job(job, ["model.max_tokens=7"], environ={})
    assert once_more.model_dump(mode="json")["model"]["provider"] == {"order": ["${HOOK}"]}
    assert once_more.model.provider == {"order": [HOOK]}
