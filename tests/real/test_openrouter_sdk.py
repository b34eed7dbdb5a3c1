"""OpenRouter's own Python SDK against the emulator: its models read every reply strictly."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from parquill.emulator import GEMMA_PARAMETERS, TOOL_PARAMETERS, Emulator, EmulatorSettings, Misbehaviour
from tests.real import software
from tests.real.conftest import or_skip

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

SCRIPT = Path(__file__).with_name("openrouter_calls.py")
CAPTION = {
    "type": "object",
    "properties": {"caption": {"type": "string"}, "tone": {"enum": ["warm", "cold"]}},
    "required": ["caption", "tone"],
    "additionalProperties": False,
}


@pytest.fixture(scope="session")
def python() -> Path:
    with or_skip():
        return software.environment("openrouter", software.OPENROUTER) / "python"


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(EmulatorSettings(supported_parameters=GEMMA_PARAMETERS + TOOL_PARAMETERS)) as running:
        yield running


async def call(python: Path, emulator: Emulator, *what: str) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        python,
        SCRIPT,
        emulator.base_url,
        emulator.api_key,
        *what,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()[-2000:]
    said = json.loads(out)
    assert isinstance(said, dict)
    return said


async def test_a_chat_with_its_usage_can_be_looked_up(python: Path, emulator: Emulator) -> None:
    said = (await call(python, emulator, "chat"))["ok"]
    assert said["choices"][0]["message"]["content"].startswith("[simulated] ")
    assert said["usage"]["cost"] > 0
    looked_up = (await call(python, emulator, "generation", said["id"]))["ok"]["data"]
    assert looked_up["id"] == said["id"]
    assert looked_up["total_cost"] == pytest.approx(said["usage"]["cost"])


async def test_pictures_answers_by_schema_and_calls(python: Path, emulator: Emulator) -> None:
    plain = (await call(python, emulator, "chat"))["ok"]["usage"]["prompt_tokens"]
    seen = (await call(python, emulator, "picture", f"{emulator.pictures_url}good.jpg"))["ok"]
    assert seen["usage"]["prompt_tokens"] > plain + 255
    typed = (await call(python, emulator, "schema"))["ok"]["choices"][0]["message"]["content"]
    jsonschema.validate(json.loads(typed), CAPTION)
    called = (await call(python, emulator, "tool"))["ok"]["choices"][0]
    jsonschema.validate(json.loads(called["message"]["tool_calls"][0]["function"]["arguments"]), CAPTION)
    assert called["finish_reason"] == "tool_calls"


async def test_models_endpoints_key_and_credits_are_read(python: Path, emulator: Emulator) -> None:
    models = (await call(python, emulator, "models"))["ok"]
    assert "google/gemma-3-4b-it" in [model["id"] for model in models["data"]]
    endpoints = (await call(python, emulator, "endpoints"))["ok"]["data"]["endpoints"]
    assert Decimal(endpoints[0]["pricing"]["prompt"]) == Decimal("0.00000002")
    assert "data" in (await call(python, emulator, "key"))["ok"]
    emulator.change(management_key=True, credit_usd=Decimal(5))
    assert (await call(python, emulator, "credits"))["ok"]["data"]["total_credits"] == 5


async def test_errors_are_its_own_error_classes(python: Path, emulator: Emulator) -> None:
    for kind, error, status in (
        (Misbehaviour.UPSTREAM_LIMIT, "TooManyRequestsResponseError", 429),
        (Misbehaviour.SERVER_ERROR, "InternalServerResponseError", 500),
        (Misbehaviour.BAD_GATEWAY, "BadGatewayResponseError", 502),
        (Misbehaviour.UNAVAILABLE, "ServiceUnavailableResponseError", 503),
        (Misbehaviour.OVERLOADED, "ProviderOverloadedResponseError", 529),
        (Misbehaviour.TIMEOUT, "RequestTimeoutResponseError", 408),
    ):
        emulator.plan(kind)
        said = await call(python, emulator, "chat")
        assert (said["error"], said["status"]) == (error, status)
    assert (await call(python, emulator, "model", "google/gemma-9"))["status"] == 400
    emulator.set_credit(Decimal(0))
    assert (await call(python, emulator, "chat"))["error"] == "PaymentRequiredResponseError"
    emulator.revoke_key()
    assert (await call(python, emulator, "chat"))["error"] == "UnauthorizedResponseError"
