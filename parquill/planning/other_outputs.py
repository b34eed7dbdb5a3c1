"""Answers in other outputs, found by fingerprint."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from parquill.endpoint import is_emulated
from parquill.errors import OutputError
from parquill.job import Job, state_home
from parquill.planning.fingerprint_index import FingerprintIndex
from parquill.planning.part_reader import PartReader
from parquill.results import ItemResult, PartInfo, Status, read_part, read_part_info
from parquill.storage import Storage, split_glob
from parquill.workspace import Workspace


class OtherOutputs:
    """Answers in the outputs that `output.reuse_from` names and in the output's own sample, found by fingerprint."""

    def __init__(self, index: FingerprintIndex, parts: Sequence[tuple[Storage, PartInfo]]) -> None:
        self._index = index
        self._parts = parts
        self._reader = PartReader()

    @classmethod
    def open(cls, job: Job, *, emulated: bool) -> OtherOutputs | None:
        """Index the ok answers of the run's realm; raises `OutputError` for a place of `reuse_from` without parts.

        With `images.refresh` the sample is not used: whether its pictures are still the same is not looked at.
        """
        parts = [part for place in job.output.reuse_from for part in _parts_at(place)]
        if not job.images.refresh:
            parts += _parts_in(Storage.at(Workspace.of(job.output.path, state_home()).sample_output))
        if not parts:
            return None
        index = FingerprintIndex(sum(info.rows for _, info in parts))
        for number, (storage, info) in enumerate(parts):
            table = read_part(storage, info.name, ["fingerprint", "status", "provider"])
            for row, (text, status, provider) in enumerate(zip(*table.to_pydict().values(), strict=True)):
                ours = status == Status.OK.value and is_emulated(provider) == emulated
                if ours and text is not None:
                    index.claim(bytes.fromhex(text), number, row)
        return cls(index, parts)

    def holds(self, fingerprint: bytes) -> bool:
        """Whether one of the outputs seems to hold an answer: by 64 bits of the fingerprint, unopened."""
        return self._index.find(fingerprint) is not None

    async def find(self, fingerprint: bytes) -> ItemResult | None:
        """Return an ok answer of the run's realm, if one of the outputs holds it."""
        place = self._index.find(fingerprint)
        if place is None:
            return None
        storage, info = self._parts[place[0]]
        result = await self._reader.row(storage, info, place[1])
        return result if result is not None and result.fingerprint == fingerprint else None


def _parts_at(place: str) -> list[tuple[Storage, PartInfo]]:
    """The parts in the folders, or under the glob, that an entry of `reuse_from` names."""
    root, pattern = split_glob(place)
    if pattern:
        base = Storage.at(root)
        folders = sorted({str(Path(entry.name).parent) for entry in base.glob(f"{pattern}/*.parquet")})
        storages = [Storage.at(f"{root}/{folder}") for folder in folders]
    else:
        storages = [Storage.at(place)]
    found = [part for storage in storages for part in _parts_in(storage)]
    if not found and not pattern:
        raise OutputError(f"output.reuse_from: {place}: there is no output there")
    return found


def _parts_in(storage: Storage) -> list[tuple[Storage, PartInfo]]:
    """The parts in a folder; none where it is not there."""
    names = [entry.name for entry in storage.files() if entry.name.endswith(".parquet")]
    return [(storage, read_part_info(storage, name)) for name in names]
