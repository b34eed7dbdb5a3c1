"""From a manifest row to what is asked: templates, few-shot turns, and the fingerprint.

Templates (`templates/`) are over the row's columns. A name that is no column is an error before anything
is sent, and so is a template that prints an object of Python in the rows looked at first; a null
where a text is wanted is that row's fault, never the word "None" in a paid prompt.

The fingerprint is a hash of all that decides the answer: what of the job does (`identity.py`), the
row's text and its picture values. Never the id, the endpoint's address, the mode, the key or the limits.
"""

from __future__ import annotations

import copy
import dataclasses
import difflib
import hashlib
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

from parquill.chat import ChatRequest, ImagePart, Turn
from parquill.errors import ErrorKind, JobError, RowError, row_errors
from parquill.identity import FINGERPRINT_BYTES, Identity
from parquill.job import Job
from parquill.templates import PLAIN_KINDS, InsideError, Joined, Template, compile_template, for_template


class UserText:
    """The user's text of a row: a compiled template, or a column as it is."""

    def __init__(self, job: Job, columns: Sequence[str]) -> None:
        """`columns`: the manifest's. Raises `JobError` naming an unknown column or a bad template."""
        self._column = job.prompt.user_column
        self._template: Template | None = None
        if job.prompt.user is not None:
            self._template, used = _compile(job.prompt.user, columns)
        else:
            used = _known(str(self._column), columns, "prompt.user_column")
        self.columns: tuple[str, ...] = used
        """The columns that the text is made of."""

    def render_all(self, columns: Mapping[str, Sequence[Any]], count: int) -> list[str | RowError]:
        """Return the texts of `count` rows, or why there is none; `columns` hold a value for each row.

        Texts that are nothing but plain values joined are joined by column; all others go through `render`.
        """
        template = self._template
        if template is not None and not isinstance(template, Joined):
            texts: list[Any] = [""] * count
            apart = set(range(count))
        else:
            plain = PLAIN_KINDS if template else {str}
            apart = {place for name in self.columns for place in _others(columns[name], plain)}
            texts = template.render_all(columns, count) if template else list(columns[str(self._column)])
            apart.update([place for place, text in enumerate(texts) if place not in apart and not text.strip()])
        for place in apart:
            try:
                texts[place] = self.render({name: columns[name][place] for name in self.columns})
            except RowError as fault:
                texts[place] = fault
        return texts

    def refuse_insides(self, columns: Mapping[str, Sequence[Any]], count: int) -> None:
        """Raise `JobError` where the template prints an object of Python in every one of some rows.

        Rows that cannot be asked for another reason say nothing of it.
        """
        texts = self.render_all(columns, count)
        told = [one for one in texts if isinstance(one, (str, InsideError))]
        first = told[0] if told else None
        if isinstance(first, InsideError) and all(isinstance(one, InsideError) for one in told):
            raise JobError(first.message)

    def render(self, row: Mapping[str, Any]) -> str:
        """Return the text for one row; raises `RowError` (bad_row) where it cannot be made."""
        if self._template is None:
            return _column_text(str(self._column), row[str(self._column)])

        def said(error: Exception) -> str:
            nulls = ", ".join(repr(name) for name in self.columns if row[name] is None)
            why = f"{type(error).__name__}: {error}"[:300] + (f" (null in this row: {nulls})" if nulls else "")
            return f"prompt.user cannot be rendered for this row: {why}"

        with row_errors(ErrorKind.BAD_ROW, said, system_too=True):
            text = self._template.render({name: for_template(row[name], name) for name in self.columns})
        if not text.strip():
            raise RowError(ErrorKind.BAD_ROW, "prompt.user gives an empty text for this row")
        return text


def _others(values: Sequence[Any], kinds: Set[type]) -> list[int]:
    """The places of values of other kinds."""
    if kinds >= set(map(type, values)):
        return []
    return [place for place, value in enumerate(values) if type(value) not in kinds]


