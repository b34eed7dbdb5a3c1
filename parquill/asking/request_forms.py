"""In which form requests are sent: the system text's role, and the name of the answer's limit.

Not every endpoint takes OpenAI's form. Gemma at Google refuses a system turn, OpenAI's newer models
refuse `max_tokens`. Where the job leaves it to Parquill (`auto`), the usual form is sent until the endpoint
refuses it in words that say so; from then on, for the whole run, the other one. Such a refusal is free.

A form changes how a request is written, not what is asked: token counts and fingerprints do not know it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from parquill.chat import ChatRequest, Turn
from parquill.job import ModelSettings

Limit = Literal["max_tokens", "max_completion_tokens"]

_REFUSES_SYSTEM = re.compile(
    r"\b(developer|system) (instruction|role|message|prompt|turn)s?\b.{0,80}\b(not|isn't|aren't|cannot|unsupported)\b"
    r"|\b(not support|no support for|unsupported|does not have|doesn't support)\b.{0,80}\b(system|developer)\b"
    r"|roles must alternate|only (the )?user and (assistant|model) roles"
    r"|\b(invalid|unknown|unexpected) role\b.{0,20}\bsystem\b|valid roles?: user, (assistant|model)\b",
    re.IGNORECASE | re.DOTALL,
)
_REFUSES_MAX_TOKENS = re.compile(
    r"max_tokens\W.{0,80}\b(not supported|unsupported|not permitted|unrecognized|unknown|deprecated)\b"
    r"|\b(unsupported|unknown|unrecognized)\b.{0,40}\Wmax_tokens\b|\buse\W{1,3}max_completion_tokens\b",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Form:
    """One way of writing a request."""

    system_role: Literal["system", "developer", "user"]
    """`user`: the system text stands before the first user turn's own, as Gemma's template puts it."""
    limit: Limit

    def written(self, request: ChatRequest) -> ChatRequest:
        """Return a request with its system turn in this form."""
        if self.system_role == "system" or request.turns[0].role != "system":
            return request
        system, first, *others = request.turns
        if self.system_role == "developer":
            return ChatRequest((Turn("developer", system.parts), first, *others))
        text = "\n".join(part for part in system.parts if isinstance(part, str))
        lead = f"{text}\n" if isinstance(first.parts[0], str) else text  # neighbouring texts are merged by one newline
        return ChatRequest((replace(first, parts=(lead, *first.parts)), *others))


def first_form(model: ModelSettings, parameters: frozenset[str] | None) -> Form:
    """Return the form to begin with.

    Args:
        model: The job's settings.
        parameters: What the endpoint says that it takes; None where it says nothing.
    """
    role, limit = model.system_role, model.max_tokens_field
    if limit == "auto":
        newer = parameters is not None and "max_completion_tokens" in parameters and "max_tokens" not in parameters
        limit = "max_completion_tokens" if newer else "max_tokens"
    return Form("system" if role == "auto" else role, limit)


class FormChoice:
    """The form in force; what the job leaves to Parquill changes once at most, and never back."""

    def __init__(
        self, model: ModelSettings, parameters: frozenset[str] | None, notice: Callable[[str], object]
    ) -> None:
        self.form = first_form(model, parameters)
        self._auto_role = model.system_role == "auto"
        self._auto_limit = model.max_tokens_field == "auto"
        self._notice = notice

    def adapts(self, request: ChatRequest, used: Form, message: str) -> bool:
        """Take a refusal; return whether the request is worth sending again, in the form that is then in force.

        Rows that were sent in the same form hear of it one after another: only the first one changes it.

        Args:
            request: What was refused.
            used: The form that it was sent in.
            message: The endpoint's words.
        """
        has_system = used.system_role == "system" and request.turns[0].role == "system"
        no_system = self._auto_role and has_system and bool(_REFUSES_SYSTEM.search(message))
        no_limit = self._auto_limit and used.limit == "max_tokens" and bool(_REFUSES_MAX_TOKENS.search(message))
        if no_system and self.form.system_role == "system":
            self.form = replace(self.form, system_role="user")
            self._notice("the endpoint takes no system turn: its text goes before the user's (model.system_role: user)")
        if no_limit and self.form.limit == "max_tokens":
            self.form = replace(self.form, limit="max_completion_tokens")
            self._notice("the endpoint takes max_completion_tokens in place of max_tokens (model.max_tokens_field)")
        return no_system or no_limit
