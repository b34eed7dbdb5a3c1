"""The emulator's chat completions: fields, tokens, money, pictures, output modes."""

from __future__ import annotations

import base64
import io
import json
import re
from decimal import Decimal

import jsonschema_rs
import pytest
from PIL import Image

from parquill.chat import read_completion
from parquill.emulator import GEMMA_PARAMETERS, TOOL_PARAMETERS, EmulatorSettings
from parquill.emulator.tokens import count_prompt, count_text, cut
from parquill.errors import UsageError
from parquill.money import PICO
from tests.emulator_calls import MODEL, SCHEMA, TYPED, calling

TOOL = {"type": "function", "function": {"name": "save", "parameters": SCHEMA}}


async def test_a_completion_has_the_fields_that_openrouter_sends():
    async with calling() as caller:
        reply = await caller.ask()
    body = reply.json
    assert reply.status == 200 and reply.headers["X-Generation-Id"] == body["id"]
    assert re.fullmatch(r"gen-\d{10}-\w{20}", body["id"])
    assert (body["provider"], body["model"], body["object"]) == ("emulator", MODEL, "chat.completion")
    assert body["choices"][0]["finish_reason"] == body["choices"][0]["native_finish_reason"] == "stop"
    assert body["choices"][0]["message"]["role"] == "assistant"
    usage = body["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["completion_tokens"] == count_text(reply.text)
    assert set(usage) >= {"cost", "is_byok", "cost_details", "prompt_tokens_details", "completion_tokens_details"}


async def test_plain_answers_say_that_they_are_simulated_and_the_same_body_gets_the_same_words():
    async with calling() as caller:
        first, second, other = await caller.ask("A"), await caller.ask("A"), await caller.ask("B")
    assert first.text.startswith("[simulated] ")
    assert first.text == second.text != other.text


async def test_another_seed_says_other_words():
    texts = []
    for seed in (1, 2):
        async with calling(seed=seed) as caller:
            texts.append((await caller.ask("A")).text)
    assert texts[0] != texts[1]


async def test_cost_is_the_exact_decimal_of_tokens_times_price():
    async with calling(prompt_price=Decimal("0.00000001703"), completion_price=Decimal("0.00000006815")) as caller:
        for number in range(30):
            reply = await caller.ask(f"Question {number} " * (number + 1))
            usage = json.loads(reply.raw, parse_float=Decimal)["usage"]
            expected = usage["prompt_tokens"] * Decimal("0.00000001703")
            expected += usage["completion_tokens"] * Decimal("0.00000006815")
            assert usage["cost"] == expected
            assert read_completion(reply.json).usage.cost_pico == expected * PICO
        billed = caller.emulator.stats().billed_pico
        total = caller.emulator.stats().prompt_tokens * 17030 + caller.emulator.stats().completion_tokens * 68150
    assert billed == total


@pytest.mark.parametrize(
    ("system", "parts", "expected"),
    [
        (None, ["T"], 19),
        (None, [None, "T"], 278),
        (None, ["T", None], 279),
        (None, [None, None, "T"], 537),
        (None, ["T", None, None], 538),
        (None, ["T", None, None, None], 797),
        (None, [None, "T", None], 538),
        ("S", ["T"], 24),
        ("S", [None, "T"], 283),
        ("S", ["T", None], 284),
    ],
)
def test_prompt_tokens_follow_gemmas_template(system, parts, expected):
    """The figures were counted with the real tokenizer: a text of 10 tokens, a system text of 4."""
    ten, four = "a b c d e f g h i j", "a b c d"
    given = [ten if part == "T" else part for part in parts]
    assert count_prompt(four if system else None, [given]) == expected


def test_a_cut_text_has_the_tokens_it_was_cut_to():
    text = "Über 12 boats, 中文字 and\n\nmore."
    for tokens in range(count_text(text) + 3):
        assert count_text(cut(text, tokens)) == min(tokens, count_text(text))


async def test_max_tokens_cuts_text_json_and_arguments_and_says_length():
    async with calling(supported_parameters=GEMMA_PARAMETERS + TOOL_PARAMETERS) as caller:
        for more in ({}, TYPED, {"tools": [TOOL]}):
            body = (await caller.ask(max_tokens=3, **more)).json
            assert body["choices"][0]["finish_reason"] == "length"
            assert body["usage"]["completion_tokens"] == 3


async def test_an_answer_ends_before_a_stop_word():
    async with calling() as caller:
        whole = (await caller.ask()).text
        word = whole.split()[4]
        assert (await caller.ask(stop=[word])).text != whole
        assert word not in (await caller.ask(stop=[word])).text.split()


async def test_json_schema_answers_fit_and_say_simulated():
    async with calling() as caller:
        answer = json.loads((await caller.ask(**TYPED)).text)
    jsonschema_rs.validate(SCHEMA, answer)
    assert answer["caption"].startswith("simulated")


async def test_json_object_without_a_schema_gives_a_small_object():
    async with calling() as caller:
        answer = json.loads((await caller.ask(response_format={"type": "json_object"})).text)
    assert isinstance(answer, dict) and answer


@pytest.mark.parametrize("format_", [{"response_format": {"type": "json_object"}}, {}])
async def test_a_schema_in_the_prompt_is_followed(format_):
    prompt = f"Answer as JSON. {{not json}} Schema: {json.dumps(SCHEMA)} Thanks."
    async with calling() as caller:
        answer = json.loads((await caller.ask(prompt, **format_)).text)
    jsonschema_rs.validate(SCHEMA, answer)


async def test_a_forced_tool_is_called_with_fitting_arguments():
    choice = {"type": "function", "function": {"name": "save"}}
    async with calling(supported_parameters=GEMMA_PARAMETERS + TOOL_PARAMETERS) as caller:
        body = (await caller.ask(tools=[TOOL], tool_choice=choice)).json
    message = body["choices"][0]["message"]
    assert body["choices"][0]["finish_reason"] == "tool_calls" and message["content"] is None
    assert message["tool_calls"][0]["function"]["name"] == "save"
    jsonschema_rs.validate(SCHEMA, json.loads(message["tool_calls"][0]["function"]["arguments"]))


async def test_gemma_has_no_endpoint_for_tools():
    async with calling() as caller:
        reply = await caller.ask(tools=[TOOL])
    assert reply.status == 404 and "support tool use" in reply.error["message"]


async def test_an_output_mode_that_is_switched_off_is_ignored_or_refused_when_required():
    async with calling() as caller:
        caller.emulator.set_parameters("max_tokens")
        ignored = await caller.ask(**TYPED)
        refused = await caller.ask(**TYPED, provider={"require_parameters": True})
        caller.emulator.set_parameters(*GEMMA_PARAMETERS)
        taken = await caller.ask(**TYPED, provider={"require_parameters": True})
    assert ignored.text.startswith("[simulated]")
    assert refused.status == 404
    assert refused.error["message"].startswith("No endpoints found that can handle the requested parameters.")
    assert taken.status == 200


@pytest.mark.parametrize(
    ("max_price", "status"),
    [
        ({"prompt": 0.02, "completion": 0.04}, 200),
        ({"prompt": "0.02"}, 200),
        ({"completion": "0.039"}, 404),
        ({"prompt": 0.01}, 404),
        ({"prompt": "much"}, 400),
    ],
)
async def test_max_price_is_in_dollars_a_million_tokens(max_price, status):
    async with calling() as caller:
        reply = await caller.ask(provider={"max_price": max_price})
    assert reply.status == status
    if status == 404:
        assert reply.error["availability"]["code"] == "constraint_filtered"


@pytest.mark.parametrize(
    "body",
    [
        {"messages": []},
        {"messages": "hello"},
        {"messages": [{"role": "boss", "content": "x"}]},
        {"messages": [{"role": "user", "content": 5}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
        {"messages": [{"role": "system", "content": "only"}]},
        {"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]},
        {"max_tokens": 0},
        {"max_tokens": True},
        {"temperature": 3},
        {"top_p": 0},
        {"stop": ["a", "b", "c", "d", "e"]},
        {"provider": {"orders": []}},
        {"provider": []},
        {"models": "x"},
        {"response_format": {"type": "yaml"}},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}},
        {"tools": [{"type": "function"}]},
        {"model": "google/gemma-9"},
    ],
)
async def test_a_body_that_does_not_fit_is_a_400_and_costs_nothing(body):
    async with calling() as caller:
        reply = await caller.ask(**body)
        assert reply.status == 400, reply.raw
        assert reply.error["message"] and caller.emulator.stats().billed_pico == 0


async def test_a_schema_that_no_decoder_can_follow_is_the_providers_400():
    schema = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "banana"}}}
    async with calling() as caller:
        reply = await caller.ask(response_format=schema)
        assert (
            await caller.ask('{"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}')
        ).status == 200
    assert reply.status == 400 and "banana" in json.loads(reply.error["metadata"]["raw"])["error"]["message"]


