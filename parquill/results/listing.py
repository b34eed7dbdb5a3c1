"""`manifest.json`: the list of an output's parts, written last; a reader of it has the whole output."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from parquill.errors import OutputError
from parquill.results.parts import PartInfo
from parquill.storage import Storage

LISTING_FORMAT = 1

_SUMMED = ("rows", "ok", "failed", "not_attempted", "requests", "cost_pico", "prompt_tokens", "completion_tokens")


def write_manifest(storage: Storage, name: str, parts: Sequence[PartInfo], about: Mapping[str, Any]) -> None:
    """Write the list of parts with their rows, sums and checksums, and the sums of all.

    `about` (JSON values: job, settings, versions) stands beside them. Of a part whose checksum is not
    known to the caller, the list that stands gives it. The file appears whole and durable; raises
    `StorageFullError` or `StorageFaultError` naming it.
    """
    sums = {field: sum(getattr(part, field) for part in parts) for field in _SUMMED}
    listing = {
        "format": LISTING_FORMAT,
        **about,
        "sums": sums,
        "parts": [_entry(part) for part in sorted(_with_checksums(storage, name, parts), key=lambda part: part.name)],
    }
    data = orjson.dumps(listing, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    storage.write_bytes(name, data)


def read_manifest(storage: Storage, name: str) -> tuple[dict[str, PartInfo], dict[str, Any]]:
    """Read the list back: parts by name, and the whole listing.

    Raises `OutputError` when the file is damaged or of a newer format.
    """
    where = storage.where(name)
    try:
        listing = orjson.loads(storage.read_bytes(name))
        form = listing["format"]
        parts = {entry["name"]: PartInfo(**entry) for entry in listing["parts"]} if form == LISTING_FORMAT else {}
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
        raise OutputError(f"{where}: this list of parts is damaged; remove it, the next run writes it anew") from None
    if form != LISTING_FORMAT:
        raise OutputError(f"{where}: this output was written by a newer Parquill (format {form}); update to read it")
    return parts, listing


def _with_checksums(storage: Storage, name: str, parts: Sequence[PartInfo]) -> Iterator[PartInfo]:
    """Parts with the checksums that the list which stands has of them."""
    try:
        listed = read_manifest(storage, name)[0] if any(part.sha256 is None for part in parts) else {}
    except OutputError:  # there is none, or it is damaged: it is written anew
        listed = {}
    for part in parts:
        known = listed.get(part.name)
        if part.sha256 is None and known is not None and known.part_id == part.part_id:
            yield dataclasses.replace(part, sha256=known.sha256)
        else:
            yield part


def _entry(part: PartInfo) -> dict[str, Any]:
    return dataclasses.asdict(part)
