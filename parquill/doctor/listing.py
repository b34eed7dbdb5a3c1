"""What an endpoint's `/models` says of one model.

Servers agree on `data[].id` only. The context's length is `context_length` at OpenRouter,
`max_model_len` at vLLM, `max_context_length` at LM Studio, `max_input_tokens` at LiteLLM and
`meta.n_ctx` at llama.cpp.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_CONTEXT = ("context_length", "max_model_len", "loaded_context_length", "max_context_length", "max_input_tokens")


@dataclass(frozen=True, slots=True)
class Listing:
    """The models that an endpoint lists; none where it keeps no list."""

    models: tuple[str, ...] = ()
    context_length: int | None = None
    """Tokens that the wanted model's context has, where the list says it."""


def read_listing(body: object, name: str) -> Listing:
    """Read the body of `/models`; total over every JSON value."""
    data = body.get("data") if isinstance(body, dict) else None
    entries = [one for one in data if isinstance(one, dict)] if isinstance(data, list) else []
    wanted = next((one for one in entries if one.get("id") == name), {})
    return Listing(tuple(one["id"] for one in entries if isinstance(one.get("id"), str)), _context(wanted))


def _context(entry: dict[str, Any]) -> int | None:
    meta = entry.get("meta")
    values = [entry.get(key) for key in _CONTEXT] + ([meta.get("n_ctx")] if isinstance(meta, dict) else [])
    return next((value for value in values if isinstance(value, int) and value > 0), None)
