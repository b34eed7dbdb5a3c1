"""Joins an event stream (`text/event-stream`) into one completion.

Parquill never asks for one; some gateways send one all the same. Comments and empty events are
skipped, deltas of the choice with the index 0 are joined, the last usage and the last reason
count. A stream that ends without a reason and without `[DONE]` was cut: it is no reply.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

_FIELD = re.compile(r"(data|event|id|retry|error)?:", re.A)
_TEXTS = ("content", "reasoning", "reasoning_content", "refusal")
_DONE = "[DONE]"


def is_stream(text: str, content_type: str = "") -> bool:
    """Tell whether a body is an event stream: by its header, or by how it begins."""
    declared = "event-stream" in content_type.lower()
    return (declared and not text.startswith("{")) or (bool(text) and _FIELD.match(text) is not None)


def join_events(text: str, read: Callable[[str], Any]) -> dict[str, Any]:
    """Return the body of the completion, or of the error, that a stream spells.

    Args:
        text: The whole stream.
        read: Reads one event's JSON; raises `ValueError`.

    Raises:
        ValueError: An event is no JSON, or the stream has no end.
    """
    joined = _Joined()
    for data in _events(text):
        if data == _DONE:
            joined.ended = True
            continue
        joined.add(read(data))
    return joined.body()


def _events(text: str) -> Iterator[str]:
    lines: list[str] = []
    for line in [*re.split(r"\r\n|\n|\r", text), ""]:
        field, _, value = line.partition(":")
        if field in ("data", "error"):  # llama.cpp writes `error: {…}`
            lines.append(value.strip() if field == "data" else f'{{"error": {value.strip()}}}')
        elif not line and lines:
            yield "\n".join(lines)
            lines = []


class _Joined:
    """What the events so far spell."""

    def __init__(self) -> None:
        self.ended = False
        self._head: dict[str, Any] = {}
        self._choice: dict[str, Any] = {}
        self._message: dict[str, Any] = {}
        self._texts: dict[str, list[str]] = {}
        """The pieces of each text: joined once, at the end."""
        self._calls: dict[int, dict[str, list[str]]] = {}
        self._chosen = False

    def add(self, event: object) -> None:
        """Take one event: a chunk, a whole completion or an error; anything else says nothing."""
        if not isinstance(event, dict):
            return
        for key in ("id", "model", "provider", "usage", "error"):
            if event.get(key):
                self._head[key] = event[key]
        choices = event.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict) and choice.get("index", 0) == 0:
                self._chosen = True
                self._add_choice(choice)

    def _add_choice(self, choice: dict[str, Any]) -> None:
        for key in ("finish_reason", "native_finish_reason", "error"):
            if choice.get(key):
                self._choice[key] = choice[key]
        whole, delta = choice.get("message"), choice.get("delta")
        if isinstance(whole, dict):
            self._message, self._texts = dict(whole), {}
        for name in _TEXTS:
            if isinstance(delta, dict) and isinstance(piece := delta.get(name), str):
                self._texts.setdefault(name, [f"{self._message.get(name) or ''}"]).append(piece)
        calls = delta.get("tool_calls") if isinstance(delta, dict) else None
        for call in calls if isinstance(calls, list) else ():
            self._add_call(call)

    def _add_call(self, piece: object) -> None:
        function = piece.get("function") if isinstance(piece, dict) else None
        if not isinstance(piece, dict) or not isinstance(function, dict):
            return
        index = piece.get("index")
        call = self._calls.setdefault(index if isinstance(index, int) else 0, {"name": [], "arguments": []})
        for name, pieces in call.items():
            if isinstance(function.get(name), str):
                pieces.append(function[name])

    def body(self) -> dict[str, Any]:
        """Return the completion's body; raises `ValueError` for a stream that was cut."""
        reason = self._choice.get("finish_reason") or self._choice.get("native_finish_reason")
        if not (self.ended or reason or "error" in self._head):
            raise ValueError("the event stream breaks off")
        self._message |= {name: "".join(pieces) for name, pieces in self._texts.items()}
        if self._calls:
            self._message["tool_calls"] = [
                {"function": {name: "".join(pieces) for name, pieces in call.items()}}
                for _, call in sorted(self._calls.items())
            ]
        choices = [{"index": 0, "finish_reason": None, **self._choice, "message": self._message}]
        return {**self._head, **({"choices": choices} if self._chosen else {})}
