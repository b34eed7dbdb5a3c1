"""What a user writes as a place -> a pyarrow filesystem and a path in it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import fs

from parquill.errors import UsageError

_URI = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://")
_REMOTE = {"s3": "s3", "gs": "gs", "gcs": "gs", "az": "abfs", "abfs": "abfs", "abfss": "abfss"}
_USERINFO = re.compile(r"(?<=://)[^/@]*:[^/@]*@")
_SECRET_OPTION = re.compile(r"(?<=[?&])([^=&]*(?:key|secret|token|sig|password)[^=&]*)=[^&]*", re.IGNORECASE)


def is_remote(location: str) -> bool:
    """Whether a place lies in an object store: it is written as a URI other than file://."""
    scheme = _URI.match(location)
    return scheme is not None and scheme[1].lower() != "file"


def shown(location: str) -> str:
    """The place as it may stand in a message: a URI without its credentials."""
    return _SECRET_OPTION.sub(r"\1=***", _USERINFO.sub("***@", location))


def local_path(location: str) -> Path:
    """The path of a local place, also of one written as file://."""
    return Path(location.removeprefix("file://")).expanduser()


def beside(location: str, name: str) -> str:
    """Return a place whose path is that of `location` with `name` at its end; a URI keeps its options."""
    path, mark, options = location.partition("?") if is_remote(location) else (location, "", "")
    return f"{path.rstrip('/')}{name}{mark}{options}"


def open_remote(location: str, fault: type[UsageError]) -> tuple[Any, str]:
    """Return the filesystem of a remote place, and the path in it.

    s3:// takes its key, region and endpoint from the URI (`?region=…&endpoint_override=…`) or
    from the usual AWS variables; az:// names the account as `az://ACCOUNT@CONTAINER/path`.
    Raises `fault` for an unknown scheme or a URI that its library refuses.
    """
    match = _URI.match(location)
    scheme = match[1].lower() if match else ""
    if scheme not in _REMOTE:
        raise fault(f"{shown(location)}: {scheme}:// is not known; use a local path, s3://, gs:// or az://")
    if scheme == "az" and "@" not in location:
        raise fault(f"{shown(location)}: the storage account is missing; write az://ACCOUNT@CONTAINER/path")
    uri = _REMOTE[scheme] + location[len(scheme) :]
    try:
        filesystem, path = fs.FileSystem.from_uri(uri)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise fault(f"{shown(location)}: cannot be used as a place: {shown(str(error))}") from None
    return filesystem, path.strip("/")
