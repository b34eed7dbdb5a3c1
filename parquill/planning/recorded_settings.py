"""With which settings the answers of a part were asked.

A part says it in its footer (`deciding`: a digest of each deciding setting). Parts of versions before
that are held against the newest run record beside the output, which holds the job as it ran.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any

from parquill.identity import DECIDING, Identity
from parquill.job import Job, Role
from parquill.redacted_settings import without_secrets
from parquill.results import PartInfo
from parquill.storage import Storage
from parquill.summary import RunRecord
from parquill.workspace import Workspace

UNNAMED = "a setting that an earlier version did not note"


class RecordedSettings:
    """What is known of how an output's answers were asked."""

    def __init__(self, job: Job, identity: Identity, workspace: Workspace) -> None:
        self._job = job
        self._identity = identity
        self._workspace = workspace

    def changed(self, part: PartInfo) -> tuple[str, ...]:
        """Return the names of the settings that changed since a part's answers were asked, in the schema's order.

        Of a part of an earlier version the names that can be known.
        """
        earlier = part.meta.get("deciding")
        if earlier is not None:
            return self._identity.changed_since(earlier)
        unnamed = () if part.settings == self._identity.first_digest else (UNNAMED,)
        return self._since_earlier_version or unnamed

    def names_rows_otherwise(self, part: PartInfo) -> bool:
        """Whether a part of an earlier version holds fingerprints without the settings of `Role.PICTURES`.

        Only where these settings have other values than the default, and still have the values of then.
        """
        if not self._identity.opening or "deciding" in part.meta:
            return False
        opening = {one.name for one in DECIDING if one.role is Role.PICTURES}
        return not opening.intersection(self._since_earlier_version)

    @functools.cached_property
    def _since_earlier_version(self) -> tuple[str, ...]:
        """By the newest run record; nothing where there is none."""
        record = _newest_record(self._workspace)
        if record is None:
            return ()
        # Records of earlier versions hold the values of variables, later ones the variables' names.
        forms = [self._job.model_dump(mode=mode, by_alias=True, exclude_unset=True) for mode in ("python", "json")]
        known = [record.settings, *map(without_secrets, forms)]
        changed = []
        for one in DECIDING:
            then, *now = (json.dumps(_given(form, one.name, one.default), sort_keys=True) for form in known)
            if then not in now:
                changed.append(one.name)
        return tuple(changed)


def _newest_record(workspace: Workspace) -> RunRecord | None:
    if not workspace.runs.is_dir():
        return None
    storage = Storage.at(workspace.runs)
    for name in sorted((entry.name for entry in storage.files() if entry.name.endswith(".json")), reverse=True):
        try:
            return RunRecord.load(storage.read_bytes(name))
        except ValueError:
            continue
    return None


def _given(settings: Mapping[str, Any], name: str, default: Any) -> Any:
    """A setting's value in a job as a job file has it."""
    value: Any = settings
    for key in name.split("."):
        if not isinstance(value, Mapping) or key not in value:
            return default
        value = value[key]
    return value