def _column_text(column: str, value: object) -> str:
    if value is None:
        raise RowError(ErrorKind.BAD_ROW, f"the prompt is null (column {column!r})")
    if not isinstance(value, str):
        raise RowError(ErrorKind.BAD_ROW, f"the prompt is no text (column {column!r} holds {type(value).__name__})")
    if not value.strip():
        raise RowError(ErrorKind.BAD_ROW, f"the prompt is empty (column {column!r})")
    return value


def _compile(source: str, columns: Sequence[str]) -> tuple[Template, tuple[str, ...]]:
    template = compile_template(source)
    return template, tuple(used for name in template.names for used in _known(name, columns, "prompt.user"))


def _known(name: str, columns: Sequence[str], key: str) -> tuple[str, ...]:
    if name in columns:
        return (name,)
    near = difflib.get_close_matches(name, columns, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"its columns are {', '.join(map(repr, columns))}"
    raise JobError(f"{key}: the manifest has no column {name!r}; {hint}")


class Asking:
    """What is the same for every row of a job, ready to be joined with a row's own text and pictures."""

    def __init__(self, job: Job, *, shape_digest: bytes, examples: Sequence[Turn] = ()) -> None:
        """`shape_digest`: canonical bytes of schema or functions; `examples`: few-shot turns."""
        self._before: tuple[Turn, ...] = (
            *((Turn("system", (job.prompt.system,)),) if job.prompt.system else ()),
            *examples,
        )
        self._images_first = job.prompt.images_first
        self._labels = job.images.labels
        turns = [_as_json(turn) for turn in self._before]
        self.identity = Identity.of(job, form=shape_digest, turns=turns)
        """What of the job decides answers."""
        self._shows_pictures = any(not isinstance(part, str) for turn in turns for part in turn)
        self._base = hashlib.blake2b(self.identity.static, digest_size=FINGERPRINT_BYTES)

    def with_pictures(self, opened: Mapping[str, ImagePart]) -> Asking:
        """Return the same asking with few-shot pictures in place of their stand-ins, found by their URL."""
        asking = copy.copy(self)
        asking._before = tuple(
            Turn(
                turn.role,
                tuple([opened.get(part.url, part) if isinstance(part, ImagePart) else part for part in turn.parts]),
            )
            for turn in self._before
        )
        return asking

    def without_opening(self) -> Asking:
        """Return the same asking with fingerprints that do not say how pictures are opened."""
        asking = copy.copy(self)
        asking.identity = dataclasses.replace(self.identity, opening=b"")
        return asking

    def fingerprint(self, text: str, pictures: Iterable[bytes], *, are_opened: bool = False) -> bytes:
        """Return a row's 16 bytes.

        Args:
            text: the row's own text.
            pictures: the identities of its picture values, in order.
            are_opened: whether one of them, or a page, is opened and drawn here.
        """
        state = self._base.copy()
        raw = text.encode("utf-8", "surrogatepass")
        opening = self.identity.opening
        more = (opening,) if opening and (are_opened or self._shows_pictures) else ()
        state.update(b"".join([b"%d:%b" % (len(piece), piece) for piece in (raw, *pictures, *more)]))
        return state.digest()

    def request(self, text: str, parts: Sequence[str | ImagePart] = (), instruction: str | None = None) -> ChatRequest:
        """Join a row's text and its pictures (and pages) into a request.

        `instruction` is the schema's own text where the endpoint does not enforce it.
        """
        said = f"{text}\n\n{instruction}" if instruction else text
        pictures = _labelled(parts) if self._labels and len(parts) > 1 else tuple(parts)
        turn = Turn("user", (*pictures, said) if self._images_first else (said, *pictures))
        return ChatRequest((*self._before, turn))


def _labelled(parts: Sequence[str | ImagePart]) -> tuple[str | ImagePart, ...]:
    labelled: list[str | ImagePart] = []
    number = 0
    for part in parts:
        if isinstance(part, ImagePart):
            number += 1
            labelled.append(f"Image {number}:")
        labelled.append(part)
    return tuple(labelled)


def _as_json(turn: Turn) -> list[Any]:
    return [turn.role, *(part if isinstance(part, str) else {"image": part.url} for part in turn.parts)]
