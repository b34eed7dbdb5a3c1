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
    refuses_mode,
)
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


def test_strict_is_not_claimed_for_a_schema_with_open_objects() -> None:
    shape = load_answer_schema(
        OutputSettings(path="out", schema={"type": "object", "properties": {"any": {"type": "object"}}})
    )
    assert shape.settings_for(OutputMode.JSON_SCHEMA)["response_format"]["json_schema"]["strict"] is False


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
