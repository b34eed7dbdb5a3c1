"""Output modes: their order, what each sends, what a probe must show, which errors refuse one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from parquill.answers import (
    AnswerSchema,
    OutputMode,
    fallback_order,
    load_answer_schema,
    probe_passes,
    probe_request,
    refused_words,
    refuses_mode,
)
from parquill.answers.schema_dialects import ANY, DIALECTS, SchemaDialect, dialect_of
from parquill.answers.schema_tree import Kind, Node, digest_schema
from parquill.answers.sent_schema import request_schema
from parquill.chat import ChatCompletion, ToolCall
from parquill.job import FunctionSettings, OutputSettings

SCHEMA = {
    "type": "object",
    "properties": {
        "caption": {"type": "string", "maxLength": 80, "description": "One sentence."},
        "seen": {"type": "string", "format": "date"},
        "kinds": {"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 1},
    },
    "required": ["caption", "kinds"],
}
TEXT = load_answer_schema(OutputSettings(path="out"))
SHAPE = load_answer_schema(OutputSettings(path="out", schema=SCHEMA))
WEATHER = FunctionSettings(
    name="get_weather",
    description="The weather somewhere.",
    parameters={
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city"],
    },
)
CALLS = load_answer_schema(OutputSettings(path="out", functions=(WEATHER, FunctionSettings(name="stop-it"))))
ONE_CALL = load_answer_schema(OutputSettings(path="out", functions=(WEATHER,)))

GOOD = '{"caption": "A cat.", "seen": null, "kinds": ["a"]}'


def reply(text: str, reason: str = "stop", *calls: ToolCall) -> ChatCompletion:
    return ChatCompletion(None, None, None, text, calls, reason, None)


ALL = (OutputMode.JSON_SCHEMA, OutputMode.TOOLS, OutputMode.JSON_OBJECT, OutputMode.PROMPT)


@pytest.mark.parametrize(
    ("shape", "mode", "supported", "output_modes"),
    [
        (SHAPE, "auto", None, ALL),
        (SHAPE, "auto", frozenset({"structured_outputs", "response_format", "tools", "seed"}), ALL),
        (SHAPE, "auto", frozenset({"structured_outputs", "response_format"}), (ALL[0], *ALL[2:])),
        (SHAPE, "auto", frozenset({"response_format"}), (OutputMode.JSON_OBJECT, OutputMode.PROMPT)),
        (SHAPE, "auto", frozenset({"tools"}), (OutputMode.TOOLS, OutputMode.PROMPT)),
        (SHAPE, "auto", frozenset(), (OutputMode.PROMPT,)),
        (SHAPE, "tools", frozenset(), (OutputMode.TOOLS,)),
        (SHAPE, "json_object", None, (OutputMode.JSON_OBJECT,)),
        (CALLS, "auto", None, (OutputMode.TOOLS, OutputMode.JSON_SCHEMA, OutputMode.JSON_OBJECT, OutputMode.PROMPT)),
        (CALLS, "auto", frozenset({"max_tokens"}), (OutputMode.PROMPT,)),
        (TEXT, "auto", None, (OutputMode.TEXT,)),
    ],
)
def test_only_modes_that_the_endpoint_names_are_tried(
    shape: AnswerSchema, mode: Any, supported: frozenset[str] | None, output_modes: tuple[OutputMode, ...]
) -> None:
    assert fallback_order(mode, supported, shape.kind) == output_modes


def test_the_strict_schema_closes_objects_and_asks_for_every_key() -> None:
    sent = SHAPE.settings_for(OutputMode.JSON_SCHEMA)["response_format"]["json_schema"]
    assert (sent["name"], sent["strict"]) == ("answer", True)
    assert sent["schema"] == {
        "type": "object",
        "properties": {
            "caption": {"description": "One sentence.", "type": "string", "maxLength": 80},
            "seen": {"type": ["string", "null"], "format": "date"},
            "kinds": {"type": "array", "minItems": 1, "items": {"type": "string", "enum": ["a", "b"]}},
        },
        "required": ["caption", "seen", "kinds"],
        "additionalProperties": False,
    }


OPEN = load_answer_schema(
    OutputSettings(path="out", schema={"type": "object", "properties": {"any": {"type": "object"}}})
)


@pytest.mark.parametrize(
    ("shape", "dialect", "strict"),
    [
        (SHAPE, ANY, True),
        (SHAPE, DIALECTS["openai"], True),
        (OPEN, DIALECTS["openai"], False),
        (OPEN, DIALECTS["anthropic"], False),
        (OPEN, DIALECTS["vllm"], True),
        (OPEN, ANY, True),
        (OPEN, ANY.without(frozenset({"strict"})), False),
    ],
)
def test_strict_is_claimed_unless_the_endpoint_refuses_it_beside_open_objects(
    shape: AnswerSchema, dialect: SchemaDialect, strict: bool
) -> None:
    sent = shape.settings_for(OutputMode.JSON_SCHEMA, dialect)["response_format"]["json_schema"]
    assert sent["strict"] is strict


def test_of_several_functions_those_are_strict_that_can_be() -> None:
    odd = FunctionSettings(name="odd", parameters={"type": "object", "properties": {"any": {"type": "object"}}})
    shape = load_answer_schema(OutputSettings(path="out", functions=(WEATHER, odd)))
    tools = shape.settings_for(OutputMode.TOOLS, DIALECTS["openai"])["tools"]
    assert [tool["function"].get("strict") for tool in tools] == [True, None]
    assert not any("strict" in tool["function"] for tool in shape.settings_for(OutputMode.TOOLS)["tools"])


WORDY = load_answer_schema(
    OutputSettings(
        path="out",
        schema={
            "type": "object",
            "properties": {
                "minLength": {"type": "string", "minLength": 2, "pattern": "^a"},
                "key": {"type": "string", "format": "uuid"},
                "seen": {"type": "string", "format": "date-time"},
                "share": {"type": "number", "minimum": 0, "maximum": 1},
                "tags": {
                    "type": "array",
                    "items": {"type": "string", "maxLength": 9},
                    "minItems": 2,
                    "uniqueItems": True,
                },
            },
        },
    )
)
_WORDS = {"minLength", "pattern", "format", "minimum", "maximum", "maxLength", "minItems", "uniqueItems"}


@pytest.mark.parametrize(
    ("name", "words", "formats"),
    [
        ("openai", _WORDS - {"minLength", "maxLength", "uniqueItems"}, ["uuid", "date-time"]),
        ("anthropic", {"pattern", "format"}, ["uuid", "date-time"]),
        ("google", {"minimum", "maximum", "minItems", "format"}, [None, "date-time"]),
        ("fireworks", {"minimum", "maximum", "format"}, ["uuid", "date-time"]),
        ("vllm", _WORDS - {"uniqueItems"}, ["uuid", "date-time"]),
    ],
)
def test_each_provider_is_sent_the_words_that_it_documents(name: str, words: set[str], formats: list[str]) -> None:
    for output_mode in (OutputMode.JSON_SCHEMA, OutputMode.TOOLS):
        assert WORDY.words_for(output_mode, DIALECTS[name]) == words
    sent = WORDY.settings_for(OutputMode.JSON_SCHEMA, DIALECTS[name])["response_format"]["json_schema"]["schema"]
    assert [sent["properties"][key].get("format") for key in ("key", "seen")] == formats
    assert list(sent["properties"]) == sent["required"], "a property's name is no word"
    assert WORDY.words_for(OutputMode.JSON_SCHEMA) == _WORDS
    assert WORDY.words_for(OutputMode.PROMPT) == TEXT.words_for(OutputMode.TEXT) == set()


@pytest.mark.parametrize(("name", "sent"), [("openai", ""), ("anthropic", "uri"), ("google", ""), ("vllm", "uri")])
def test_formats_that_decide_no_type_are_sent_where_they_are_taken(name: str, sent: str) -> None:
    node = Node(Kind.STRING, format="uri")
    assert request_schema(node, DIALECTS[name]).get("format", "") == sent
    assert request_schema(node)["format"] == "uri"
    assert "format" not in digest_schema(node), "the fingerprint is that of earlier outputs"


def test_a_minimum_of_one_item_is_sent_to_anthropic() -> None:
    assert "minItems" in SHAPE.words_for(OutputMode.JSON_SCHEMA, DIALECTS["anthropic"])


@pytest.mark.parametrize(
    ("base_url", "model", "provider", "name"),
    [
        ("https://api.openai.com/v1", "gpt-5", {}, "openai"),
        ("https://x.openai.azure.com/v1", "any", {}, "openai"),
        ("https://notopenai.com/v1", "any", {}, ""),
        ("https://openrouter.ai/api/v1", "anthropic/claude-opus-4.6", {}, "anthropic"),
        ("https://openrouter.ai/api/v1", "google/gemini-3", {}, "google"),
        ("https://openrouter.ai/api/v1", "google/gemma-3-4b-it", {}, ""),
        ("https://openrouter.ai/api/v1", "openai/gpt-oss-20b", {}, ""),
        ("https://openrouter.ai/api/v1", "qwen/x", {"only": ["Fireworks"]}, "fireworks"),
        ("https://openrouter.ai/api/v1", "openai/gpt-5", {"only": ["azure/eu", "openai"]}, "openai"),
        ("https://openrouter.ai/api/v1", "anthropic/x", {"only": ["anthropic", "google-vertex"]}, ""),
        ("http://127.0.0.1:8000/v1", "hosted_vllm/x", {}, "vllm"),
    ],
)
def test_the_address_the_provider_or_the_name_says_whose_dialect_it_is(
    base_url: str, model: str, provider: dict[str, Any], name: str
) -> None:
    assert dialect_of(base_url, model, provider) is (DIALECTS[name] if name else ANY)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("output_config.format.schema: For 'number' type, properties maximum, minimum are not supported",
         {"maximum", "minimum"}),
        ("output_format.schema: For 'integer' type, property 'minimum' is not supported", {"minimum"}),
        ("tools.1.custom: For 'array' type, 'minItems' values other than 0 or 1 are not supported (got: [2, 5])",
         {"minItems"}),
        ("Invalid schema for response_format 'answer': In context=('properties', 'a'), 'minLength' is not permitted.",
         {"minLength"}),
        ('Invalid JSON payload received. Unknown name "uniqueItems" at \'generation_config.response_schema\'',
         {"uniqueItems"}),
        ("'pattern' is not allowed", {"pattern"}),
        ("maxLength is not supported", {"maxLength"}),
        ("Invalid schema: 'format' of type 'uri' is not supported", {"format"}),
        ("Invalid schema for response_format 'answer': In context=(), 'additionalProperties' is required to be "
         "supplied and to be false.", {"strict"}),
        ("This endpoint's maximum context length is 131072 tokens.", set()),
        ("the pattern of your messages is not supported", set()),
        ("response_format is not supported", set()),
        ("'multipleOf' is not supported in a schema", set()),
    ],
)  # fmt: skip
def test_words_that_were_sent_and_are_named_in_a_refusal_are_recognised(message: str, words: set[str]) -> None:
    sent = WORDY.words_for(OutputMode.JSON_SCHEMA) | {"strict"}
    assert refused_words(400, message, sent) == words
    assert refused_words(500, message, sent) == refused_words(400, message, frozenset()) == set()


def test_the_mode_tools_forces_one_function_with_the_schema_as_parameters() -> None:
    sent = SHAPE.settings_for(OutputMode.TOOLS)
    schema = SHAPE.settings_for(OutputMode.JSON_SCHEMA)["response_format"]["json_schema"]["schema"]
    assert [tool["function"]["parameters"] for tool in sent["tools"]] == [schema]
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "answer"}}


def test_several_functions_are_offered_and_one_is_required() -> None:
    sent = CALLS.settings_for(OutputMode.TOOLS)
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["get_weather", "stop-it"]
    assert sent["tool_choice"] == "required"
    assert ONE_CALL.settings_for(OutputMode.TOOLS)["tool_choice"]["function"]["name"] == "get_weather"


def test_the_last_modes_send_little() -> None:
    assert SHAPE.settings_for(OutputMode.JSON_OBJECT) == {"response_format": {"type": "json_object"}}
    assert SHAPE.settings_for(OutputMode.PROMPT) == TEXT.settings_for(OutputMode.TEXT) == {}


def test_the_prompt_shows_the_schema_that_would_be_sent_without_white_space() -> None:
    text = SHAPE.instruction_for(OutputMode.PROMPT)
    assert text is not None
    schema = text[text.index("{") :]
    assert json.loads(schema) == SHAPE.settings_for(OutputMode.JSON_SCHEMA)["response_format"]["json_schema"]["schema"]
    assert '": ' not in schema
    assert text == SHAPE.instruction_for(OutputMode.JSON_OBJECT)
    assert SHAPE.instruction_for(OutputMode.JSON_SCHEMA) is SHAPE.instruction_for(OutputMode.TOOLS) is None
    assert TEXT.instruction_for(OutputMode.TEXT) is None


def test_functions_are_shown_in_gemma_s_own_style() -> None:
    text = ONE_CALL.instruction_for(OutputMode.PROMPT)
    assert text is not None
    assert text.startswith("You have access to functions.")
    assert "[func_name(params_name1=params_value1, params_name2=params_value2)]" in text
    definitions = json.loads(text[text.index("[{") :])
    assert [one["name"] for one in definitions] == ["get_weather"]
    assert definitions[0]["parameters"]["properties"]["city"] == {"type": "string"}
    assert ONE_CALL.instruction_for(OutputMode.TOOLS) is None
    assert '{"name": function name, "parameters": ' in (ONE_CALL.instruction_for(OutputMode.JSON_OBJECT) or "")


def test_a_parameter_that_is_no_python_name_is_asked_for_in_json() -> None:
    odd = FunctionSettings(name="f", parameters={"type": "object", "properties": {"two words": {"type": "string"}}})
    shape = load_answer_schema(OutputSettings(path="out", functions=(odd,)))
    assert '{"name": function name' in (shape.instruction_for(OutputMode.PROMPT) or "")


def test_an_enforced_mode_is_probed_without_a_word_about_json() -> None:
    for output_mode in (OutputMode.JSON_SCHEMA, OutputMode.TOOLS):
        (turn,) = probe_request(output_mode, SHAPE).turns
        assert turn.parts == ("Say hello.",)
    (turn,) = probe_request(OutputMode.PROMPT, SHAPE).turns
    assert str(SHAPE.instruction_for(OutputMode.PROMPT)) in str(turn.parts[0])


@pytest.mark.parametrize(
    ("completion", "output_mode", "shape", "passes"),
    [
        (reply(GOOD), OutputMode.JSON_SCHEMA, SHAPE, True),
        (reply("Hello! How can I help?"), OutputMode.JSON_SCHEMA, SHAPE, False),
        (reply(""), OutputMode.JSON_SCHEMA, SHAPE, False),
        (reply('{"caption": "Hello, this is a long', "length"), OutputMode.JSON_SCHEMA, SHAPE, True),
        (reply('{"caption": "1' + "0" * 200, "length"), OutputMode.JSON_SCHEMA, SHAPE, True),
        (reply("Hello! I am a long", "length"), OutputMode.JSON_SCHEMA, SHAPE, False),
        (reply('{"greeting": "hello"}'), OutputMode.JSON_SCHEMA, SHAPE, False),
        (reply("", "tool_calls", ToolCall("answer", GOOD)), OutputMode.TOOLS, SHAPE, True),
        (reply(GOOD), OutputMode.TOOLS, SHAPE, False),
        (reply("", "length", ToolCall("answer", '{"caption": "Hel')), OutputMode.TOOLS, SHAPE, True),
        (reply(GOOD), OutputMode.JSON_OBJECT, SHAPE, True),
        (reply(f"```json\n{GOOD}\n```"), OutputMode.JSON_OBJECT, SHAPE, False),
        (reply(f"```json\n{GOOD}\n```"), OutputMode.PROMPT, SHAPE, True),
        (reply("I cannot."), OutputMode.PROMPT, SHAPE, False),
        (reply('{"call": {"name": "stop-it", "parameters": {}}}'), OutputMode.JSON_SCHEMA, CALLS, True),
        (reply('[get_weather(city="Paris")]'), OutputMode.PROMPT, CALLS, True),
        (reply("Hi."), OutputMode.TEXT, TEXT, True),
    ],
)
def test_a_probe_passes_only_where_the_mode_shows(
    completion: ChatCompletion, output_mode: OutputMode, shape: AnswerSchema, passes: bool
) -> None:
    assert probe_passes(completion, output_mode, shape) is passes


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (404, "No endpoints found that support tool use. To learn more about provider routing, visit: …"),
        (404, "No endpoints found that support the provided 'tool_choice' value."),
        (404, "No endpoints found that can handle the requested parameters."),
        (400, "JSON mode is not enabled for models/gemma-3-4b-it"),
        (400, "Function calling is not enabled for models/gemma-3-4b-it"),
        (405, "json_object response format is not supported for model"),
        (400, "'response_format.type' must be 'json_schema' or 'text'"),
        (400, "The provided JSON schema contains features not supported by xgrammar."),
        (400, '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'),
        (400, "JSON schema conversion failed: Unrecognized schema"),
        (400, "registry.ollama.ai/library/gemma3:4b does not support tools"),
        (500, "tools param requires --jinja flag"),
        (500, "[{'type': 'literal_error', 'loc': ('body', 'response_format', 'type'), 'msg': 'Input should be …'}]"),
        (422, "response_format: extra inputs are not permitted"),
        (400, "Invalid schema for response_format 'answer': 'pattern' is not permitted."),
        (400, "Invalid JSON payload received. Unknown name \"const\" at 'tools[0].function_declarations[4]'"),
    ],
)
def test_these_errors_refuse_the_output_mode(status: int, message: str) -> None:
    assert refuses_mode(status, message)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (404, "No endpoints found for google/gemma-9-4b-it."),
        (404, "No allowed providers are available for the selected model."),
        (400, "This endpoint's maximum context length is 131072 tokens."),
        (400, "google/gemma-9 is not a valid model ID"),
        (401, "No auth credentials found"),
        (402, "Insufficient credits, and response_format is not to blame"),
        (429, "Rate limit exceeded: tools"),
        (500, "Internal Server Error"),
        (503, "response_format service unavailable"),
        (200, "tools"),
    ],
)
def test_these_errors_do_not(status: int, message: str) -> None:
    assert not refuses_mode(status, message)
