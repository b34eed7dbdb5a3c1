"""How an answer ended: one table of finish reasons, for everything that reads one.

Endpoints name the same end in many ways: `length` (OpenAI), `MAX_TOKENS` (Gemini), `max_tokens`
(Anthropic), `model_length` (Mistral). They are compared without case, and `-`, `.` and spaces
count as `_`. A gateway may fill only `native_finish_reason`; where both say something, the one
that is worse for the answer counts: an answer that was cut is never taken for whole.

Guarantee: `read_ending` is total over every JSON value. Sources of the words: the references of
OpenAI, Anthropic, Gemini, Mistral, DeepSeek, Zhipu, Bedrock and vLLM as of 2026.
"""

from __future__ import annotations

import functools
import re
from enum import StrEnum


class Ending(StrEnum):
    """What a finish reason means for the answer."""

    COMPLETE = "complete"
    """The model stopped by itself, or at a stop sequence."""
    CUT = "cut"
    """A limit of tokens ended it; its end is missing."""
    FILTERED = "filtered"
    """The provider or the model withheld it, or the rest of it."""
    BROKEN = "broken"
    """Something failed while it was written."""
    UNKNOWN = "unknown"
    """The endpoint gave a reason that is in no table: the answer itself decides."""
    UNSAID = "unsaid"
    """The endpoint gave no reason: the answer itself decides."""


_WORDS = {
    Ending.COMPLETE: "stop stopped end_turn end_of_turn eos eos_token eot stop_sequence stop_token stop_word "
    "tool_calls tool_call tool_use function_call function_calls complete completed done finished finish end "
    "normal success",
    Ending.CUT: "length max_tokens max_token max_output_tokens max_completion_tokens max_new_tokens max_length "
    "model_length token_limit token_limit_reached context_length context_length_exceeded "
    "model_context_window_exceeded context_window_exceeded incomplete truncated",
    Ending.FILTERED: "content_filter content_filtered content_filtering filtered safety recitation language blocklist "
    "prohibited_content spii image_safety image_prohibited_content image_recitation model_armor refusal refused "
    "sensitive blocked moderation guardrail guardrail_intervened guardrails policy_violation",
    Ending.BROKEN: "error errored abort aborted cancel cancelled canceled failed failure timeout network_error "
    "insufficient_system_resource insufficient_system_resources malformed_function_call unexpected_tool_call "
    "interrupted disconnected internal_error server_error",
}

FINISH_REASONS: dict[str, Ending] = {word: ending for ending, words in _WORDS.items() for word in words.split()}
"""Every reason that is known, in lower case with `_` between its words."""

_WORST_FIRST = (Ending.BROKEN, Ending.FILTERED, Ending.CUT, Ending.COMPLETE)
_NONE_GIVEN = frozenset({"", "null", "none", "finish_reason_unspecified", "unspecified"})


def read_ending(*reasons: object) -> Ending:
    """Return what an answer's finish reasons mean together.

    Args:
        reasons: The values of `finish_reason` and `native_finish_reason` as they came; anything but text says nothing.
    """
    said = {_plain(reason) for reason in reasons if isinstance(reason, str)} - _NONE_GIVEN
    if len(said) == 1:
        return FINISH_REASONS.get(next(iter(said)), Ending.UNKNOWN)
    known = {FINISH_REASONS[word] for word in said if word in FINISH_REASONS}
    if not known:
        return Ending.UNKNOWN if said else Ending.UNSAID
    return next(ending for ending in _WORST_FIRST if ending in known)


@functools.lru_cache(256)
def _plain(reason: str) -> str:
    return re.sub(r"[\s.-]+", "_", reason.strip()[:80]).casefold().removeprefix("finish_reason_")
