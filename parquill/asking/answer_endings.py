"""Decides whether an answer is complete where the finish reason leaves it open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from parquill.chat import ChatCompletion
from parquill.finish_reasons import Ending
from parquill.text import printable

_MOST_SAID = 8


class AnswerEndings:
    """Judges answers without a known finish reason by their length, and says unknown reasons, each once."""

    def __init__(self, say: Callable[[str], object]) -> None:
        """`say` takes a notice for people."""
        self._say = say
        self._said: set[str] = set()

    def judge(self, completion: ChatCompletion, max_tokens: int) -> ChatCompletion:
        """Return the completion, marked where it has all the tokens that it was allowed.

        Args:
            completion: An answer as it came.
            max_tokens: What its request allowed.
        """
        if completion.ending is Ending.UNKNOWN:
            self._name(completion.finish_reason or "")
        elif completion.ending is not Ending.UNSAID:
            return completion
        written = completion.usage.completion_tokens if completion.usage else None
        return replace(completion, at_limit=written is not None and written >= max_tokens)

    def _name(self, reason: str) -> None:
        if reason in self._said or len(self._said) == _MOST_SAID:
            return
        self._said.add(reason)
        self._say(
            f"finish_reason {printable(reason, 60)!r} is not known: an answer that ends so is judged by itself and by "
            "max_tokens"
        )
