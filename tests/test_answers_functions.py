"""Function calls: native, in Gemma's prompt style and as JSON, into one struct."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from parquill.answers import Answer, OutputMode, load_answer_schema
from parquill.chat import ChatCompletion, ToolCall
from parquill.job import FunctionSettings, OutputSettings

FUNCTIONS = (
    FunctionSettings(
        name="get_weather",
        description="The weather somewhere.",
        parameters={
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "integer"},
                "unit": {"enum": ["C", "F"]},
                "from": {"type": "string", "format": "date"},
                "near": {"type": "array", "items": {"type": "number"}},
                "place": {"type": "object", "properties": {"zip": {"type": "string"}}},
            },
            "required": ["city"],
        },
    ),
    FunctionSettings(name="get-time", parameters={"type": "object", "properties": {"zone": {"type": "string"}}}),
    FunctionSettings(name="stop"),
)
SHAPE = load_answer_schema(OutputSettings(path="out", functions=FUNCTIONS))


def parse(text: str, *calls: ToolCall, reason: str = "stop") -> Answer:
    return SHAPE.parse(ChatCompletion(None, None, None, text, calls, reason, None), OutputMode.PROMPT)


def called(name: str, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": {name: arguments}}


PARIS = called("get_weather", city="Paris")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('[get_weather(city="Paris")]', PARIS),
        ("[get_weather(city='Paris')]", PARIS),
        ('get_weather(city="Paris")', PARIS),
        ('```tool_code\nget_weather(city="Paris")\n```', PARIS),
        ('Sure:\n[get_weather(city="Paris")]', PARIS),
        ('[get_weather(city="Paris"), get_weather(city="Paris")]', PARIS),
        ('[get_weather(city="Paris (Texas), \\"US\\"")]', called("get_weather", city='Paris (Texas), "US"')),
        ('[get_weather(city="Paris", days=3)]', called("get_weather", city="Paris", days=3)),
        ('[get_weather(city="Paris", days="3", unit="c")]', called("get_weather", city="Paris", days=3, unit="C")),
        ('[get_weather(city="Paris", days=None)]', called("get_weather", city="Paris", days=None)),
        ('[get_weather(city="Paris", days=null)]', called("get_weather", city="Paris", days=None)),
        ('[get_weather(city="X", near=[-1, 2.5])]', called("get_weather", city="X", near=[-1, 2.5])),
        ('[get_weather(city="X", place={"zip": "1"})]', called("get_weather", city="X", place={"zip": "1"})),
        ("[get-time(zone='UTC')]", called("get-time", zone="UTC")),
        ("[stop()]", called("stop")),
        ('{"name": "get_weather", "parameters": {"city": "Paris"}}', PARIS),
        ('{"name": "get_weather", "arguments": {"city": "Paris"}}', PARIS),
        ('```json\n{"name": "get_weather", "parameters": {"city": "Paris"}}\n```', PARIS),
        ("{'name': 'get_weather', 'parameters': {'city': 'Paris',}}", PARIS),
        ('{"call": {"name": "get_weather", "parameters": {"city": "Paris"}}}', PARIS),
        ('{"name": "stop"}', called("stop")),
    ],
)
def test_a_call_in_text_is_understood(text: str, value: Any) -> None:
    answer = parse(text)
    assert answer.errors == ()
    assert answer.value == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("I would look out of the window.", "no call of a function"),
        ('[get_weather("Paris")]', "with its name"),
        ("[get_weather(**{'city': 'Paris'})]", "with its name"),
        ("[get_weather(city=Paris)]", "not a plain value"),
        ("[get_weather(city=open('/etc/passwd').read())]", "not a plain value"),
        ("[get_weather(city='a' 'b')]", "side by side"),
        ("[get_weather(city=f'{x}')]", "prefix"),
        ('[get_weather(city="Paris"', "not closed"),
        ('[get_weather(city="Paris)]', "not closed"),
        ('[get_weather(city="Paris", city="Rome")]', "stands twice"),
        ('[get_weather(town="Paris")]', "city"),
        ("[get_weather(days=3)]", "city"),
        ('[get_weather(city="Paris"), stop()]', "2 different answers"),
        ('[get_snow(city="Paris")]', "no call of a function"),
        ('{"name": "get_snow", "parameters": {}}', "no function 'get_snow'"),
        ('{"name": "get_weather", "parameters": "Paris"}', "has the form"),
        ('{"name": "get_weather", "city": "Paris"}', "no key 'city'"),
        ('{"name": "stop", "parameters": {"now": true}}', "'now' was unexpected"),
        ('{"name": "get_weather", "parameters": {"city": "Paris"}', "the end is missing"),
    ],
)
def test_a_call_that_could_mean_something_else_is_refused(text: str, said: str) -> None:
    answer = parse(text)
    assert (answer.ok, answer.fault) == (False, "invalid")
    assert said in " ".join(answer.errors)


def test_a_native_call_is_taken_with_its_raw_arguments_as_text() -> None:
    answer = parse("", ToolCall("get_weather", '{"city": "Paris"}'), reason="tool_calls")
    assert (answer.value, answer.text) == (PARIS, 'get_weather({"city": "Paris"})')


def test_a_native_call_without_arguments_may_have_an_empty_text() -> None:
    assert parse("", ToolCall("stop", ""), reason="tool_calls").value == called("stop")


@pytest.mark.parametrize(
    "calls",
    [
        (ToolCall("get_snow", "{}"),),
        (ToolCall("get_weather", '{"city": "Paris"}'), ToolCall("stop", "{}")),
        (ToolCall("get_weather", '{"city": "Par'),),
        (ToolCall("get_weather", '{"city": "A"}{"city": "B"}'),),
    ],
)
def test_a_native_call_that_is_not_one_whole_call_of_ours_is_refused(calls: tuple[ToolCall, ...]) -> None:
    assert parse("", *calls, reason="tool_calls").fault == "invalid"


def test_a_cut_off_call_is_truncated() -> None:
    assert parse('[get_weather(city="Pa', reason="length").fault == "truncated"
    assert parse("", ToolCall("get_weather", '{"city": "Par'), reason="length").fault == "truncated"


def test_the_answer_is_a_struct_that_readers_take_by_name() -> None:
    import duckdb

    column = SHAPE.to_arrow(
        [
            parse('{"name": "get_weather", "parameters": {"city": "Paris", "from": "2024-05-03"}}').value,
            parse("[get-time(zone='UTC')]").value,
            parse("[stop()]").value,
            None,
        ]
    )
    assert column.type.field("name").type == pa.dictionary(pa.int32(), pa.string())
    file = io.BytesIO()
    pq.write_table(pa.table({"answer": column}), file)
    answers = pq.read_table(file)
    rows = duckdb.from_arrow(answers).project(
        'answer.name, answer.arguments.get_weather.city, answer.arguments.get_weather."from"::varchar, '
        'answer.arguments."get-time".zone, answer.arguments.stop'
    )
    assert rows.fetchall() == [
        ("get_weather", "Paris", "2024-05-03", None, None),
        ("get-time", None, None, "UTC", None),
        ("stop", None, None, None, "{}"),
        (None, None, None, None, None),
    ]
