"""Output modes: the ways to get a typed answer out of an endpoint, in fallback order, best first.

| mode | what is sent | what makes the model follow the schema |
|---|---|---|
| `json_schema` | `response_format` with the schema, strict | the endpoint's grammar |
| `tools` | one forced function call whose parameters are the schema | the endpoint |
| `json_object` | `response_format: json_object`, the schema in the prompt | the endpoint: JSON; the prompt: keys |
| `prompt` | the schema in the prompt | the prompt |
| `text` | nothing | plain text has no schema |

The mode is no part of a row's fingerprint: it changes how an answer is asked for, not what is asked.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Literal


class OutputMode(StrEnum):
    """One way of asking; also what a part's metadata says."""

    JSON_SCHEMA = "json_schema"
    TOOLS = "tools"
    JSON_OBJECT = "json_object"
    PROMPT = "prompt"
    TEXT = "text"


_NEEDS = {
    OutputMode.JSON_SCHEMA: "structured_outputs",
    OutputMode.TOOLS: "tools",
    OutputMode.JSON_OBJECT: "response_format",
}
"""OpenRouter's words in `supported_parameters`."""

_FOR_SCHEMA = (OutputMode.JSON_SCHEMA, OutputMode.TOOLS, OutputMode.JSON_OBJECT, OutputMode.PROMPT)
_FOR_FUNCTIONS = (OutputMode.TOOLS, OutputMode.JSON_SCHEMA, OutputMode.JSON_OBJECT, OutputMode.PROMPT)

Kind = Literal["text", "schema", "functions"]
"""What a job's answers are."""
Mode = Literal["auto", "json_schema", "tools", "json_object", "prompt"]


def fallback_order(mode: Mode, supported_parameters: frozenset[str] | None, kind: Kind) -> tuple[OutputMode, ...]:
    """Return the modes to try, best first; each but the last may turn out to be refused.

    `supported_parameters`: what the endpoint says it takes; None where it says nothing, and
    every mode has to be probed. A mode other than auto is the only one tried.
    """
    if kind == "text":
        return (OutputMode.TEXT,)
    if mode != "auto":
        return (OutputMode(mode),)
    output_modes = _FOR_SCHEMA if kind == "schema" else _FOR_FUNCTIONS
    if supported_parameters is None:
        return output_modes
    return tuple(
        output_mode
        for output_mode in output_modes
        if _NEEDS.get(output_mode) is None or _NEEDS[output_mode] in supported_parameters
    )


_SUBJECT = re.compile(
    r"response[_ ]?(?:format|schema)|output_(?:format|config)|\b(?:input_)?schemas?\b|"
    r"json[_ ]?(?:schema|object|mode)|structured[_ ]?output|guided|grammar|outlines|"
    r"\btools?\b|tool[_ -]?(?:choice|use|call)|function[_ ]?(?:call|declaration)",
    re.IGNORECASE,
)
_NO_ENDPOINT = re.compile(r"no endpoints? found that (?:can handle the requested parameters|support)", re.IGNORECASE)


def refuses_mode(status: int, message: str) -> bool:
    """Tell whether an error reply means that the endpoint does not take this output mode.

    Seen: OpenRouter's 404 "No endpoints found that support tool use" (or a `tool_choice`) and
    "… that can handle the requested parameters"; AI Studio's 400 "JSON mode is not enabled";
    DeepInfra's 405 "json_object response format is not supported for model"; LM Studio's 400
    "'response_format.type' must be …"; vLLM's 400 about xgrammar and tool parsers; llama.cpp's 400
    and 500 about schemas and `--jinja`; llama-cpp-python's 500 for any response_format but its own.
    A plain 500, or a 404 for the model, is none of them.
    """
    if status == 404:
        return bool(_NO_ENDPOINT.search(message))
    return status in (400, 405, 415, 422, 500, 501) and bool(_SUBJECT.search(message))
