"""Asks one prepared row until it has a result: pictures, request, attempts, answer, re-asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from parquill.answers import Answer, AnswerSchema, parse_apart, reask_settings, reask_turns
from parquill.asking.answer_endings import AnswerEndings
from parquill.asking.attachments import Attachments
from parquill.asking.attempt_log import DriftEvidence, EvidenceFile
from parquill.asking.attempts import Attempts
from parquill.asking.conversation_state import ConversationState, Parts, figures_of
from parquill.asking.output_mode import OutputModeChoice
from parquill.asking.refusals import HeldError, Refusal
from parquill.asking.request_bodies import RequestBodies
from parquill.asking.row_state import RowState
from parquill.calibration import CalibrationData
from parquill.chat import ChatCompletion, ImagePart
from parquill.clock import Clock
from parquill.endpoint import Endpoint, EndpointFacts
from parquill.errors import ErrorKind
from parquill.images import ImageLoader
from parquill.job import Job
from parquill.limits import Need, RunGate
from parquill.planning import PreparedRow, shown_columns
from parquill.prices import Price
from parquill.prompts import Asking
from parquill.replies import Verdict
from parquill.results import ItemResult, Status
from parquill.tokens import TokenEstimate

_FAULTS = {
    "truncated": ErrorKind.TRUNCATED,
    "loop": ErrorKind.INVALID_ANSWER,
    "invalid": ErrorKind.INVALID_ANSWER,
    "empty": ErrorKind.BAD_RESPONSE,
}
_REMEMBERED_PROVIDERS = 64


@dataclass(frozen=True, slots=True)
class ConversationContext:
    """What a conversation needs of the run around it."""

    job: Job
    facts: EndpointFacts
    """What holds at all endpoints."""
    endpoints: Sequence[Endpoint]
    asking: Asking
    shape: AnswerSchema
    images: ImageLoader
    calibration_data: CalibrationData
    gate: RunGate
    attempts: Attempts
    clock: Clock
    drift: EvidenceFile[DriftEvidence]
    """Takes the answers that were billed otherwise than the price of the start says."""


class Conversations:
    """Asks rows, one call a row; safe for any number of them at once."""

    def __init__(
        self, context: ConversationContext, output_modes: OutputModeChoice, *, alarm: Callable[[str], object]
    ) -> None:
        self._context = context
        self._output_modes = output_modes
        self._alarm = alarm
        self._endings = AnswerEndings(alarm)
        self.opening = Attachments(context.images, context.gate)
        self._shows = bool(shown_columns(context.job.manifest))
        self._bodies = RequestBodies(context.job, [one.facts for one in context.endpoints], context.shape, alarm)
        self._prices: dict[tuple[int, str | None], Price] = {}

    async def converse(self, prepared: PreparedRow, parts: Parts, asked: RowState) -> ItemResult:
        """Ask one row to its end; raises `GateClosed` when the run stops before it."""
        talk = ConversationState(parts, self._bodies.forms[0].form)
        while True:
            if self._output_modes.settled:
                result = await self._ask(prepared, asked, talk, probes=False)
            else:
                async with self._output_modes.turn() as probes:
                    result = await self._ask(prepared, asked, talk, probes=probes)
            if result is not None:
                return result

    def failed(self, asked: RowState, kind: ErrorKind, message: str, **facts: Any) -> ItemResult:
        """The result of a row that has no answer."""
        return self._result(asked, Status.FAILED, kind=kind.value, message=message, **facts)

    def not_attempted(self, asked: RowState, message: str) -> ItemResult:
        """The result of a row that the run stopped before; its attempts and cost still count."""
        return self._result(asked, Status.NOT_ATTEMPTED, message=message)

    async def parts(self, prepared: PreparedRow) -> Parts:
        """Open a row's pictures and documents; raises as `Attachments.parts` does."""
        return await self.opening.parts(prepared.pictures, prepared.documents)

    def content(self, prepared: PreparedRow, parts: Parts) -> bytes | None:
        """Name what is asked by the pictures' content: the same photo at ten addresses is one question.

        None where the endpoint fetches a picture itself, or where there is none.
        """
        pictures = [part.content_key for part in parts if isinstance(part, ImagePart)]
        if not pictures or not all(pictures):
            return None
        said = [part.encode() if isinstance(part, str) else part.content_key or b"" for part in parts]
        return self._context.asking.fingerprint(prepared.text, said)

    async def _ask(
        self, prepared: PreparedRow, asked: RowState, talk: ConversationState, *, probes: bool
    ) -> ItemResult | None:
        """Ask a row to its end; None where it has to wait for another one that `probes` how to ask."""
        if never := self._context.facts.never_fits(len(prepared.text)):
            return self.failed(asked, ErrorKind.CONTEXT_OVERFLOW, never)
        while probes or talk.first is not None or self._output_modes.settled:
            if talk.parts is None:
                talk.carry(await self.parts(prepared))
                talk.first = None
                assert talk.parts is not None
                asked.images = figures_of(talk.parts)
            if talk.first is None:
                talk.output_mode = self._output_modes.output_mode
                instruction = self._context.shape.instruction_for(talk.output_mode)
                talk.request = talk.first = self._context.asking.request(prepared.text, talk.parts, instruction)
            result = await self._turn(talk, asked)
            if result is not None:
                if result.attempts and result.cost_pico is not None and talk.listed is not None:
                    self._context.calibration_data.surplus.add(result.cost_pico, talk.listed)
                if result.attempts and self._shows and not (prepared.pictures or prepared.documents):
                    self._context.calibration_data.pictureless.rows += 1
                return result
        return None

    async def _turn(self, talk: ConversationState, asked: RowState) -> ItemResult | None:
        """Send once and judge what came; None when the row is to be asked again."""
        context = self._context
        assert talk.request is not None
        calibration_data = context.calibration_data
        estimate = calibration_data.counter.count(talk.request)
        length = round(calibration_data.length.expect(estimate.expected, talk.images))
        need = self._need(estimate, talk, length)
        if too_long := context.facts.overflow(estimate.expected, talk.max_tokens(context.job)):
            return self.failed(asked, ErrorKind.CONTEXT_OVERFLOW, too_long)
        if never := context.gate.fits(need):
            return self.failed(asked, ErrorKind.RATE_LIMITED, never)
        self._expect(talk, estimate, length)
        modes = self._output_modes
        body = self._bodies.body(talk.request, talk.output_mode, lambda: modes.left_out, talk.changed)
        await context.attempts.refusals.clear()
        verdict = await context.attempts.ask(asked, body.to_send, need, images=talk.images)
        talk.form, talk.left_out = body.form, body.left_out
        if verdict.completion is None:
            if talk.has_urls and context.images.turns_to_inline(verdict.status, verdict.message):
                talk.parts = None
                return None
            if body.adapts(verdict.message):
                return None
            sent = self._bodies.words(body.at, talk.output_mode, body.left_out)
            if modes.refused(talk.output_mode, body.left_out, sent, verdict.status, verdict.message):
                talk.first = None
                return None
            return self._without_answer(asked, verdict, talk.estimated)
        talk.at = asked.at
        modes.answered(body.left_out)
        completion = self._endings.judge(verdict.completion, talk.max_tokens(context.job))
        self._learn(talk, asked, estimate, completion)
        answer = await parse_apart(context.shape, completion, talk.output_mode)
        if answer.ok:
            self._output_modes.confirm()
            return self._result(asked, Status.OK, completion=completion, answer=answer, estimated=talk.estimated)
        return self._not_fitting(talk, asked, completion, answer)

    def _not_fitting(
        self, talk: ConversationState, asked: RowState, completion: ChatCompletion, answer: Answer
    ) -> ItemResult | None:
        """Decide whether a row whose answer cannot be used is asked again."""
        kind = _FAULTS[answer.fault or "invalid"]
        unheeded = answer.fault == "invalid" and not self._output_modes.is_probed
        if unheeded and self._output_modes.step_down(talk.output_mode, "it was not heeded"):
            talk.first = None
        elif not self._context.attempts.has_time(asked) or not self._ask_otherwise(talk, answer):
            message = "; ".join(answer.errors) or "the answer was cut at max_tokens"
            return self.failed(asked, kind, message, completion=completion, answer=answer, estimated=talk.estimated)
        self._context.attempts.settle(asked, error_kind=kind)
        return None

    def _ask_otherwise(self, talk: ConversationState, answer: Answer) -> bool:
        """Prepare a paid second try; False where there is none, or where nothing would change."""
        if talk.reasks == self._context.job.output.max_reasks:
            return False
        assert talk.first is not None
        talk.reasks += 1
        talk.changed = reask_settings(
            answer, self._bodies.settings(talk.output_mode, talk.left_out, talk.form), talk.reasks
        )
        talk.request = reask_turns(talk.first, answer, self._context.shape)
        free = self._context.gate.statistics().free_pico
        need = self._need(self._context.calibration_data.counter.count(talk.request), talk, length=0)
        affordable = free is None or need.worst_pico <= free
        return bool(talk.changed) and (affordable or answer.fault != "truncated")

    def _without_answer(self, asked: RowState, verdict: Verdict, estimated: int | None) -> ItemResult | None:
        """Return the row's error; None where another endpoint is to be asked."""
        if verdict.stop is not None:
            self._context.gate.leave(asked.at, verdict.stop, verdict.message)
            if (closed := self._context.gate.closed) is not None:
                raise closed
            return None
        assert verdict.kind is not None
        if not verdict.of_run:
            self._context.attempts.refusals.other_end(asked.at)
        elif self._goes_elsewhere(asked, verdict, verdict.kind, estimated):
            return None
        unused = verdict.unused
        answer = Answer(False, None, unused.text) if unused is not None and unused.text else None
        return self.failed(asked, verdict.kind, verdict.message, completion=unused, answer=answer, estimated=estimated)

    def _goes_elsewhere(self, asked: RowState, verdict: Verdict, kind: ErrorKind, estimated: int | None) -> bool:
        """Whether a refused row is to be asked at another endpoint; False where the refusal is the row's own.

        Raises `HeldError` while that is not known, `GateClosed` where the run is refused.
        """
        words, refusals = (verdict.message, verdict.of_run), self._context.attempts.refusals
        refusal = Refusal(kind, verdict.status, *words, asked.sent_at, estimated, asked.at)
        elsewhere = refusals.goes_elsewhere(asked.ref.key, refusal, asked.refused)
        earlier = asked.refusal
        if elsewhere:
            asked.refused |= {asked.at}
        else:
            asked.refusal = refusal
            refusals.judge(asked.ref.key, refusal, earlier)
        if (closed := self._context.gate.closed) is not None:
            raise closed
        if not elsewhere and (earlier is None or not refusals.takes_part(asked.at)):
            raise HeldError(refusal)
        return elsewhere

    def _need(self, estimate: TokenEstimate, talk: ConversationState, length: int) -> Need:
        """`length`: tokens that the answer is expected to have."""
        max_tokens, images = talk.max_tokens(self._context.job), talk.images
        worst = [
            price.worst_pico(estimate.upper, max_tokens, images) if (price := one.facts.price) else 0
            for one in self._context.endpoints
        ]
        return Need(
            tokens=estimate.expected + length,
            worst_pico=max(worst),
            worst_tokens=estimate.upper + max_tokens,
            worst_each=tuple(worst) if len(worst) > 1 else (),
        )

    def _expect(self, talk: ConversationState, estimate: TokenEstimate, length: int) -> None:
        """Note what a row is thought to cost, before its first request."""
        price = self._context.facts.price
        if price is not None and talk.estimated is None:
            talk.listed = price.cost_pico(estimate.expected, length, talk.images)
            talk.estimated = self._context.calibration_data.surplus.applied(talk.listed)

    def _learn(
        self, talk: ConversationState, asked: RowState, estimate: TokenEstimate, completion: ChatCompletion
    ) -> None:
        """Take an answer's usage record; a second try tells nothing of how long first answers are."""
        usage, calibration_data = completion.usage, self._context.calibration_data
        price = self._context.endpoints[talk.at].facts.price
        if usage is None or usage.prompt_tokens is None or usage.completion_tokens is None:
            return
        counts = usage.prompt_tokens, usage.completion_tokens, talk.images
        if price is not None and usage.cost_pico is not None:
            listed = self._price_of(talk.at, price, completion.provider).cost_pico(*counts)
            if calibration_data.drift.add(usage.cost_pico, listed):
                place, now = asked.ref, int(self._context.clock.wall() * 1_000_000)
                at = place.part, place.row, place.fingerprint
                self._context.drift.add(DriftEvidence.of(completion, listed, now, at=at))
        if not talk.reasks:
            calibration_data.length.observe(usage.completion_tokens, usage.prompt_tokens, talk.images)
            if price is not None:
                talk.listed = price.cost_pico(*counts)
        if calibration_data.counter.observe(estimate, talk.images, usage.prompt_tokens, completion.provider):
            self._alarm(
                f"the endpoint counted {usage.prompt_tokens:,} prompt tokens where at most {estimate.upper:,} were "
                "thought possible; the bound is raised"
            )

    def _price_of(self, at: int, price: Price, provider: str | None) -> Price:
        """The price at one provider; of the first names it is remembered, since a reply may name anything."""
        known = self._prices.get((at, provider))
        if known is None:
            known = price.for_provider(provider)
            if len(self._prices) < _REMEMBERED_PROVIDERS:
                self._prices[at, provider] = known
        return known

    def look_ahead(self, rows: Sequence[PreparedRow]) -> None:
        """Take notice of rows that will be asked soon: their texts are measured together."""
        self._context.calibration_data.counter.look_ahead([row.text for row in rows])

    def _result(
        self,
        asked: RowState,
        status: Status,
        *,
        kind: str | None = None,
        message: str | None = None,
        completion: ChatCompletion | None = None,
        answer: Answer | None = None,
        estimated: int | None = None,
    ) -> ItemResult:
        account = asked.account
        return ItemResult(
            status=status,
            fingerprint=asked.ref.fingerprint,
            error_kind=kind,
            error_message=message,
            answer=answer.value if answer and status is Status.OK else None,
            answer_text=answer.text if answer else None,
            attempts=account.attempts,
            model=completion.model if completion else None,
            provider=completion.provider if completion else None,
            generation_id=completion.generation_id if completion else None,
            finish_reason=completion.finish_reason if completion else None,
            prompt_tokens=account.prompt_tokens if account.attempts else 0,
            completion_tokens=account.completion_tokens if account.attempts else 0,
            cached_tokens=account.cached_tokens if account.attempts else 0,
            cost_pico=account.cost_pico if account.attempts else 0,
            cost_source=account.source,
            estimated_pico=estimated,
            latency_ms=asked.last_latency_ms,
            repairs=(*(completion.repairs if completion else ()), *(answer.repairs if answer else ())),
            finished_at=None if status is Status.NOT_ATTEMPTED else int(self._context.clock.wall() * 1_000_000),
            images=asked.images,
            upstream_pico=account.upstream_pico,
        )
