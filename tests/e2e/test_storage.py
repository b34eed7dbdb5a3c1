"""Whole jobs on manifests of every form, and on an S3-speaking server that fails now and then."""

from __future__ import annotations

import csv
import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq
import pytest
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from parquill.batch import RunOptions
from parquill.emulator.pictures import serve_picture
from tests.e2e.kit import Rehearsal, rehearsal, rows

SECRET = "hush-hush-4711"
COUNT = 30


class Flaky:
    """Answers every n-th request with S3's "slow down" instead of handing it on."""

    def __init__(self, app: Any) -> None:
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
            answer: Iterable[bytes] = self._app(environ, start)
            return answer
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        start("503 Slow Down", [("Content-Type", "application/xml")])
        return [b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"]


@pytest.fixture(scope="module")
def bucket() -> Iterator[tuple[str, Flaky]]:
    """Where `bucket` is, as the host and port of a server, and what makes it fail."""
    app = Flaky(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    host = f"127.0.0.1:{server.server_port}"
    _files(host).create_dir("bucket")
    yield host, app
    server.shutdown()
    thread.join()
    server.server_close()


def _files(host: str) -> pyarrow.fs.S3FileSystem:
    return pyarrow.fs.S3FileSystem(
        access_key="key", secret_key=SECRET, endpoint_override=host, scheme="http", region="us-east-1",
        allow_bucket_creation=True,
    )  # fmt: skip


def _at(host: str, path: str) -> str:
    return f"s3://key:{SECRET}@bucket/{path}?scheme=http&endpoint_override={host}&region=us-east-1"


async def test_manifest_and_output_in_a_bucket_that_fails_now_and_then(
    tmp_path: Path, bucket: tuple[str, Flaky], monkeypatch: pytest.MonkeyPatch
) -> None:
    host, flaky = bucket
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    places: dict[str, Any] = {
        "manifest": {"path": _at(host, "jobs/manifest"), "id_column": "id"},
        "output": {"path": _at(host, "jobs/out"), "rows_per_part": 8},
    }
    files = _files(host)
    pq.write_table(pa.table(rows(COUNT)), "bucket/jobs/manifest/a.parquet", filesystem=files)
    monkeypatch.setattr(flaky, "every", 7)
    async with rehearsal(tmp_path, sections=places) as work:
        first = await work.run(RunOptions(limit=11))
        assert (first.rows.ok, work.asked) == (11, 11)
        finished = await work.run()
        assert (finished.exit_status, finished.rows.ok, work.asked) == (0, COUNT, COUNT)
        pq.write_table(pa.table(rows(5, first=COUNT)), "bucket/jobs/manifest/b.parquet", filesystem=files)
        more = await work.run()
        assert (more.requests, more.rows.ok) == (5, COUNT + 5)
        await work.must_hold()
        assert flaky.refused > 3
    table = pq.read_table("bucket/jobs/out", filesystem=files)
    assert table.column("id").to_pylist() == rows(COUNT + 5)["id"]
    assert set(table.column("status").to_pylist()) == {"ok"}
    _no_secret(tmp_path, files)


def _no_secret(folder: Path, files: pyarrow.fs.S3FileSystem) -> None:
    """The bucket's key stands in the job, and nowhere that the run wrote."""
    written = [path for path in folder.rglob("*") if path.is_file()]
    assert written
    for path in written:
        assert SECRET.encode() not in path.read_bytes(), path
    for info in files.get_file_info(pyarrow.fs.FileSelector("bucket/jobs/out", recursive=True)):
        assert SECRET.encode() not in files.open_input_stream(info.path).read(), info.path


async def _finishes(work: Rehearsal, expected: dict[str, list[Any]], **sections: Any) -> None:
    """Run in two steps; every row must stand once and in its place, with its own columns."""
    count = len(expected["id"])
    await work.run(RunOptions(limit=count // 2), **sections)
    summary = await work.run(**sections)
    assert (summary.exit_status, summary.rows.ok, work.asked) == (0, count, count)
    table = work.table()
    for name, values in expected.items():
        assert table.column(name).to_pylist() == values
    await work.must_hold(**sections)


async def test_folders_named_by_key_and_value_are_columns(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as work:
        for place, code in enumerate(("de", "fr")):
            work.write(rows(6, first=6 * place), name=f"m/language={code}/part.parquet")
        expected = {**rows(12), "language": ["de"] * 6 + ["fr"] * 6}
        manifest = {"path": str(tmp_path / "m"), "id_column": "id"}
        await _finishes(
            work, expected, manifest=manifest, prompt={"user_column": None, "user": "{{ language }} {{ text }}"}
        )


async def test_pictures_as_hugging_face_stores_them(tmp_path: Path) -> None:
    """A struct of bytes and path, as `datasets` writes its Image feature."""
    async with rehearsal(tmp_path) as work:
        pictures = [{"bytes": serve_picture(f"{n}.jpg").body, "path": f"{n}.jpg"} for n in range(6)]
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        table = pa.table({**rows(6), "image": pa.array([*pictures[:5], None], kind)})
        work.write(table)
        manifest = {"path": str(work.manifest), "id_column": "id", "image_columns": ["image"], "keep_columns": ["text"]}
        await _finishes(work, rows(6), manifest=manifest)
        tokens = work.column("prompt_tokens")
        assert min(tokens[:5]) > tokens[5] + 255


@pytest.mark.parametrize("form", ["jsonl", "csv"])
async def test_manifests_as_text(tmp_path: Path, form: str) -> None:
    async with rehearsal(tmp_path) as work:
        columns = rows(8)
        lines = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        path = tmp_path / f"manifest.{form}"
        with path.open("w", encoding="utf-8", newline="") as file:
            if form == "jsonl":
                file.writelines(json.dumps(line, ensure_ascii=False) + os.linesep for line in lines)
            else:
                writer = csv.DictWriter(file, list(columns))
                writer.writeheader()
                writer.writerows(lines)
        await _finishes(work, columns, manifest={"path": str(path), "id_column": "id"})
