"""Names parts after the source file and the slice that they answer.

A name is `<key>.<slice, six digits>.parquet`. The key spells the source file's path relative
to the manifest's root, without its `.parquet` ending: `/` is written `+`; letters, digits,
`=`, `-` and `_` stand for themselves; any other character, and a leading `_` (readers skip
such files), becomes `~XX` for each byte of its UTF-8. A path with another ending keeps it and
gets a closing `~`, and a name too long for a file system is cut and closed with `~~` and a
digest; both can never come out of the escaping, so no two paths share a key.

Order: a manifest's files stand in the order of their parts' names, compared byte by byte;
that is the order of `part_key(path) + "."`. Within a file, slices stand in their own order.
"""

from __future__ import annotations

import hashlib
import re

from parquill.errors import OutputError

MAX_SLICES = 1_000_000
"""Slices that one source file may have: the six digits of a part's name."""

_LONGEST_KEY = 200
"""Bytes; most file systems hold 255 in a name, and the slice and ending take 15."""

_PLAIN = re.compile(r"[0-9A-Za-z_=-]")
_ENDING = ".parquet"


def part_key(relative_path: str) -> str:
    """Spell a source file's path (relative, with `/`) as the first part of its parts' names."""
    ours = relative_path.endswith(_ENDING)
    stem = relative_path.removesuffix(_ENDING)
    spelled = "".join(_spelled(letter) for letter in stem)
    if spelled.startswith("_"):
        spelled = "~5F" + spelled[1:]
    key = spelled if ours else spelled + "~"
    if len(key) <= _LONGEST_KEY:
        return key
    digest = hashlib.sha256(relative_path.encode("utf-8", "surrogateescape")).hexdigest()[:32]
    return f"{key[:150]}~~{digest}"


def part_name(key: str, slice_number: int) -> str:
    """Name the part of one slice; raises `OutputError` when a file has too many slices."""
    if not 0 <= slice_number < MAX_SLICES:
        raise OutputError(
            f"{key}: a source file may have {MAX_SLICES:,} parts at most; use a larger output.rows_per_part"
        )
    return f"{key}.{slice_number:06d}{_ENDING}"


def _spelled(letter: str) -> str:
    if letter == "/":
        return "+"
    if _PLAIN.fullmatch(letter):
        return letter
    return "".join(f"~{byte:02X}" for byte in letter.encode("utf-8", "surrogateescape"))
