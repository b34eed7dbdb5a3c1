"""Finds the files that a manifest's path names, and cuts them into slices.

Files are ordered by their key (see `results.part_key`), so that parts sorted by name follow
the manifest's order, and a file added to a folder leaves the other files' parts as they are.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from parquill.errors import ManifestError
from parquill.results import part_key, part_name
from parquill.storage import Storage, is_remote, split_glob

SUFFIXES = (".parquet", ".jsonl", ".csv")
_HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True, slots=True, eq=False)
class SourceFile:
    """One file of the manifest. `partitions` are the `key=value` folders it lies under."""

    storage: Storage
    name: str
    """Path relative to the manifest's root."""
    key: str
    partitions: Mapping[str, str | None]

    @property
    def label(self) -> str:
        """How messages name the file."""
        return self.storage.where(self.name)

    @property
    def suffix(self) -> str:
        """`.parquet`, `.jsonl` or `.csv`."""
        return self.name[self.name.rfind(".") :].lower()


@dataclass(frozen=True, slots=True)
class Slice:
    """`rows` neighbouring rows of one file, beginning with row `start` of that file."""

    source: SourceFile
    number: int
    start: int
    rows: int
    position: int
    """The first row's position in the whole manifest."""

    @property
    def part(self) -> str:
        """The file name of the part that this slice becomes."""
        return part_name(self.source.key, self.number)


def find_files(path: str, *, outside: str) -> tuple[SourceFile, ...]:
    """Return the manifest's files in order.

    Files below `outside` (the output) are no part of a manifest that lies around it. Raises
    `ManifestError` where nothing is found, or where two files would share a key.
    """
    storage, names = _named(path)
    output = Storage.at(outside)
    ours = [name for name in names if _is_data(name) and not _is_below(storage, name, output)]
    if not ours:
        raise ManifestError(
            f"{path}: no manifest there: a file, folder or glob of {', '.join(SUFFIXES)} files is wanted"
        )
    files = sorted((SourceFile(storage, name, part_key(name), _partitions(name)) for name in ours), key=_order)
    for one, other in itertools.pairwise(files):
        if one.key == other.key:
            raise ManifestError(f"{one.label} and {other.label} would give parts of the same name: rename one")
    return tuple(files)


def cut(source: SourceFile, rows: int, rows_per_part: int, position: int) -> Iterator[Slice]:
    """Cut a file of `rows` rows into slices; its first row has `position` in the manifest."""
    for number, start in enumerate(range(0, rows, rows_per_part)):
        yield Slice(source, number, start, min(rows_per_part, rows - start), position + start)


def _named(path: str) -> tuple[Storage, list[str]]:
    """Return the manifest's root and the files that the path names below it."""
    root, pattern = split_glob(path)
    if pattern:
        storage = Storage.at(root, fault=ManifestError)
        return storage, [entry.name for entry in storage.glob(pattern)]
    place, mark, options = path.partition("?") if is_remote(path) else (path, "", "")
    parent, _, name = place.rstrip("/").rpartition("/")
    beside = Storage.at((parent or ("/" if path.startswith("/") else ".")) + mark + options, fault=ManifestError)
    if beside.exists(name):
        return beside, [name]
    storage = Storage.at(path, fault=ManifestError)
    return storage, [entry.name for entry in storage.glob("**/*")]


def _is_below(storage: Storage, name: str, output: Storage) -> bool:
    if storage.local_path is not None and output.local_path is not None:
        return (storage.local_path / name).resolve().is_relative_to(output.local_path.resolve())
    return storage.where(name).startswith(output.label.rstrip("/") + "/")


def _order(source: SourceFile) -> str:
    return part_name(source.key, 0)


def _is_data(name: str) -> bool:
    steps = name.split("/")
    return name.lower().endswith(SUFFIXES) and not any(step.startswith((".", "_")) for step in steps)


def _partitions(name: str) -> dict[str, str | None]:
    """The columns that Hive-style folders spell: percent-encoded, with a name of its own for null."""
    pairs = (step.split("=", 1) for step in name.split("/")[:-1] if "=" in step)
    return {unquote(key): None if value == _HIVE_NULL else unquote(value) for key, value in pairs if key}
