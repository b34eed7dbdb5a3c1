"""Builds the plan of a run: which slices are complete, and what the others can keep.

    scan      one pass over the manifest: a digest of every slice
    parts     the footers of the parts in the output
    complete  same digest, nothing left to ask: the part stays, byte for byte
    open      everything else; for each of its rows the plan knows whether an older part holds
              it (`kept_at`), and which attempts of earlier runs count on (`carried`)

`matching.py` matches the rows, and archives those that match no longer.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from parquill.endpoint import realm_of
from parquill.errors import ManifestError, OutputError
from parquill.job import state_home
from parquill.manifest import Slice
from parquill.planning.archive_access import ArchiveAccess
from parquill.planning.failed_rows import Look, RetryChoice, part_asks_again
from parquill.planning.fingerprint_index import FingerprintIndex
from parquill.planning.matching import Audit, Matcher
from parquill.planning.preparation import Prepared
from parquill.planning.recorded_settings import RecordedSettings
from parquill.planning.run_plan import OpenSlice, RunPlan, held_in
from parquill.planning.scan import scan
from parquill.results import PartInfo, Status, read_part, read_part_info
from parquill.storage import Storage
from parquill.workspace import Workspace

_log = logging.getLogger(__name__)

FORMAT = 2
"""Of digests: raised when the same manifest would give other parts. 2: they hold every deciding setting."""


class Planner:
    """Plans one run over an output; reads and moves, but sends nothing."""

    def __init__(self, opened: Prepared, output: Storage) -> None:
        self._job = opened.job
        self._manifest = opened.manifest
        self._reader = opened.reader
        self._output = output
        self._identity = opened.asking.identity
        self._schema = opened.schema
        workspace = Workspace.of(self._job.output.path, state_home())
        self.recorded = RecordedSettings(self._job, self._identity, workspace)
        """With which settings the answers of the output's parts were asked."""

    @property
    def output(self) -> Storage:
        """Where the parts stand."""
        return self._output

    def standing(self) -> dict[str, PartInfo]:
        """Read the footers of the output's parts; raises `OutputError` for a foreign file."""
        parts = {}
        for entry in self._output.files():
            if entry.name.endswith(".parquet"):
                info = parts[entry.name] = read_part_info(self._output, entry.name)
                owner = info.meta.get("job")
                if owner != self._job.name:
                    raise OutputError(
                        f"{self._output.where(entry.name)}: this output belongs to the job {owner!r}, not to "
                        f"{self._job.name!r}: choose another output.path, or give the job its old name"
                    )
        return parts

    def plan(
        self,
        parts: Mapping[str, PartInfo],
        archive: ArchiveAccess,
        *,
        emulated: bool,
        retry: RetryChoice,
        allow_shrink: bool,
        audit: Audit | None = None,
    ) -> RunPlan:
        """Match manifest and output.

        Args:
            parts: the parts that stand.
            archive: where rows without a match go, and are found.
            emulated: whether answers of the emulator are taken over.
            retry: which failed rows are asked again.
            allow_shrink: whether more than half of the rows may leave the table.
            audit: called with answers that leave the table.
        """
        self._refuse_shrunk(parts, allow_shrink=allow_shrink)
        matcher = Matcher(self._manifest, self._reader, self._output, self.recorded, archive, retry, emulated, audit)
        digests, realm = self.digests(), realm_of(emulated=emulated)
        complete: dict[int, PartInfo] = {}
        open_slices: list[OpenSlice] = []
        for number, one in enumerate(self._manifest.slices):
            info = parts.get(one.part)
            is_last = info is not None and self._is_last_word(info, digests[one.part], realm, retry, archive.failures)
            if info is not None and is_last and not archive.lifted_rows(info.part_id):
                complete[number] = info
            else:
                _log.debug(
                    "slice %d is open: %s", number, "no part stands" if info is None else "its part does not fit"
                )
                open_slices.append(OpenSlice(one, number, digests[one.part], old=info))
        wanted = {one.part for one in self._manifest.slices}
        orphans = tuple(info for name, info in parts.items() if name not in wanted)
        open_slices = self._held(archive, open_slices, realm)
        matched = tuple(sorted(matcher.match_all(open_slices), key=lambda one: one.number))
        for orphan in orphans:
            matcher.lift_all(orphan)
        kept_ok, kept_errors = self._kept(complete, matched)
        settings = self._identity.digest
        plan = RunPlan(
            self._job, self._manifest, self._reader, settings, complete, matched, orphans, kept_ok, kept_errors
        )
        return plan if not matched else self.indexed(plan, archive)

    def unfinished(
        self, parts: Mapping[str, PartInfo], look: Look, *, emulated: bool, retry: RetryChoice
    ) -> tuple[Slice, ...]:
        """Return the slices whose part is missing or not its last word; looks only, moves nothing."""
        digests, realm = self.digests(), realm_of(emulated=emulated)
        return tuple(
            one
            for one in self._manifest.slices
            if (info := parts.get(one.part)) is None
            or not self._is_last_word(info, digests[one.part], realm, retry, look)
        )

    def digests(self) -> Mapping[str, str]:
        """Return the digest of every slice, looked at once; raises `ManifestError` for bad ids."""
        return self._digests

    @functools.cached_property
    def _digests(self) -> Mapping[str, str]:
        settings = f"{FORMAT}:{self._identity.digest}:{self._schema}".encode()
        columns = self._manifest.columns.needed(self._reader.columns)
        return scan(self._manifest, columns, settings=settings, stamp=self._reader.stamp).digests

    @staticmethod
    def _held(archive: ArchiveAccess, open_slices: Sequence[OpenSlice], realm: str) -> list[OpenSlice]:
        """Join slices and ledger; there, outcomes of slices that are others now move to the archive."""
        records = archive.slices()
        joined = held_in(records, open_slices, realm)
        ours = {one.held for one in joined}
        for record in records:
            if record.id not in ours:
                archive.retire(record.id)
        return joined

    def _is_last_word(self, part: PartInfo, digest: str, realm: str, retry: RetryChoice, look: Look) -> bool:
        """Whether nothing is left to ask of a part's slice, and none of its rows is another now."""
        is_ours = part.meta.get("realm") == realm
        whole = part.slice_digest == digest and part.not_attempted == 0 and is_ours
        return whole and not part_asks_again(self._output, part, retry, look)

    def _refuse_shrunk(self, parts: Mapping[str, PartInfo], *, allow_shrink: bool) -> None:
        before, now = sum(info.rows for info in parts.values()), self._manifest.rows
        if now * 2 < before and not allow_shrink:
            raise ManifestError(
                f"{self._job.manifest.path}: the manifest has {now:,} rows, the output {before:,}: more than half "
                "would leave the table. If that is meant, run again with --allow-shrink"
            )

    def _kept(self, complete: Mapping[int, PartInfo], matched: Sequence[OpenSlice]) -> tuple[int, dict[str, int]]:
        ok = sum(info.ok for info in complete.values())
        errors: dict[str, int] = {}
        for info in complete.values():
            for kind, count in info.by_error_kind.items():
                errors[kind] = errors.get(kind, 0) + count
        for one in matched:
            for failure in self._kept_kinds(one):
                if failure is None:
                    ok += 1
                else:
                    errors[failure] = errors.get(failure, 0) + 1
        return ok, errors

    def _kept_kinds(self, one: OpenSlice) -> Iterator[str | None]:
        if one.old is None or one.kept_at is None or not (one.kept_at >= 0).any():
            return
        kinds = read_part(self._output, one.old.name, ["error_kind"]).column("error_kind")
        yield from kinds.take(pa.array(one.kept_at[one.kept_at >= 0])).to_pylist()

    def indexed(self, plan: RunPlan, archive: ArchiveAccess) -> RunPlan:
        """Return a plan that knows where each answered fingerprint is: duplicates are not paid again."""
        index = FingerprintIndex(self._manifest.rows)
        open_slices = {one.number: one for one in plan.open}
        for number in range(len(self._manifest.slices)):
            one = open_slices.get(number)
            info = one.old if one is not None else plan.complete[number]
            if info is None or (one is not None and (one.kept_at is None or not (one.kept_at >= 0).any())):
                continue
            table = read_part(self._output, info.name, ["fingerprint", "status"])
            if one is not None and one.kept_at is not None:
                rows = np.flatnonzero(one.kept_at >= 0)
                table = table.take(pa.array(one.kept_at[rows]))
            else:
                rows = np.arange(info.rows)
            told = zip(
                rows.tolist(), *(table.column(name).to_pylist() for name in ("fingerprint", "status")), strict=True
            )
            answered = [
                (_named(one, row) or bytes.fromhex(mark), row)
                for row, mark, status in told
                if mark and status == Status.OK.value
            ]
            if answered:
                index.claim_all([mark for mark, _ in answered], number, [row for _, row in answered])
        for one in plan.open:
            for row, fingerprint in archive.answered(one.held).items() if one.held is not None else ():
                if fingerprint is not None:
                    index.claim(fingerprint, one.number, row)
        return replace(plan, index=index)


def _named(one: OpenSlice | None, row: int) -> bytes | None:
    """A row's fingerprint where its part names it otherwise."""
    return one.renamed[row] if one is not None and one.renamed is not None else None
