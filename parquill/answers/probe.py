"""Builds one small request that shows whether an endpoint takes an output mode.

An endpoint may take `response_format` and ignore it. So the probe of an enforced mode does not
mention JSON: only a model that is held to the schema answers "Say hello." with an object.
"""

from __future__ import annotations

from parquill.answers.answer_schema import AnswerSchema
from parquill.answers.output_modes import OutputMode
from parquill.answers.parse import Answer
from parquill.chat import ChatCompletion, ChatRequest, Turn

_ENFORCED = (OutputMode.JSON_SCHEMA, OutputMode.TOOLS)


def probe_request(output_mode: OutputMode, shape: AnswerSchema) -> ChatRequest:
    """Return what to ask; the output mode's `settings_for` go with it, and a `max_tokens` of a few hundred."""
    text = "Say hello."
    if output_mode not in _ENFORCED:
        text = "\n\n".join(filter(None, ("Make up an example.", shape.instruction_for(output_mode))))
    return ChatRequest((Turn("user", (text,)),))


def probe_passes(completion: ChatCompletion, output_mode: OutputMode, shape: AnswerSchema) -> bool:
    """Tell whether the reply shows that the mode works.

    `tools` must give a native call, `json_object` bare JSON without a fence; an object that only
    ran into the token limit, or went round in circles, counts, because its beginning was enforced.
    """
    answer = shape.parse(completion, output_mode)
    if output_mode is OutputMode.TOOLS and not completion.tool_calls:
        return False
    if output_mode is OutputMode.JSON_OBJECT and {"fence", "prose"} & set(answer.repairs):
        return False
    return answer.ok or _was_cut(answer, output_mode)


def _was_cut(answer: Answer, output_mode: OutputMode) -> bool:
    opened = answer.text.lstrip().startswith("{") or output_mode in (OutputMode.TOOLS, OutputMode.TEXT)
    return answer.fault in ("truncated", "loop") and opened
