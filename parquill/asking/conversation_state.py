"""State of the conversation about one row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parquill.answers import OutputMode
from parquill.asking.request_forms import Form
from parquill.asking.row_state import Pictures
from parquill.chat import ChatRequest, ImagePart
from parquill.job import Job

Parts = tuple[str | ImagePart, ...]
"""A row's pictures and pages (or a document's text) as they are sent."""


def figures_of(parts: Parts) -> Pictures:
    """Return what is known of each picture among the parts; None where nothing is known of any."""
    found = tuple([part.figures for part in parts if isinstance(part, ImagePart)])
    return found if any(found) else None


class ConversationState:
    """Where the conversation about one row stands."""

    __slots__ = (
        "at",
        "changed",
        "estimated",
        "first",
        "form",
        "images",
        "left_out",
        "listed",
        "output_mode",
        "parts",
        "reasks",
        "request",
    )

    def __init__(self, parts: Parts, form: Form) -> None:
        self.form = form
        self.at = 0
        """The endpoint that answered last."""
        self.parts: Parts | None
        """None: reload the pictures before the next attempt."""
        self.images: int
        """How many pictures are sent."""
        self.carry(parts)
        self.output_mode = OutputMode.TEXT
        self.left_out: frozenset[str] = frozenset()
        """Words that the schema is sent without."""
        self.first: ChatRequest | None = None
        """What the row asks in this output mode; None: build it again before the next attempt."""
        self.request: ChatRequest | None = None
        self.changed: Mapping[str, Any] | None = None
        self.reasks = 0
        self.estimated: int | None = None
        self.listed: int | None = None
        """What its first answer costs by the price of the start; before that, what it is thought to."""

    def carry(self, parts: Parts) -> None:
        """Take what is sent with the row's text."""
        self.parts, self.images = parts, sum([isinstance(part, ImagePart) for part in parts])

    @property
    def has_urls(self) -> bool:
        """Whether one of them is an address that the endpoint has to fetch."""
        return any(isinstance(part, ImagePart) and part.content_key is None for part in self.parts or ())

    def max_tokens(self, job: Job) -> int:
        """Tokens that the next answer may have."""
        return int((self.changed or {}).get(self.form.limit, job.model.max_tokens))