async def test_no_provider_writes_more_than_its_longest_answer():
    async with calling(max_completion_tokens=100) as caller:
        assert (await caller.ask(max_tokens=100)).status == 200
        assert (await caller.ask(max_tokens=101)).status == 404


async def test_bodies_that_are_no_json_object_are_a_400():
    async with calling() as caller:
        for data in (b"{", b"[]", b"\xff", b""):
            assert (await caller.send("POST", "/chat/completions", data=data)).status == 400


async def test_fallback_models_answer_for_one_that_is_unknown():
    async with calling() as caller:
        reply = await caller.ask(model="nobody/nothing", models=["google/gemma-3-12b-it"])
        ended = await caller.ask(model=f"{MODEL}:free")
    assert reply.json["model"] == "google/gemma-3-12b-it"
    assert ended.status == 404 and ended.error["availability"]["code"] == "free_variant_ended"


async def test_a_prompt_beyond_the_context_is_refused_with_its_error_type():
    async with calling(context_length=100) as caller:
        reply = await caller.ask("word " * 90, max_tokens=64)
        assert reply.status == 400
        assert reply.error["metadata"]["error_type"] == "context_length_exceeded"
        assert (await caller.ask("word " * 20, max_tokens=64)).status == 200


async def test_a_body_above_30_megabytes_is_a_413():
    async with calling() as caller:
        reply = await caller.send("POST", "/chat/completions", data=io.BytesIO(b" " * 31_000_000))
    assert reply.status == 413 and reply.error["code"] == 413


