"""Builds a run's request bodies: the fields that are the same for every row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from parquill.answers import AnswerSchema, OutputMode
from parquill.asking.request_forms import Form, FormChoice
from parquill.chat import ChatRequest, RequestBody
from parquill.endpoint import EndpointFacts
from parquill.job import Job
from parquill.prices import max_price


class RequestBodies:
    """Writes requests; settings are serialised once for each output mode and form."""

    def __init__(self, job: Job, facts: EndpointFacts, shape: AnswerSchema, forms: FormChoice) -> None:
        self._job = job
        self._facts = facts
        self._shape = shape
        self._forms = forms
        self._made: dict[tuple[OutputMode, Form], tuple[dict[str, Any], RequestBody]] = {}

    def body(self, request: ChatRequest, output_mode: OutputMode, changed: Mapping[str, Any] | None) -> Body:
        """Return one request's body; `changed` settings hold for it alone."""
        return Body(
            request, self._forms, lambda form: self._of(output_mode, form)[1].build(form.written(request), changed)
        )

    def settings(self, output_mode: OutputMode, form: Form) -> dict[str, Any]:
        """Return every key of the bodies but the messages."""
        return self._of(output_mode, form)[0]

    def _of(self, output_mode: OutputMode, form: Form) -> tuple[dict[str, Any], RequestBody]:
        if (output_mode, form) not in self._made:
            settings = request_settings(self._job, self._facts, self._shape, output_mode, form)
            self._made[output_mode, form] = settings, RequestBody(settings)
        return self._made[output_mode, form]


class Body:
    """One request's bytes, written before it waits for its turn, and anew where the form has changed since."""

    __slots__ = ("_forms", "_raw", "_write", "form", "request")

    def __init__(self, request: ChatRequest, forms: FormChoice, write: Callable[[Form], bytes]) -> None:
        self.request = request
        self.form = forms.form
        self._forms = forms
        self._write = write
        self._raw = write(forms.form)

    def to_send(self) -> bytes:
        """Return the bytes in the form that is in force now."""
        if self.form is not self._forms.form:
            self.form = self._forms.form
            self._raw = self._write(self.form)
        return self._raw

    def adapts(self, message: str) -> bool:
        """Take a refusal; return whether it was of the form, and the request is worth sending in another one."""
        return self._forms.adapts(self.request, self.form, message)


def request_settings(
    job: Job, facts: EndpointFacts, shape: AnswerSchema, output_mode: OutputMode, form: Form
) -> dict[str, Any]:
    """Return every key of a request's body but the messages: the same for all rows on a rung."""
    model = job.model
    settings: dict[str, Any] = {"model": model.name, form.limit: model.max_tokens}
    for name in ("temperature", "top_p", "top_k", "seed", "stop"):
        if (value := getattr(model, name)) is not None:
            settings[name] = value
    settings |= shape.settings_for(output_mode)
    if facts.openrouter:
        provider = dict(model.provider)
        if output_mode is not OutputMode.TEXT and output_mode is not OutputMode.PROMPT:
            provider.setdefault("require_parameters", True)
        if facts.price is not None and job.budget.usd is not None:
            provider.setdefault("max_price", max_price(facts.price))
        if provider:
            settings["provider"] = provider
        if model.fallback_models:
            settings["models"] = [model.name, *model.fallback_models]
    elif model.provider:
        settings["provider"] = dict(model.provider)
    tags = model.request_tags
    if tags.user is not None:
        settings["user"] = tags.user
    if tags.metadata:
        settings["metadata"] = dict(tags.metadata)
    return settings | model.extra_body
