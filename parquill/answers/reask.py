"""Paid second tries: what the request says differently, and what it samples differently.

An answer that does not fit is shown with its faults. One that was cut off gets a higher token limit, once.
One that looped, or said nothing, is asked the same question with other sampling: showing a loop
to a model feeds it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parquill.answers.answer_schema import AnswerSchema
from parquill.answers.parse import Answer
from parquill.chat import ChatRequest, Turn

SHOWN_CHARS = 4_000
"""Of an answer that does not fit, so much is shown: its tokens are paid again."""

_WANTED = {
    "text": "Reply again.",
    "schema": "Reply again with the whole corrected JSON object and nothing else.",
    "functions": "Reply again with exactly one function call and nothing else.",
}


def reask_turns(request: ChatRequest, answer: Answer, shape: AnswerSchema) -> ChatRequest:
    """Return the request to send after `answer`; roles still alternate.

    `request` is the row's first request: a second re-ask shows the latest answer only.
    """
    if answer.fault != "invalid":
        return request
    faults = "\n".join(f"- {error}" for error in answer.errors)
    said = Turn("assistant", (answer.text[:SHOWN_CHARS],))
    wanted = Turn("user", (f"That answer cannot be used:\n{faults}\n{_WANTED[shape.kind]}",))
    return ChatRequest((*request.turns, said, wanted))


def reask_settings(answer: Answer, settings: Mapping[str, Any], n: int) -> dict[str, Any]:
    """Return the keys of the request body that the `n`-th re-ask (from 1) changes.

    `settings` are the first request's. Only keys that the job sends anyway are changed, and the
    temperature, which every endpoint knows: with `require_parameters` a new one could find no
    endpoint. An empty dict means that asking again would change nothing: an answer that was cut
    off twice stays `truncated`.
    """
    if answer.fault == "truncated":
        key = "max_completion_tokens" if "max_completion_tokens" in settings else "max_tokens"
        return {key: settings[key] * 2} if n == 1 and settings.get(key) else {}
    changed: dict[str, Any] = {"temperature": _other_temperature(answer, settings.get("temperature") or 0.0, n)}
    if settings.get("seed") is not None:
        changed["seed"] = settings["seed"] + n
    return changed


def _other_temperature(answer: Answer, first: float, n: int) -> float:
    """Return a temperature that no try before had: an equal body may be answered from a response cache."""
    lowest = max(first, 0.2 if answer.fault == "invalid" else 0.7)
    higher = lowest + 0.1 * n
    return round(higher if higher <= 2 else lowest - 0.1 * n, 2)
