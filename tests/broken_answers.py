"""140 broken answers of small models and their one meaning, or none: what `docs/typed-answers.md` counts.

Built after faults that users report of Gemma 3 and other small models: code fences and prose around the JSON, drafts
in thoughts, Python's and JavaScript's literals, quotes that are not escaped, texts that were cut, markdown in values,
words around an enum's value, and the answer inside the name that the prompt or the schema gave it.

`means` is the value when a reader who knows the schema can read the text in one way only. It is None when the text
leaves a doubt: then the row is to be asked again, and any value at all is a wrong one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

_STRING, _NUMBER, _BOOLEAN = {"type": "string"}, {"type": "number"}, {"type": "boolean"}


def _object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


SCHEMAS: dict[str, dict[str, Any]] = {
    "product": _object(
        name=_STRING,
        price=_NUMBER,
        stock={"type": "string", "enum": ["in_stock", "out_of_stock", "preorder"]},
        colours={"type": "array", "items": _STRING},
        sale=_BOOLEAN,
    ),
    "review": _object(
        sentiment={"type": "string", "enum": ["positive", "negative", "neutral"]},
        stars={"type": "integer", "minimum": 1, "maximum": 5},
        summary=_STRING,
    ),
    "person": _object(
        name=_STRING,
        age={"type": ["integer", "null"]},
        address=_object(street=_STRING, city=_STRING),
    ),
    "visit": _object(day={"type": "string", "format": "date"}, guests={"type": "integer"}, rooms={
        "type": "array", "items": {"type": "integer"}}),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Broken:
    """One answer as a model wrote it."""

    name: str
    schema: str
    text: str
    means: dict[str, Any] | None = None
    call: str | None = None
    """The arguments of a native call, where the model made one."""
    finish_reason: str = "stop"


P: dict[str, Any] = {
    "name": "Desk lamp", "price": 24.5, "stock": "in_stock", "colours": ["red", "black"], "sale": False,
}  # fmt: skip
R: dict[str, Any] = {"sentiment": "positive", "stars": 4, "summary": "Bright, and easy to set up."}
A: dict[str, Any] = {"name": "Ada Okafor", "age": 36, "address": {"street": "Main Street 5", "city": "Leeds"}}
V: dict[str, Any] = {"day": "2024-05-03", "guests": 3, "rooms": [4]}
JP, JR, JA, JV = map(json.dumps, (P, R, A, V))


def product(name: str, text: str, means: dict[str, Any] | None = P, **more: Any) -> Broken:
    """A broken answer for the schema `product`."""
    return Broken(name, "product", text, means, **more)


def review(name: str, text: str, means: dict[str, Any] | None = R, **more: Any) -> Broken:
    """A broken answer for the schema `review`."""
    return Broken(name, "review", text, means, **more)


def person(name: str, text: str, means: dict[str, Any] | None = A, **more: Any) -> Broken:
    """A broken answer for the schema `person`."""
    return Broken(name, "person", text, means, **more)


def visit(name: str, text: str, means: dict[str, Any] | None = V, **more: Any) -> Broken:
    """A broken answer for the schema `visit`."""
    return Broken(name, "visit", text, means, **more)


def _mood(written: str) -> str:
    return JR.replace('"positive"', json.dumps(written, ensure_ascii=False))


def _price(written: str) -> str:
    return JP.replace("24.5", written)


ONE_MEANING: tuple[Broken, ...] = (
    product("a code fence", f"```json\n{JP}\n```"),
    product("a code fence that is never closed", f"```json\n{JP}"),
    product("prose and a fence", f"Sure! Here is the product:\n\n```json\n{JP}\n```\n\nLet me know if you need more."),
    product("a bold heading", f"**Answer:**\n\n{JP}"),
    product("backticks on the line", f"`{JP}`"),
    product("the word json before it", f"json\n{JP}"),
    product("tags of XML around it", f"<answer>\n{JP}\n</answer>"),
    product("braces of a template, doubled", "{" + JP + "}"),
    product("placeholders in the prose after it",
            f"{JP}\n\nI replaced {{name}} and {{price}} by what the picture shows."),
    review("a draft in thoughts",
           f'<think>Maybe {{"sentiment": "neutral", "stars": 3, "summary": "Fine."}}?</think>\n{JR}'),
    review("thoughts whose opening was in the prompt", f'It could be {_mood("neutral")} at first.\n</think>\n\n{JR}'),
    review("thoughts after a sentence", f"Okay.\n<think>{_mood('negative')} or not?</think>\n{JR}"),
    review("thoughts in square brackets", f"[THINK]{_mood('negative')}? No.[/THINK]{JR}"),
    review("a channel of analysis before the final one", f"<|channel|>analysis<|message|>{_mood('neutral')}?<|end|>"
           f"<|start|>assistant<|channel|>final<|message|>{JR}"),
    review("a tag of reasoning", f"<reasoning>The reader is pleased.</reasoning>{JR}<end_of_turn>"),
    product("single quotes and Python's words", str(P)),
    person("Python's None", str(A | {"age": None}), A | {"age": None}),
    product("curly quotation marks", JP.replace(': "', ": “").replace('", "', "”, “").replace('["', "[“")
            .replace('"]', "”]").replace('{"', "{“").replace('":', "”:").replace(', "', ", “")),
    product("bare keys",
            "{name: \"Desk lamp\", price: 24.5, stock: \"in_stock\", colours: [\"red\", \"black\"], sale: false}"),
    product("a key without its opening quotation mark", JP.replace('"price"', 'price"')),
    review("quotes inside quotes", '{"sentiment": "positive", "stars": 4, "summary": "The "Pro" model works."}',
           R | {"summary": 'The "Pro" model works.'}),
    review("a line break in a string", '{"sentiment": "positive", "stars": 4, "summary": "Bright.\nEasy."}',
           R | {"summary": "Bright.\nEasy."}),
    product("a trailing comma", JP[:-1] + ",\n}"),
    product("trailing commas at two places", JP.replace('"black"]', '"black",]')[:-1] + ",}"),
    product("comments of JavaScript",
            '{\n  "name": "Desk lamp", // as on the box\n  "price": 24.5,\n  "stock": "in_stock",\n'
            '  "colours": ["red", "black"], /* both sides */\n  "sale": false\n}'),
    product("a comment of Python", JP.replace('24.5, ', "24.5, # with tax\n")),
    person("no comma at the end of a line",
            '{\n  "name": "Ada Okafor"\n  "age": 36,\n  "address": {"street": "Main Street 5",'
           ' "city": "Leeds"}\n}'),
    person("the last brace is missing", JA[:-1]),
    person("a brace too many", JA + "}"),
    person("undefined", JA.replace("36", "undefined"), A | {"age": None}),
    person("null as a text", JA.replace("36", '"null"'), A | {"age": None}),
    person("nothing known, in words", JA.replace("36", '"N/A"'), A | {"age": None}),
    product("a number as a text", _price('"24.5"')),
    product("a comma for thousands, as a text", _price('"12,000.50"'), P | {"price": 12000.5}),
    product("a comma for thousands, without quotation marks", _price("12,000.50"), P | {"price": 12000.5}),
    product("points for thousands", _price('"1.234.000,50"'), P | {"price": 1234000.5}),
    product("two commas for thousands", _price('"1,234,567"'), P | {"price": 1234567}),
    product("a number in bold", _price('"**24.5**"')),
    review("a plus sign", JR.replace("4,", '"+4",')),
    review("a whole number with a fraction of zero", JR.replace("4,", "4.0,")),
    review("an enum's value in capitals", _mood("POSITIVE")),
    review("an enum's value with a full stop", _mood("Positive.")),
    review("an enum's value in quotation marks", _mood('"positive"')),
    review("an enum's value in bold", _mood("**Positive**")),
    review("an enum's value and a remark in brackets", _mood("positive (the reader is pleased)")),
    review("an enum's value and why", _mood("Positive - the reader praises the light and the setup")),
    review("a label before an enum's value", _mood("Sentiment: positive")),
    review("a sentence around an enum's value", _mood("The sentiment is positive.")),
    product("an escape of markdown in an enum's value", JP.replace("in_stock", "in\\_stock")),
    product("the same, with the backslash escaped", JP.replace("in_stock", "in\\\\_stock")),
    product("an enum's value in words", JP.replace("in_stock", "In stock")),
    product("inside the name answer", json.dumps({"answer": P})),
    product("inside the schema's properties", json.dumps({"type": "object", "properties": P})),
    product("in a list", f"[{JP}]"),
    product("a call in words", json.dumps({"name": "answer", "arguments": P})),
    product("a call in words, its arguments as a text", json.dumps({"name": "answer", "arguments": JP})),
    product("a call of LangChain", json.dumps({"json_tool_call": {"name": "answer", "parameters": P}})),
    product("a call without arguments, and the object beside it", JP, call="{}"),
    product("inside a name, and that in a result", json.dumps({"result": {"product": P}})),
    product("a list of one for a text", JP.replace('"Desk lamp"', '["Desk lamp"]')),
    visit("a number for a list of numbers", JV.replace("[4]", "4")),
    product("one word for a list of words", JP.replace('["red", "black"]', '"red"'), P | {"colours": ["red"]}),
    product("a list as a text", JP.replace('["red", "black"]', json.dumps("['red', 'black']"))),
    person("an object as a text", json.dumps(A | {"address": json.dumps(A["address"])})),
    person("an object in a list of one", json.dumps(A | {"address": [A["address"]]})),
    product("the whole answer as a text", json.dumps(JP)),
    product("keys in capitals", JP.replace('"name"', '"Name"').replace('"sale"', '"SALE"')),
    product("yes and no", JP.replace("false", '"No"')),
    product("the same object twice", f"{JP}\n\n{JP}"),
    visit("a date in words, with a full stop", JV.replace("2024-05-03", "May 3rd, 2024.")),
)  # fmt: skip

NO_MEANING: tuple[Broken, ...] = (
    product("nothing", "", None),
    product("white space", "\n \n" * 60, None),
    product("prose alone", "I am sorry, I cannot see the picture.", None),
    product("null", "null", None),
    product("cut in a string", JP[:18], None),
    product("cut in a string, at the limit", JP[:18], None, finish_reason="length"),
    product("cut in a number", JP[: JP.index(".5")], None),
    product("cut after a comma", JP[: JP.index('"stock"')], None),
    product("cut in a list", JP[: JP.index('"black"')], None),
    product("cut after a colon", JP[: JP.index("false")], None),
    person("cut in an inner object", JA[: JA.index('"city"')], None),
    person("cut in the last text", JA[: JA.index("eds")], None),
    person("cut in an object, a brace too few for a missing key",
            '{"name": "Ada Okafor", "address": {"street": "Main Street 5"', None),
    product("a fence that was cut", f"```json\n{JP[:60]}", None),
    product("the beginning is missing", JP[10:], None),
    product("a key twice, with two values", JP.replace('"sale"', '"price": 30, "sale"'), None),
    product("a key twice in Python's form", str(P)[:-1] + ", 'price': 30}", None),
    product("two keys that differ in case alone", JP[:-1] + ', "Price": 30}', None),
    product("two different objects", f"{JP}\n{_price('30')}", None),
    product("two different objects in a list", f"[{JP}, {_price('30')}]", None),
    product("an answer and its correction", f"{JP}\nWait, the price is wrong:\n{_price('30')}", None),
    product("an object and a damaged one", f"{JP}\n{_price('30')[:40]}", None),
    product("two names with two objects", json.dumps({"first": P, "second": P | {"price": 30}}), None),
    product("a draft alone", json.dumps({"draft": P}), None),
    product("an example alone", json.dumps({"example": P}), None),
    product("a call and another object beside it", _price("30"), None, call=JP[:-1] + ', "x": 1'),
    product("a call without arguments, and prose beside it", "It is a lamp.", None, call="{}"),
    review("a draft in thoughts and no answer", f"<think>{JR}</think>", None),
    review("thoughts that were cut", f"<think>Perhaps {JR}", None),
    review("thoughts that were cut behind a sentence", f"Let me think.\n<think>Perhaps {JR}", None),
    review("two texts with or", '{"sentiment": "positive", "stars": 4, "summary": "yes" or "no"}', None),
    review("two texts with plus", '{"sentiment": "positive", "stars": 4, "summary": "A red " + "boat"}', None),
    review("two texts with a bar", '{"sentiment": "positive", "stars": 4, "summary": "boat" | "ship"}', None),
    review("two texts side by side", '{"sentiment": "positive", "stars": 4, "summary": "boat" "ship"}', None),
    review("a quotation that could end the text",
           '{"sentiment": "positive", "stars": 4, "summary": "The "Pro", "Max" one"}', None),
    review("a quotation mark is missing", '{"sentiment": "positive, "stars": 4, "summary": "Fine."}', None),
    review("a text without quotation marks", '{"sentiment": "positive", "stars": 4, "summary": Bright and easy}', None),
    review("an escape of markdown in free text",
           '{"sentiment": "positive", "stars": 4, "summary": "the file\\_name"}', None),
    review("a path with bare backslashes", '{"sentiment": "positive", "stars": 4, "summary": "C:\\path\\new"}', None),
    review("half of a surrogate pair", '{"sentiment": "positive", "stars": 4, "summary": "\\ud83d"}', None),
    review("a value that is not in the enum", _mood("great"), None),
    review("two values of an enum", _mood("positive or neutral"), None),
    review("two values of an enum with a slash", _mood("positive/negative"), None),
    review("an enum's value denied", _mood("not positive"), None),
    review("an enum's value far off", _mood("far from positive"), None),
    review("an enum's value and a doubt", _mood("positive (or maybe not)"), None),
    review("an enum's value and another in the remark", _mood("positive (the end is negative)"), None),
    review("an enum's value inside a word", _mood("nonpositive"), None),
    review("a share of each", _mood("70% positive, 30% neutral"), None),
    review("the list of all values", JR.replace('"positive"', '["positive", "negative", "neutral"]'), None),
    product("one comma, three digits", _price('"1,234"'), None),
    product("one comma, three digits, without quotation marks", _price("1,234"), None),
    product("a currency", _price('"24.50 USD"'), None),
    product("about", _price('"about 25"'), None),
    product("a range", _price('"20-25"'), None),
    product("a share", _price('"85%"'), None),
    product("a number in words", _price('"twenty"'), None),
    product("a sum", _price("20 + 4.5"), None),
    product("not a number", _price("NaN"), None),
    product("nothing where a number has to be", _price("null"), None),
    review("a fraction for a whole number", JR.replace("4,", "4.5,"), None),
    review("stars of another scale", JR.replace("4,", '"4/5",'), None),
    review("a number out of its range", JR.replace("4,", "9,"), None),
    product("several words with commas for a list", JP.replace('["red", "black"]', '"red, black"'), None),
    product("a list of two for a text", JP.replace('"Desk lamp"', '["Desk lamp", "Lamp"]'), None),
    product("a required key is missing", JP.replace('"sale": false', '"colour": "red"'), None),
    visit("May or March", JV.replace("2024-05-03", "03/05/2024"), None),
    visit("a day that does not exist", JV.replace("2024-05-03", "2024-02-30"), None),
    product("the schema itself", json.dumps(SCHEMAS["product"]), None),
    product("a table of markdown", "| name | price |\n|---|---|\n| Desk lamp | 24.5 |", None),
)  # fmt: skip

ANSWERS = ONE_MEANING + NO_MEANING
