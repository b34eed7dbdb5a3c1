"""`examine`: from a job to a diagnosis.

The first request tries the best way to a typed answer; pictures get one each for every form
they are sent in (data: URL, http URL); what is left of the three goes to the output modes after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from parquill.answers import OutputMode, fallback_order, probe_passes, probe_request, refused_words, refuses_mode
from parquill.asking import FormChoice, job_dialect, request_settings
from parquill.chat import ChatRequest, ImagePart, Turn, Usage
from parquill.client import Client
from parquill.clock import Clock, SystemClock
from parquill.doctor.diagnosis import REFUSED_PICTURES, Diagnosis, Finding, Health
from parquill.doctor.listing import Listing, read_listing
from parquill.doctor.refused_pictures import refused_pictures
from parquill.doctor.trial import Trial
from parquill.endpoint import PATIENCE_SECONDS, EndpointFacts, look_up
from parquill.errors import ErrorKind, Stop
from parquill.images import WebPicture
from parquill.job import Job, Secret, read_access, read_api_key
from parquill.money import usd_per_million
from parquill.planning import Prepared, prepare
from parquill.prices import Price
from parquill.replies import Verdict
from parquill.running import endpoint_of, refuse_unpriced
from parquill.threads import in_thread
from parquill.tokens import TokenCounter

_ANSWER_TOKENS = 256
_PICTURE_TOKENS = 16
_SYSTEM = "Be brief."
_FIRST_ROWS = 200
_LEAST_PICTURE = 200
"""Prompt tokens below which a picture cannot have been seen: Gemma 3 has 256 for each."""
_RED = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAIAAAAlC+aJAAAAT0lEQVR42u3PQQkAAAgEsEty/aMYywi+hcEKLNO+"
    "FgEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQGBywLKp0DxvxLbjwAAAABJRU5ErkJggg=="
)
"""A red square of 64 x 64 pixels."""


async def examine_each(job: Job, *, clock: Clock | None = None) -> tuple[Diagnosis, ...]:
    """Try each of a job's endpoints, one after the other, with at most three small requests.

    Raises `UsageError` for a job that cannot run anywhere, as `run` would.
    """
    return tuple([await examine(one, clock=clock) for one in job.each])


async def examine(job: Job, *, key: Secret | None = None, clock: Clock | None = None) -> Diagnosis:
    """Try the endpoint of a job that has one with at most three small requests; raises as `examine_each` does."""
    clock = clock or SystemClock()
    opened = await in_thread(prepare, job, clock)
    key = key or read_api_key(job.model)
    async with endpoint_of(job, key, None) as (client, base_url):
        facts = await look_up(client, base_url, job, clock)
        if not facts.why_unpriced:  # else the cause is found below
            refuse_unpriced(job, facts)
        _, body = await client.get_json("/models", seconds=PATIENCE_SECONDS)
        return await _Examination(opened, client, facts, read_listing(body, job.model.name)).whole()


class _Examination:
    """One job at one endpoint."""

    def __init__(self, opened: Prepared, client: Client, facts: EndpointFacts, listing: Listing) -> None:
        self._opened = opened
        self._job = opened.job
        self._facts = facts
        self._listing = listing
        counter, seconds = TokenCounter(opened.job.model), opened.job.retry.deadline_seconds
        self._trial = Trial(client, facts.price, counter, seconds)
        self._found: list[Finding] = []
        self._dialect = job_dialect(opened.job, facts)
        self._forms = FormChoice(opened.job.model, facts.parameters, lambda text: self._note("form", Health.MIND, text))

    async def whole(self) -> Diagnosis:
        """Look at everything, as far as the endpoint lets us."""
        if way := read_access(self._job).shown:
            self._note("way", Health.WORKS, way)
        pictures = await in_thread(self._picture_forms)
        if refused := await in_thread(refused_pictures, self._opened):
            self._note(REFUSED_PICTURES, Health.MIND, refused)
        if await self._answers(keep=len(pictures)):
            for form, url in pictures.items():
                await self._picture(form, url)
        self._price()
        self._context()
        return Diagnosis(self._facts.base_url, tuple(self._found), self._trial.sent, self._trial.cost_pico)

    def _note(self, subject: str, health: Health, text: str) -> None:
        self._found.append(Finding(subject, health, text))

    async def _answers(self, *, keep: int) -> bool:
        """Try the output modes in order, leaving `keep` requests for later; False where nothing is answered."""
        refused: list[str] = []
        output_modes = fallback_order(self._job.output.mode, self._facts.parameters, self._opened.shape.kind)
        for output_mode in output_modes:
            if refused and self._trial.left <= keep:
                self._refusals(refused)
                self._note(
                    "answers", Health.UNKNOWN, f"{output_mode.value} is next; a run finds out with its first row"
                )
                return True
            request = self._request_in(output_mode)
            verdict = await self._ask(request, output_mode, _ANSWER_TOKENS)
            completion = verdict.completion
            if completion is None and refuses_mode(verdict.status, verdict.message):
                refused.append(f"{output_mode.value} is refused: {verdict.message}")
            elif completion is None:
                return self._unanswered(verdict)
            elif probe_passes(completion, output_mode, self._opened.shape):
                self._answered(verdict, request)
                self._refusals(refused)
                self._note("answers", Health.WORKS, _WORKS[output_mode])
                return True
            else:
                self._answered(verdict, request)
                refused.append(f"{output_mode.value} is taken, but not heeded: {completion.text[:80]!r}")
        self._refusals(refused)
        if output_modes[-1] is OutputMode.PROMPT:
            self._note(
                "answers", Health.MIND, "prompt: one made-up example did not fit; rows may need to be asked again"
            )
            return True
        self._note("answers", Health.FAILS, f"no way to a typed answer works with output.mode: {self._job.output.mode}")
        return True

    def _request_in(self, output_mode: OutputMode) -> ChatRequest:
        """A probe that has a system turn where the job's rows have one; not its text, which may speak of JSON."""
        system = (Turn("system", (_SYSTEM,)),) if self._job.prompt.system else ()
        return ChatRequest((*system, *probe_request(output_mode, self._opened.shape).turns))

    async def _ask(self, request: ChatRequest, output_mode: OutputMode, most: int) -> Verdict:
        """Send a request in the form in force; again where the endpoint refuses that form, or words of the schema."""
        most = min(most, self._facts.max_completion_tokens or most)
        while True:
            form = self._forms.form
            shape = self._opened.shape
            settings = request_settings(self._job, self._facts, shape, output_mode, form, dialect=self._dialect)
            verdict = await self._trial.ask(form.written(request), {**settings, form.limit: most})
            if verdict.completion is not None or not self._trial.left:
                return verdict
            if words := refused_words(verdict.status, verdict.message, shape.words_for(output_mode, self._dialect)):
                self._dialect = self._dialect.without(words)
                said = f"{', '.join(sorted(words))} of the schema is not taken, and checked here: {verdict.message}"
                self._note("answers", Health.MIND, said)
            elif not self._forms.adapts(request, form, verdict.message):
                return verdict

    def _refusals(self, refused: Sequence[str]) -> None:
        for text in refused:
            self._note("answers", Health.MIND, text)

    def _unanswered(self, verdict: Verdict) -> bool:
        """Note why the endpoint gave no answer; False, for nothing more is asked of it."""
        subject, advice = "endpoint", ""
        refused = verdict.stop is Stop.REFUSED or verdict.kind is ErrorKind.REFUSED
        if self._facts.address_advice and not verdict.throttled:
            advice = f". {self._facts.address_advice}"
        elif refused and verdict.status == 401:
            subject, advice = "key", self._key_advice()
        elif refused:
            subject, advice = "model", self._offered()
        elif verdict.kind is ErrorKind.CONNECTION and not verdict.lost:
            proxied = read_access(self._job).proxy is not None
            text = (
                f"it is not reached through the proxy: {verdict.message} (network.proxy: none goes without one)"
                if proxied
                else f"nothing listens at {self._facts.base_url}: is the server running?"
            )
            self._note(subject, Health.FAILS, text)
            return False
        elif verdict.throttled:
            self._note("endpoint", Health.MIND, f"it asks for a pause: {verdict.message}; try again later")
            return False
        self._note(subject, Health.FAILS, f"{verdict.of_run or verdict.message}{advice}")
        return False

    def _key_advice(self) -> str:
        name = self._job.model.api_key_env
        if self._has_key():
            return f" (it is read from {name})"
        return f" (none was sent: for its own address a job names the variable itself, model.api_key_env: {name})"

    def _offered(self) -> str:
        some = ", ".join(self._listing.models[:5])
        return f" (it lists {some}{', …' if len(self._listing.models) > 5 else ''})" if some else ""

    def _answered(self, verdict: Verdict, request: ChatRequest) -> None:
        """Note what the first answer shows: address, key, model, usage record."""
        assert verdict.completion is not None
        if any(one.subject == "endpoint" for one in self._found):
            return
        self._note("endpoint", Health.WORKS, "it answers, and takes the key" if self._has_key() else "it answers")
        self._model(verdict.completion.model)
        self._usage(verdict.completion.usage, self._trial.count(request).expected)

    def _has_key(self) -> bool:
        return self._job.model.endpoint == "openrouter" or "api_key_env" in self._job.model.model_fields_set

    def _model(self, answered: str | None) -> None:
        name, listed = self._job.model.name, self._listing.models
        if answered is not None and answered.partition(":")[0] != name.partition(":")[0]:
            self._note(
                "model", Health.MIND, f"asked for {name}, it answers as {answered}: see that it is the right one"
            )
        elif listed and name not in listed:
            self._note("model", Health.MIND, f"{name} answers, but is not listed{self._offered()}")
        else:
            self._note("model", Health.WORKS, f"{name} is there" if listed else f"{name} answers; no list is kept")

    def _usage(self, usage: Usage | None, expected: int) -> None:
        if usage is None or usage.prompt_tokens is None:
            self._note("usage", Health.MIND, "no token counts come back: rows are booked at their worst case")
        elif self._job.model.name.startswith("google/gemma") and usage.prompt_tokens < expected // 2:
            text = (
                f"{usage.prompt_tokens} prompt tokens counted where about {expected} were sent: see its chat template"
            )
            self._note("usage", Health.MIND, text)
        else:
            cost = "tokens and cost" if usage.cost_pico is not None else "tokens, no cost"
            counted = f"{usage.prompt_tokens} prompt tokens, about {expected} expected"
            self._note("usage", Health.WORKS, f"{cost} with every answer ({counted})")

    def _picture_forms(self) -> dict[str, str]:
        """The forms in which the first rows' pictures would be sent, each with a URL to try."""
        columns = self._opened.manifest.columns
        forms: dict[str, str] = {}
        if columns.documents and self._job.documents.send == "pages":
            forms["data: URL"] = _RED
        if not columns.images:
            return forms
        for value in self._first_pictures():
            if isinstance(value, WebPicture) and self._opened.images.passes_urls:
                forms.setdefault("http URL", value.url)
            else:
                forms.setdefault("data: URL", _RED)
        return forms

    def _first_pictures(self) -> Iterator[object]:
        reader = self._opened.reader
        chunk = next(self._opened.manifest.read(reader.columns), None)
        if chunk is not None:
            for row in reader.read(chunk, range(chunk.start, chunk.start + _FIRST_ROWS)):
                yield from row.pictures

    async def _picture(self, form: str, url: str) -> None:
        subject = f"pictures as {form}"
        if not self._trial.left:
            self._note(subject, Health.UNKNOWN, "no request was left to try it with")
            return
        request = ChatRequest((Turn("user", (ImagePart(url), "Name its main colour in one word.")),))
        verdict = await self._ask(request, OutputMode.TEXT, _PICTURE_TOKENS)
        counted = verdict.usage.prompt_tokens if verdict.usage else None
        if verdict.completion is None and verdict.kind is not ErrorKind.TRUNCATED:
            blind = verdict.kind is ErrorKind.IMAGE_REFUSED
            advice = "; set images.send: inline" if form == "http URL" and not blind else ""
            self._note(subject, Health.FAILS, f"{verdict.message}{advice}")
        elif counted is not None and counted < _LEAST_PICTURE:
            text = f"taken, but only {counted} prompt tokens were counted: it may not look at them"
            self._note(subject, Health.MIND, text)
        else:
            told = f" ({counted} prompt tokens with a picture)" if counted is not None else ""
            self._note(subject, Health.WORKS, f"taken{told}")

    def _price(self) -> None:
        price = self._facts.price
        if price is None and self._facts.why_unpriced:
            self._note("price", Health.MIND, self._facts.why_unpriced)
            return
        if price is None:
            self._note("price", Health.MIND, "unknown: costs stay empty; name model.price (0 for a server of your own)")
            return
        for old in self._facts.notices:
            self._note("price", Health.MIND, old)
        self._note("price", Health.WORKS, _priced(price))

    def _context(self) -> None:
        said = self._facts.context_length or self._listing.context_length
        longest, wanted = self._facts.max_completion_tokens, self._job.model.max_tokens
        if longest is not None and wanted > longest:
            self._note("context", Health.FAILS, f"model.max_tokens is {wanted:,}, its answers have {longest:,} at most")
        elif said is None:
            text = "it does not say how long it is: a prompt that is too long is refused, or cut without a word"
            self._note("context", Health.MIND, text)
        elif wanted >= said:
            self._note("context", Health.FAILS, f"model.max_tokens is {wanted:,}, the whole context {said:,}")
        else:
            self._note("context", Health.WORKS, f"{said:,} tokens, {wanted:,} of them for the answer")


_WORKS = {
    OutputMode.JSON_SCHEMA: "json_schema: the endpoint holds the model to the schema",
    OutputMode.TOOLS: "tools: answers come as function calls",
    OutputMode.JSON_OBJECT: "json_object: the endpoint holds to JSON, the prompt to the schema",
    OutputMode.PROMPT: "prompt: nothing but the prompt holds the model to the schema",
    OutputMode.TEXT: "plain text",
}


def _priced(price: Price) -> str:
    rates = price.rates
    where = f"{price.source.value}{f' of {price.as_of}' if price.as_of else ''}"
    return (
        f"${usd_per_million(rates.prompt)} per million prompt tokens, ${usd_per_million(rates.completion)} "
        f"per million of the answer, from the {where}"
    )
