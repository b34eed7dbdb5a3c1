"""Typed answers: from a JSON Schema to request settings, and from a model's words to Arrow columns.

    schema_source.py   where a schema comes from: a file, the job, a pydantic model
    model_check.py     such a model: its schema, and its validators, which run after all other checks
    schema_document.py a checked document of a known draft; patterns.py: its regular expressions;
                       schema_references.py: `$ref`; schema_words.py and keywords.py: its words
    schema.py          document -> tree of nodes; what is refused, with its place (schema_objects.py: structs;
                       schema_merge.py: `$ref` and `allOf` in one; schema_cursor.py)
    schema_tree.py     the tree, and the JSON Schemas made from it: what the fingerprint holds, what a column can hold
    sent_schema.py     tree -> the JSON Schema that is sent, in an endpoint's dialect (schema_dialects.py)
    validator.py       checks an answer by the whole document; optional_nulls.py: nulls that mean "left out"
    arrow.py           tree -> Arrow type; plain JSON values -> Arrow array
    functions.py       several functions, one of which is called
    answer_schema.py   AnswerSchema: all of it for one job
    output_modes.py    the ways to ask, in their fallback order; probe.py: what shows that one works
    parse.py           completion -> Answer; strict_json.py (to the letter), exact_numbers.py, repair.py, json_slips.py,
                    python_literals.py and verify_repair.py (damaged text), unwrap.py (names around the answer),
                    coerce.py with inner_json.py, words_around.py, written_numbers.py and dates.py (values),
                    union_repairs.py (the same inside unions),
                    normalize.py (normal form),
                    repetition.py, control.py (marks and thoughts around an answer), plain.py (no schema)
    reask.py        what a paid second try says and samples differently
    examples.py     few-shot examples -> turns

What always holds: an answer that is ok fits the schema and is what the model said; where a
damaged text can be read in two ways it is a fault. An answer is a plain JSON value until a part
is written. Nothing here waits, opens a connection or raises for what a model wrote.

Trade-offs: optional properties and nulls are one and the same; numbers are doubles; what has no exact type is
JSON text (unions, objects with any keys, lists of several types); a fault costs a request where a bold guess would
be free.
"""

from parquill.answers.answer_schema import AnswerSchema, load_answer_schema, parse_apart
from parquill.answers.arrow import JSON_MEMBERS
from parquill.answers.examples import example_turns
from parquill.answers.output_modes import OutputMode, fallback_order, refuses_mode
from parquill.answers.parse import Answer
from parquill.answers.probe import probe_passes, probe_request
from parquill.answers.reask import reask_settings, reask_turns
from parquill.answers.schema_dialects import SchemaDialect, dialect_of, refused_words
from parquill.answers.schema_source import read_schema

__all__ = [
    "JSON_MEMBERS",
    "Answer",
    "AnswerSchema",
    "OutputMode",
    "SchemaDialect",
    "dialect_of",
    "example_turns",
    "fallback_order",
    "load_answer_schema",
    "parse_apart",
    "probe_passes",
    "probe_request",
    "read_schema",
    "reask_settings",
    "reask_turns",
    "refused_words",
    "refuses_mode",
]
