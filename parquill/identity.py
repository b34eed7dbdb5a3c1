"""What of a job decides its answers: the one source of row fingerprints, slice digests and what is learned.

Made from the roles that settings declare (`parquill/job/deciding.py`):

    static    stands in every row's fingerprint: model, sampling, turns before the row's, answer form
    opening   joins it for rows with pictures or pages that are opened here
    settings  a digest of each deciding setting, so that a change can be named; never a value
    digest    of all of these together: what a slice's digest and `learned.json` are made with

The digest holds the static part and every deciding setting, so it cannot know less than a fingerprint
does; what a row adds of its own (text, pictures) is made of the columns that the slice's digest reads.

Fingerprints stay what they were when settings are added: a setting that is not among the first ones
counts only where its value is not the default.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from parquill.job import Job, Role, Setting, settings_of

FINGERPRINT_BYTES = 16
"""128 bits: among ten million rows the chance of two equal ones is below 10**-24."""

_FIRST = {
    "model.name": "model",
    "model.fallback_models": "fallback_models",
    "model.max_tokens": "max_tokens",
    "model.temperature": "temperature",
    "model.top_p": "top_p",
    "model.top_k": "top_k",
    "model.seed": "seed",
    "model.stop": "stop",
    "prompt.images_first": "images_first",
    "images.labels": "labels",
    "output.max_chars": "max_chars",
}
"""Settings that the first fingerprints held whatever their value, by their names there."""

_FIRST_OF_DOCUMENTS = {f"documents.{name}": name for name in ("send", "pages", "max_pages", "take")}
"""As `_FIRST`, in jobs with documents."""

DECIDING: tuple[Setting, ...] = tuple(one for one in settings_of(Job) if one.role is not None and one.role.decides)
"""Every setting whose change asks rows again."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What decides a job's answers, rows aside."""

    static: bytes
    opening: bytes
    """Empty where every setting of `Role.PICTURES` has its default."""
    settings: Mapping[str, str] = field(hash=False)
    """By name: 16 hex digits of the value. Without settings that are at their default and were not among the first."""

    @classmethod
    def of(cls, job: Job, *, form: bytes, turns: Sequence[Sequence[Any]]) -> Identity:
        """Return a job's identity.

        Args:
            job: the job, checked.
            form: canonical bytes of the schema or the functions; empty for plain text.
            turns: the turns before a row's own, as JSON values.
        """
        values = {one.name: one.of(job) for one in DECIDING if _counts(one, job)}
        static = orjson.dumps({"settings": _settings(values), "turns": turns}, option=orjson.OPT_SORT_KEYS)
        opening = {one.name: values[one.name] for one in DECIDING if one.role is Role.PICTURES and one.name in values}
        return cls(
            static=b"%d:%b%d:%b" % (len(static), static, len(form), form),
            opening=orjson.dumps(opening, option=orjson.OPT_SORT_KEYS) if opening else b"",
            settings=_digests(values, form),
        )

    @property
    def digest(self) -> str:
        """Return 32 hex digits over everything of the job that decides answers."""
        named = orjson.dumps(dict(self.settings), option=orjson.OPT_SORT_KEYS)
        whole = b"%d:%b%d:%b" % (len(self.static), self.static, len(named), named)
        return hashlib.blake2b(whole, digest_size=FINGERPRINT_BYTES).hexdigest()

    @property
    def first_digest(self) -> str:
        """Return 32 hex digits over the static part alone: what parts of earlier versions name their settings by."""
        return hashlib.blake2b(self.static, digest_size=FINGERPRINT_BYTES).hexdigest()

    def changed_since(self, earlier: Mapping[str, str]) -> tuple[str, ...]:
        """Return the names of the settings that are others than in `earlier` (an identity's `settings`), in order."""
        return tuple(one.name for one in DECIDING if earlier.get(one.name) != self.settings.get(one.name))


def _counts(one: Setting, job: Job) -> bool:
    """Whether a setting has a say in this job."""
    if one.name in _FIRST:
        return True
    if one.role is Role.DOCUMENTS and not job.manifest.document_columns:
        return False
    if one.name.startswith("images.") and not _has_pictures(job):
        return False
    return one.name in _FIRST_OF_DOCUMENTS or json.dumps(one.of(job)) != json.dumps(one.default)


def _has_pictures(job: Job) -> bool:
    columns = job.manifest.image_columns or job.manifest.document_columns
    return bool(columns) or any(example.images for example in job.prompt.examples)


def _settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that stand in every fingerprint, in the form of the first ones."""
    settings: dict[str, Any] = {old: values[name] for name, old in _FIRST.items()}
    documents = {old: values[name] for name, old in _FIRST_OF_DOCUMENTS.items() if name in values}
    later = {
        one.name: values[one.name]
        for one in DECIDING
        if one.role in (Role.REQUEST, Role.DOCUMENTS)
        and one.name in values
        and one.name not in _FIRST
        and one.name not in _FIRST_OF_DOCUMENTS
    }
    return settings | ({"documents": documents} if documents else {}) | later


def _digests(values: Mapping[str, Any], form: bytes) -> dict[str, str]:
    """A digest of each setting; of a schema's content, wherever it stands.

    A picture of an example may change without its setting: that is seen by the static part, and is no changed setting.
    """
    meant = {"output.schema": form.hex(), "output.functions": form.hex()}
    return {name: _digest(meant.get(name, value)) for name, value in values.items()}


def _digest(value: Any) -> str:
    # Not orjson: a template may hold half of a surrogate pair.
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=8).hexdigest()
