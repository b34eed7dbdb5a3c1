"""Values that an env file hands over with the quotation marks that a shell would have taken away."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from parquill.client import Client
from parquill.job import Job, find_api_key, load_job, read_access
from tests.wire import reply, serving

KEY = "sk-or-v1-0123456789abcdef"
BODY = b'{"messages":[],"model":"m"}'


def job(environ: dict[str, str], **model: Any) -> Job:
    settings = {
        "name": "j",
        "manifest": {"path": "m.parquet"},
        "prompt": {"user": "x"},
        "output": {"path": "out"},
        "model": {"endpoint": "http://llm.example:8000/v1", "api_key_env": "K", **model},
    }
    return load_job(settings, environ=environ)


@pytest.mark.parametrize("written", [f'"{KEY}"', f"'{KEY}'", f' "{KEY}"\n', f'" {KEY} "'])
def test_a_quoted_key_is_sent_without_its_marks(written: str) -> None:
    found = find_api_key(job({}).model, {"K": written})
    assert found is not None
    assert found.reveal() == KEY


def test_so_is_one_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f'"{KEY}"\n')
    found = find_api_key(job({}).model, {"K_FILE": str(tmp_path / "key")})
    assert found is not None
    assert found.reveal() == KEY


def test_it_is_said_once_and_without_the_key(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            find_api_key(job({}, api_key_env="SAID_ONCE").model, {"SAID_ONCE": f'"{KEY}"'})
    said = [record.getMessage() for record in caplog.records]
    assert said == ["the environment variable SAID_ONCE holds a value in quotation marks: they are left out"]


@pytest.mark.parametrize("whole", ['"', f'"{KEY}', f"{KEY}'", f"\"{KEY}'"])
def test_a_mark_on_one_side_is_left_where_it_is(whole: str) -> None:
    found = find_api_key(job({}).model, {"K": whole})
    assert found is not None
    assert found.reveal() == whole


async def test_a_variable_in_an_address_or_a_header_is_read_alike_and_shown_nowhere() -> None:
    environ = {"TOKEN": f'"{KEY}"', "HOST": '"http://llm.example:8000"'}
    headers = {"x-portkey-api-key": "${TOKEN}", "Authorization": "Bearer ${TOKEN}"}
    one = job(environ, endpoint="${HOST}/v1", extra_headers=headers)
    assert one.model.endpoint == "http://llm.example:8000/v1"
    said = reply(f'{{"error": {{"message": "bad key {KEY}"}}}}'.encode(), "401 Unauthorized")
    async with serving(said) as server:
        access = read_access(one, {})
        async with Client(server.url, None, access=access, variables=one.hidden) as client:
            exchange = await client.complete(BODY, seconds=5, on_id=print)
        assert server.header("x-portkey-api-key") == KEY
        assert server.header("authorization") == f"Bearer {KEY}"
        assert KEY.encode() not in exchange.body


def test_marks_in_a_text_that_is_sent_are_the_texts_own() -> None:
    assert job({"STOP": '"END"'}, stop="${STOP}").model.stop == '"END"'


def test_a_quoted_proxy_is_used() -> None:
    access = read_access(job({}), {"HTTP_PROXY": '"http://proxy.example:3128"'})
    assert access.proxy == "http://proxy.example:3128"