def data_url(form: str = "PNG", *, cut_at: int | None = None) -> str:
    out = io.BytesIO()
    Image.new("RGB", (32, 32), (200, 30, 30)).save(out, form)
    return f"data:image/{form.lower()};base64,{base64.b64encode(out.getvalue()[:cut_at]).decode()}"


async def test_pictures_count_260_tokens_and_foreign_ones_are_not_fetched():
    async with calling() as caller:
        plain = await caller.show()
        shown = await caller.show("https://pictures.invalid/none.jpg", data_url("JPEG"), data_url("WEBP"))
    assert shown.json["usage"]["prompt_tokens"] - plain.json["usage"]["prompt_tokens"] == 3 * 260 - 2


@pytest.mark.parametrize(
    ("url", "error_type"),
    [
        ("data:image/png;base64,AAAA", "invalid_image"),
        ("data:image/png;base64,%%%", "invalid_image"),
        ("data:image/png,raw", "invalid_image"),
        (data_url("PNG", cut_at=60), "invalid_image"),
        ("data:image/tiff;base64,AAAA", "unsupported_image_format"),
        ("ftp://example.com/a.jpg", "invalid_image"),
    ],
)
async def test_a_picture_that_cannot_be_read_is_a_400(url, error_type):
    async with calling() as caller:
        reply = await caller.show(url)
    assert reply.status == 400 and reply.error["metadata"]["error_type"] == error_type


@pytest.mark.parametrize(
    ("name", "status", "error_type"),
    [
        ("good.jpg", 200, None),
        ("17.png", 200, None),
        ("redirect.jpg", 200, None),
        ("dead.jpg", 400, "image_download_failed"),
        ("error.jpg", 400, "image_download_failed"),
        ("page.jpg", 400, "invalid_image"),
        ("torn.jpg", 400, "invalid_image"),
    ],
)
async def test_its_own_pictures_are_resolved(name, status, error_type):
    async with calling() as caller:
        reply = await caller.show(caller.emulator.pictures_url + name)
    assert reply.status == status
    assert error_type is None or reply.error["metadata"]["error_type"] == error_type


