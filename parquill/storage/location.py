"""Parses a path that a user writes into a pyarrow filesystem and a path in it."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

import pyarrow as pa
from pyarrow import fs

from parquill.errors import UsageError
from parquill.store_calls import wait_for_call

_URI = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://")
_REMOTE = {"s3": "s3", "gs": "gs", "gcs": "gs", "az": "abfs", "abfs": "abfs", "abfss": "abfss"}
_USERINFO = re.compile(r"(?<=://)([^/@:?\s]*):([^@\s]*)@")
"""A name and a key before a bucket. Keys are base64: half of them hold a `/`."""
_SIGNED = re.compile(r"^([^/@:]*)(?::[^@]*)?@")
_NO_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_IN_PATHS = "/%:@!$&'()*+,;=~"
"""What stands in a URI's path as it is, beside letters and digits."""
_SERVERS = ("endpoint_override=", "blob_storage_authority=")
CONNECT_SECONDS = 5.0
_OPENING_SECONDS = 60.0
"""For what a library asks before anything is read: a bucket's region, an identity."""
_MOST_OPEN = 256
_OPTION = re.compile(r"(?<=[?&])([^=&?\s]*+)=[^&\s]*")
_SECRET_NAME = re.compile(r"key|secret|token|sig|password", re.IGNORECASE)


@dataclass(slots=True)
class _OpenStore:
    lock: threading.Lock = field(default_factory=threading.Lock)
    opened: tuple[Any, str] | None = None


_lock = threading.Lock()
_open: dict[tuple[str, float], _OpenStore] = {}


def is_remote(location: str) -> bool:
    """Whether a place lies in an object store: it is written as a URI other than file://."""
    scheme = _URI.match(location)
    return scheme is not None and scheme[1].lower() != "file"


def shown(location: str) -> str:
    """The place as it may stand in a message: a URI without its credentials."""
    return _OPTION.sub(_option_shown, _USERINFO.sub("***@", location))


def _option_shown(option: re.Match[str]) -> str:
    return f"{option[1]}=***" if _SECRET_NAME.search(option[1]) else option[0]


def identity(location: str) -> str:
    """Identity of a remote folder, independent of who signs in: scheme, account, bucket, path, server."""
    address, _, query = location.partition("?")
    scheme, _, rest = address.partition("://")
    name = r"\1@" if _REMOTE.get(scheme.lower()) == "abfs" else ""
    server = [pair for pair in sorted(query.split("&")) if pair.startswith(_SERVERS)]
    return "?".join([f"{scheme.lower()}://{_SIGNED.sub(name, rest).rstrip('/')}", *server])


def local_path(location: str) -> Path:
    """The path of a local place, also of one written as file://."""
    return Path(location.removeprefix("file://")).expanduser()


def beside(location: str, name: str) -> str:
    """Return a place whose path is that of `location` with `name` at its end; a URI keeps its options."""
    path, mark, options = location.partition("?") if is_remote(location) else (location, "", "")
    return f"{path.rstrip('/')}{name}{mark}{options}"


def open_remote(location: str, fault: type[UsageError], silence: float) -> tuple[Any, str]:
    """Return the filesystem of a remote place, and the path in it.

    `silence`: seconds after which a server that sends nothing is given up, as far as the store's library can be told.

    s3:// takes its key, region and endpoint from the URI (`?region=…&endpoint_override=…`) or
    from the usual AWS variables; az:// names the account, and its key where no other way to sign
    in is set up: `az://ACCOUNT@CONTAINER/path`, `az://ACCOUNT:KEY@CONTAINER/path`.
    Raises `fault` for an unknown scheme or a URI that its library refuses.
    """
    match = _URI.match(location)
    scheme = match[1].lower() if match else ""
    if scheme not in _REMOTE:
        raise fault(f"{shown(location)}: {scheme}:// is not known; use a local path, s3://, gs:// or az://")
    if scheme == "az" and "@" not in location:
        raise fault(f"{shown(location)}: the storage account is missing; write az://ACCOUNT@CONTAINER/path")
    try:
        uri = _REMOTE[scheme] + location[len(scheme) :]
        filesystem, path = wait_for_call(identity(location), lambda: _opened_once(uri, silence), _OPENING_SECONDS)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise fault(f"{shown(location)}: cannot be used as a place: {shown(str(error))}") from None
    return filesystem, path.strip("/")


def _opened_once(uri: str, silence: float) -> tuple[Any, str]:
    """Open a place, or return it as it was opened before in this process.

    pyarrow opens no place in S3 while any request to S3 is under way in the process, and one that was left alone may
    be under way for ever: so what was opened is kept, and of several threads one opens a place for all.
    """
    with _lock:
        if len(_open) > _MOST_OPEN:
            _open.clear()
        store = _open.setdefault((uri, silence), _OpenStore())
    with store.lock:
        if store.opened is None:
            store.opened = _opened(uri, silence)
        return store.opened


def _opened(uri: str, silence: float) -> tuple[Any, str]:
    """Open a place as pyarrow does, with a key and a path as the store shows them: not percent-encoded."""
    uri = _with_path_encoded(uri)
    named = _USERINFO.search(uri)
    if uri.startswith("abfs"):
        return _azure(uri, named)
    if named:
        uri = f"{uri[: named.start(2)]}{quote(unquote(named[2]), safe='')}{uri[named.end(2) :]}"
    if uri.startswith("gs") and "retry_limit_seconds=" not in uri:
        uri += f"{'&' if '?' in uri else '?'}retry_limit_seconds={silence:.0f}"
    filesystem, path = fs.FileSystem.from_uri(uri)
    if filesystem.type_name == "s3" and "tls_verify_certificates=" not in uri:  # which a copy would lose
        build, (options,) = filesystem.__reduce__()  # as pyarrow copies one, credentials and server included
        filesystem = build({**options, "connect_timeout": CONNECT_SECONDS, "request_timeout": silence})
    return filesystem, path


def _with_path_encoded(uri: str) -> str:
    """Encode what may stand in the path of an object and not in a URI's: spaces, letters of all scripts, `#`, `[`.

    `%` and two hexadecimal digits are taken for the character that they stand for; `?` begins the options.
    """
    named = _USERINFO.search(uri)
    start = named.end() if named else uri.index("://") + 3
    if named and uri.startswith("abfs"):
        return uri  # pyarrow is given this path as it is
    path, mark, options = uri[start:].partition("?")
    return f"{uri[:start]}{quote(_NO_ESCAPE.sub('%25', path), safe=_IN_PATHS)}{mark}{options}"


def _azure(uri: str, named: re.Match[str] | None) -> tuple[Any, str]:
    """pyarrow takes an account's key from its caller only, and none from a URI."""
    address, _, query = uri.partition("?")
    if named is None:
        if "enable_tls=false" in query.lower() and "sig=" not in query:  # it would end the process
            raise ValueError("without TLS only an account's key (az://ACCOUNT:KEY@CONTAINER/path) or a SAS is sent")
        opened: tuple[Any, str] = fs.FileSystem.from_uri(uri)
        return opened
    options = dict(parse_qsl(query))
    plain = options.pop("enable_tls", "true").lower() == "false"
    schemes = {f"{kind}_storage_scheme": "http" if plain else "https" for kind in ("blob", "dfs")}
    unknown = options.keys() - {"blob_storage_authority", "dfs_storage_authority"}
    if unknown:
        raise ValueError(f"{min(unknown)} is not known beside an account's key")
    filesystem = fs.AzureFileSystem(account_name=named[1], account_key=unquote(named[2]), **schemes, **options)
    return filesystem, address[named.end() :]
