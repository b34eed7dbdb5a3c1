"""Wildcards in file names: `*` and `?` stay within one step of a path, `**/` takes any number."""

from __future__ import annotations

import re

from parquill.storage.location import is_remote

_WILDCARD = re.compile(r"(\*\*/|\*|\?|\[!?[^\]/]{1,255}\])")
_MEANING = {"**/": r"(?:[^/]+/)*", "*": r"[^/]*", "?": r"[^/]"}


def glob_regex(pattern: str) -> re.Pattern[str]:
    """Return what a name must fully match to fit the pattern."""
    parts = enumerate(_WILDCARD.split(pattern))  # every second part is a wildcard
    return re.compile("".join(_wild(part) if index % 2 else re.escape(part) for index, part in parts))


def _wild(part: str) -> str:
    if part in _MEANING:
        return _MEANING[part]
    inverted = part.startswith("[!")
    inner = part[2 if inverted else 1 : -1].replace("\\", r"\\").replace("^", r"\^").replace("[", r"\[")
    return f"[{'^/' if inverted else ''}{inner}]"


def split_glob(location: str) -> tuple[str, str | None]:
    """Cut a place at its first wildcard: the folder above it, and the pattern within that folder.

    `data/*/x.parquet` -> (`data`, `*/x.parquet`); a place without wildcards -> (place, None).
    A `?` counts in local paths only: in a URI it begins the options, which go with the folder.
    """
    path, mark, options = location.partition("?") if is_remote(location) else (location, "", "")
    wild = re.search(r"[*?\[]", path)
    if wild is None:
        return location, None
    folder, slash, _ = path[: wild.start()].rpartition("/")
    return (folder or slash or ".") + mark + options, path[len(folder) + len(slash) :]
