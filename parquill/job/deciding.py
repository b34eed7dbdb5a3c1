"""Which settings decide an answer: each setting of the job says so once, beside its type.

A setting carries its `Role` as metadata (`Annotated[str | None, Role.TURNS]`), or its whole section
does (`limits: Annotated[LimitSettings, Role.NEITHER]`); one without a role fails a test. What the
fingerprint of a row and the digest of a slice are made of is derived from these roles
(`parquill/identity.py`), so that neither can know less than the other. What this means for a person
stands in docs/how-it-decides.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import pydantic


class Role(Enum):
    """What a change of a setting means for the answers that were given before."""

    REQUEST = auto()
    """Decides every row's answer: a part of each request."""
    TURNS = auto()
    """Decides every row's answer: what is said before the row's own turn."""
    FORM = auto()
    """Decides every row's answer: the form that an answer has to have."""
    ROW = auto()
    """Decides the answers of the rows whose own text, pictures or documents become others by it."""
    PICTURES = auto()
    """Decides the answers of rows with pictures or pages that are opened and drawn here."""
    DOCUMENTS = auto()
    """Decides every row's answer in a job with documents."""
    SHAPES = auto()
    """Decides the form of the output alone: parts are written anew, nothing is asked."""
    NEITHER = auto()
    """Decides neither answers nor the output's form."""

    @property
    def decides(self) -> bool:
        """Whether a change of the setting asks the rows concerned again."""
        return self not in (Role.SHAPES, Role.NEITHER)


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of the job: its name in a job file, its role, and its value when it is not given."""

    name: str
    role: Role | None
    default: Any
    fields: tuple[str, ...]
    """The names of the fields that lead to it from the job."""

    def of(self, job: pydantic.BaseModel) -> Any:
        """Return the setting's value in a job, as JSON values."""
        *sections, field = self.fields
        section: Any = job
        for name in sections:
            section = getattr(section, name)
        return section.model_dump(mode="json", include={field})[field]


def settings_of(
    model: type[pydantic.BaseModel], before: tuple[str, ...] = (), shown: str = "", role: Role | None = None
) -> Iterator[Setting]:
    """Yield every setting of a job's model, in the order of its sections.

    A section that may be given anew as a whole (it has no default of its own kind, like `model.price`) is one setting.

    Args:
        model: the job's model, or a section's.
        before: the fields that lead to it.
        shown: their name in a job file, with a dot behind it.
        role: the role that the section was given as a whole.
    """
    for field, info in model.model_fields.items():
        name = f"{shown}{info.alias or field}"
        own = next((one for one in info.metadata if isinstance(one, Role)), role)
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel):
            yield from settings_of(kind, (*before, field), f"{name}.", own)
        else:
            yield Setting(name, own, info.get_default(call_default_factory=True, validated_data={}), (*before, field))
