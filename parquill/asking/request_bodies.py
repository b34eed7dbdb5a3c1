"""Builds a run's request bodies: the fields that are the same for every row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from parquill.answers import AnswerSchema, OutputMode, SchemaDialect, dialect_of
from parquill.asking.request_forms import Form, FormChoice
from parquill.chat import ChatRequest, RequestBody
from parquill.endpoint import EndpointFacts
from parquill.job import Job
from parquill.prices import max_price


class RequestBodies:
    """Writes requests for a run's endpoints; settings are serialised once for each output mode and form."""

    def __init__(
        self, job: Job, every: Sequence[EndpointFacts], shape: AnswerSchema, notice: Callable[[str], object]
    ) -> None:
        """`every`: what each endpoint says of itself; `notice` is called for a form that an endpoint refuses."""
        self._job = job
        self._every = tuple(every)
        self._shape = shape
        self.forms = tuple(FormChoice(job.model, facts.parameters, notice) for facts in every)
        self._made: dict[tuple[int, OutputMode, frozenset[str], Form], tuple[dict[str, Any], RequestBody]] = {}

    def body(
        self,
        request: ChatRequest,
        output_mode: OutputMode,
        left_out: Callable[[], frozenset[str]],
        changed: Mapping[str, Any] | None,
    ) -> Body:
        """Return one request's body; `changed` settings hold for it alone.

        Its schema is sent without the words that `left_out` gives when it is sent.
        """

        def write(at: int, form: Form, words: frozenset[str]) -> bytes:
            return self._of(at, output_mode, words, form)[1].build(form.written(request), changed)

        return Body(request, self.forms, left_out, write)

    def settings(self, output_mode: OutputMode, left_out: frozenset[str], form: Form, at: int = 0) -> dict[str, Any]:
        """Return every key of the bodies for an endpoint but the messages."""
        return self._of(at, output_mode, left_out, form)[0]

    def words(self, at: int, output_mode: OutputMode, left_out: frozenset[str]) -> frozenset[str]:
        """Return what of the schema that an endpoint is sent could be left out."""
        return self._shape.words_for(output_mode, job_dialect(self._job, self._every[at]).without(left_out))

    def _of(
        self, at: int, output_mode: OutputMode, left_out: frozenset[str], form: Form
    ) -> tuple[dict[str, Any], RequestBody]:
        key = at, output_mode, left_out, form
        if key not in self._made:
            facts = self._every[at]
            dialect = job_dialect(self._job, facts).without(left_out)
            settings = request_settings(self._job, facts, self._shape, output_mode, form, dialect=dialect)
            self._made[key] = settings, RequestBody(settings)
        return self._made[key]


class Body:
    """One request's bytes, written before it waits for its turn, and anew for another endpoint or form."""

    __slots__ = ("_forms", "_raw", "_words", "_write", "at", "form", "left_out", "request")

    def __init__(
        self,
        request: ChatRequest,
        forms: Sequence[FormChoice],
        words: Callable[[], frozenset[str]],
        write: Callable[[int, Form, frozenset[str]], bytes],
    ) -> None:
        self.request = request
        self.at = 0
        """The endpoint that it is written for."""
        self.form = forms[0].form
        self.left_out = words()
        """The words that its schema is written without."""
        self._forms = forms
        self._words = words
        self._write = write
        self._raw = write(0, self.form, self.left_out)

    def to_send(self, at: int) -> bytes:
        """Return the bytes for an endpoint, in the form that is in force there now."""
        form, words = self._forms[at].form, self._words()
        if self.form is not form or self.at != at or self.left_out != words:
            self.at, self.form, self.left_out = at, form, words
            self._raw = self._write(at, form, words)
        return self._raw

    def adapts(self, message: str) -> bool:
        """Take a refusal; return whether it was of the form, and the request is worth sending in another one."""
        return self._forms[self.at].adapts(self.request, self.form, message)


def job_dialect(job: Job, facts: EndpointFacts) -> SchemaDialect:
    """Return which words of JSON Schema are sent to an endpoint."""
    return dialect_of(facts.base_url, job.model.name, job.model.provider)


def request_settings(
    job: Job, facts: EndpointFacts, shape: AnswerSchema, output_mode: OutputMode, form: Form, *, dialect: SchemaDialect
) -> dict[str, Any]:
    """Return every key of a request's body but the messages: the same for all rows in one output mode."""
    model = job.model
    settings: dict[str, Any] = {"model": model.name, form.limit: model.max_tokens}
    for name in ("temperature", "top_p", "top_k", "seed", "stop"):
        if (value := getattr(model, name)) is not None:
            settings[name] = value
    settings |= shape.settings_for(output_mode, dialect)
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