async def test_an_endpoint_that_fetches_nothing_refuses_urls():
    async with calling(fetches_urls=False) as caller:
        assert (await caller.show("https://example.com/a.jpg")).status == 400
        assert (await caller.show(data_url())).status == 200


async def test_its_pictures_can_be_fetched():
    async with calling() as caller:

        async def fetched(name: str) -> tuple[int, str, bytes]:
            url = caller.emulator.pictures_url + name
            async with caller.session.get(url, allow_redirects=False) as reply:
                return reply.status, reply.content_type, await reply.read()

        good, other = await fetched("good.jpg"), await fetched("18.jpg")
        statuses = [(await fetched(name))[0] for name in ("redirect.jpg", "error.jpg", "dead.jpg", "..%2Fx.jpg")]
        big = await fetched("big.jpg")
    assert good[:2] == (200, "image/jpeg") and good[2] != other[2]
    assert statuses == [302, 500, 404, 404]
    assert Image.open(io.BytesIO(big[2])).size == (2400, 1800)


async def test_a_stream_brings_the_same_words_then_usage_then_done():
    async with calling() as caller:
        raw = (await caller.ask(stream=True)).raw.decode()
    events = [line for line in raw.split("\n\n") if line]
    assert events[0] == ": OPENROUTER PROCESSING" and events[-1] == "data: [DONE]"
    chunks = [json.loads(event.removeprefix("data: ")) for event in events[1:-1]]
    text = "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks if chunk["choices"])
    assert text.startswith("[simulated] ")
    assert chunks[-1]["choices"] == [] and chunks[-1]["usage"]["completion_tokens"] == count_text(text)


async def test_models_and_their_endpoints_tell_price_context_and_parameters():
    async with calling() as caller:
        models = (await caller.get("/models", key=None)).json["data"]
        endpoints = (await caller.get(f"/models/{MODEL}/endpoints")).json["data"]["endpoints"]
        missing = await caller.get("/models/google/none/endpoints")
    assert models[0]["id"] == MODEL
    assert models[0]["pricing"]["prompt"] == "0.00000002"
    assert models[0]["architecture"]["input_modalities"] == ["text", "image"]
    (endpoint,) = endpoints
    assert (endpoint["provider_name"], endpoint["context_length"], endpoint["status"]) == ("emulator", 131_072, 0)
    assert endpoint["pricing"]["completion"] == "0.00000004"
    assert "structured_outputs" in endpoint["supported_parameters"] and "tools" not in endpoint["supported_parameters"]
    assert missing.status == 404


async def test_the_same_api_is_served_under_v1_and_unknown_routes_are_json_404s():
    async with calling() as caller:
        root = caller.emulator.base_url.removesuffix("/api/v1")
        async with caller.session.get(f"{root}/v1/models") as reply:
            assert reply.status == 200
        for path in ("/", "/v1/none", "/api/v2/models", "/api/v1/chat/completions"):
            async with caller.session.get(root + path) as reply:
                assert reply.status == 404 and "X-Generation-Id" in reply.headers
                assert (await reply.json())["error"]["code"] == 404


@pytest.mark.parametrize(
    "wrong",
    [
        {"host": "0.0.0.0"},
        {"host": "example.com"},
        {"prompt_price": Decimal("0.0000000000001")},
        {"completion_price": Decimal(-1)},
        {"misbehaviour": {"stall": 0.7, "html": 0.7}},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(UsageError):
        EmulatorSettings(**wrong)


def test_another_host_is_taken_when_it_is_allowed():
    assert EmulatorSettings(host="0.0.0.0", allow_remote=True).host == "0.0.0.0"


async def test_a_taken_port_is_a_usage_error():
    async with calling() as caller:
        port = int(caller.emulator.base_url.split(":")[2].split("/")[0])
        with pytest.raises(UsageError, match=str(port)):
            async with calling(port=port):
                pass
