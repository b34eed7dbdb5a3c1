"""A whole job whose manifest and output lie in an object store that fails now and then."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq
import pytest
from werkzeug.serving import WSGIRequestHandler, make_server

from parquill.planning import RunOptions
from tests.e2e.kit import rehearsal, rows

COUNT = 30
Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Flaky:
    """Answers every n-th request with S3's "slow down" instead of handing it on."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._seen = 0
        self.every: int | None = None
        self.refused = 0

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        with self._lock:
            self._seen += 1
            refuse = self.every is not None and self._seen % self.every == 0
            self.refused += refuse
        if not refuse:
            return self._app(environ, start)
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        start("503 Slow Down", [("Content-Type", "application/xml")])
        return [b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"]


@dataclasses.dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket on this machine."""

    place: Callable[[str], str]
    """A path in the bucket -> how a job file names it, key and all."""
    files: pyarrow.fs.FileSystem
    """The store as a reader of the output opens it; its paths begin with `bucket/`."""
    secret: str | None
    """The key in the place; None where the store asks for none."""
    flaky: Flaky


class _Wire(WSGIRequestHandler):
    """Keeps the headers as they came, and says "100 Continue" once: werkzeug says it by itself."""

    def handle_expect_100(self) -> bool:
        return True

    def make_environ(self) -> dict[str, Any]:
        return {**super().make_environ(), "headers": list(self.headers.items())}


@contextlib.contextmanager
def served(app: Application) -> Iterator[tuple[str, Flaky]]:
    """Serve an application on loopback; gives host and port, and what makes it fail."""
    flaky = Flaky(app)
    server = make_server("127.0.0.1", 0, flaky, threaded=True, request_handler=_Wire)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}", flaky
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def a_whole_job_holds(folder: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped, resumed, extended and verified, while every seventh request to the store is refused."""
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    places: dict[str, Any] = {
        "manifest": {"path": bucket.place("jobs/manifest"), "id_column": "id"},
        "output": {"path": bucket.place("jobs/out"), "rows_per_part": 8},
    }
    pq.write_table(pa.table(rows(COUNT)), "bucket/jobs/manifest/a.parquet", filesystem=bucket.files)
    bucket.flaky.every = 7
    async with rehearsal(folder, sections=places) as work:
        first = await work.run(RunOptions(limit=11))
        assert (first.rows.ok, work.asked) == (11, 11)
        finished = await work.run()
        assert (finished.exit_status, finished.rows.ok, work.asked) == (0, COUNT, COUNT)
        pq.write_table(pa.table(rows(5, first=COUNT)), "bucket/jobs/manifest/b.parquet", filesystem=bucket.files)
        more = await work.run()
        assert (more.requests, more.rows.ok) == (5, COUNT + 5)
        await work.must_hold()
        assert bucket.flaky.refused > 3
    bucket.flaky.every = None
    table = pq.read_table("bucket/jobs/out", filesystem=bucket.files)
    assert table.column("id").to_pylist() == rows(COUNT + 5)["id"]
    assert set(table.column("status").to_pylist()) == {"ok"}
    _no_secret(folder, bucket)


def _no_secret(folder: Path, bucket: Bucket) -> None:
    """The bucket's key stands in the job, and nowhere that the run wrote."""
    if bucket.secret is None:
        return
    secret = bucket.secret.encode()
    written = [path for path in folder.rglob("*") if path.is_file()]
    assert written
    for path in written:
        assert secret not in path.read_bytes(), path
    for info in bucket.files.get_file_info(pyarrow.fs.FileSelector("bucket/jobs/out", recursive=True)):
        assert secret not in bucket.files.open_input_stream(info.path).read(), info.path
