"""The official `openai` SDK talks to the emulator as it does to OpenRouter."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

from parquill.emulator import GEMMA_PARAMETERS, TOOL_PARAMETERS, Emulator, EmulatorSettings, Misbehaviour
from tests.emulator_calls import MODEL, SCHEMA, TYPED

if TYPE_CHECKING:
    import openai

HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(EmulatorSettings(supported_parameters=GEMMA_PARAMETERS + TOOL_PARAMETERS)) as running:
        yield running


@pytest.fixture
async def client(emulator: Emulator) -> AsyncIterator[openai.AsyncOpenAI]:
    import openai

    async with openai.AsyncOpenAI(base_url=emulator.base_url, api_key=emulator.api_key, max_retries=0) as made:
        yield made


async def test_openrouters_own_sample_prints_an_answer(emulator, capsys):
    """The Python sample of OpenRouter's page of the model, word for word but for address and key."""
    import openai

    def sample() -> None:
        client = openai.OpenAI(base_url=emulator.base_url, api_key=emulator.api_key)
        completion = client.chat.completions.create(
            extra_headers={"HTTP-Referer": "<YOUR_SITE_URL>", "X-Title": "<YOUR_SITE_NAME>"},
            extra_body={},
            model="google/gemma-3-4b-it",
            messages=[
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "What is in this image?"},
                        {
                            "type": "image_url",
                            "image_url": {
                                "url": "https://upload.wikimedia.org/wikipedia/commons/thumb/d/dd/"
                                "Gfp-wisconsin-madison-the-nature-boardwalk.jpg/"
                                "2560px-Gfp-wisconsin-madison-the-nature-boardwalk.jpg"
                            },
                        },
                    ],
                }
            ],
        )
        print(completion.choices[0].message.content)
        client.close()

    await asyncio.to_thread(sample)
    assert capsys.readouterr().out.startswith("[simulated] ")


async def test_structured_outputs_are_parsed(client):
    completion = await client.chat.completions.create(model=MODEL, messages=HELLO, **TYPED)
    answer = json.loads(completion.choices[0].message.content)
    assert set(answer) == set(SCHEMA["properties"])
    assert completion.usage.model_extra["cost"] > 0 and completion.model_extra["provider"] == "emulator"


async def test_a_forced_tool_is_called(client):
    tool = {"type": "function", "function": {"name": "save", "parameters": SCHEMA}}
    choice = {"type": "function", "function": {"name": "save"}}
    completion = await client.chat.completions.create(model=MODEL, messages=HELLO, tools=[tool], tool_choice=choice)
    (call,) = completion.choices[0].message.tool_calls
    assert call.function.name == "save" and set(json.loads(call.function.arguments)) == set(SCHEMA["properties"])


async def test_streams_of_words_and_of_tool_calls_are_read(client):
    stream = await client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
    chunks = [chunk async for chunk in stream]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text.startswith("[simulated] ") and chunks[-1].usage.completion_tokens > 0
    tool = {"type": "function", "function": {"name": "save", "parameters": SCHEMA}}
    stream = await client.chat.completions.create(
        model=MODEL, messages=HELLO, tools=[tool], tool_choice="required", stream=True
    )
    calls = [chunk.choices[0].delta.tool_calls async for chunk in stream if chunk.choices]
    assert json.loads(calls[0][0].function.arguments)


async def test_models_are_listed(client):
    assert MODEL in [model.id async for model in client.models.list()]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Misbehaviour.SERVER_ERROR, "InternalServerError"),
        (Misbehaviour.OVERLOADED, "InternalServerError"),
        (Misbehaviour.HTML, "InternalServerError"),
        (Misbehaviour.UPSTREAM_LIMIT, "RateLimitError"),
        (Misbehaviour.MODERATED, "PermissionDeniedError"),
        (Misbehaviour.RESET_EARLY, "APIConnectionError"),
    ],
)
async def test_misfortunes_become_the_sdks_exceptions(emulator, client, kind, expected):
    import openai

    emulator.plan(kind)
    with pytest.raises(getattr(openai, expected)):
        await client.chat.completions.create(model=MODEL, messages=HELLO)


async def test_refusals_become_the_sdks_exceptions(emulator, client):
    import openai

    with pytest.raises(openai.BadRequestError, match="not a valid model"):
        await client.chat.completions.create(model="google/none", messages=HELLO)
    with pytest.raises(openai.NotFoundError, match="max_price"):
        body = {"provider": {"max_price": {"prompt": 0}}}
        await client.chat.completions.create(model=MODEL, messages=HELLO, extra_body=body)
    emulator.revoke_key()
    with pytest.raises(openai.AuthenticationError):
        await client.chat.completions.create(model=MODEL, messages=HELLO)
