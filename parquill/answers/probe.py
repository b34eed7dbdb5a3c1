"""One small request that shows whether an endpoint takes a rung.

An endpoint may take `response_format` and ignore it. So the probe of an enforced rung does not
mention JSON: only a model that is held to the schema answers "Say hello." with an object.
"""

from __future__ import annotations

from parquill.answers.parse import Answer
from parquill.answers.rungs import Rung
from parquill.answers.shape import AnswerShape
from parquill.chat import ChatCompletion, ChatRequest, Turn

_ENFORCED = (Rung.JSON_SCHEMA, Rung.TOOLS)


def probe_request(rung: Rung, shape: AnswerShape) -> ChatRequest:
    """Return what to ask; the rung's `settings_for` go with it, and a `max_tokens` of a few hundred."""
    text = "Say hello."
    if rung not in _ENFORCED:
        text = "\n\n".join(filter(None, ("Make up an example.", shape.instruction_for(rung))))
    return ChatRequest((Turn("user", (text,)),))


def probe_passes(completion: ChatCompletion, rung: Rung, shape: AnswerShape) -> bool:
    """Tell whether the reply shows that the rung works.

    `tools` must give a native call, `json_object` bare JSON without a fence; an object that only
    ran into the token limit, or went round in circles, counts, because its beginning was enforced.
    """
    answer = shape.parse(completion, rung)
    if rung is Rung.TOOLS and not completion.tool_calls:
        return False
    if rung is Rung.JSON_OBJECT and {"fence", "prose"} & set(answer.repairs):
        return False
    return answer.ok or _was_cut(answer, rung)


def _was_cut(answer: Answer, rung: Rung) -> bool:
    opened = answer.text.lstrip().startswith("{") or rung in (Rung.TOOLS, Rung.TEXT)
    return answer.fault in ("truncated", "loop") and opened
