"""Parts in an object store: the same calls against a real S3-speaking server on this machine."""

from __future__ import annotations

import io
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pyarrow.fs
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from parquill.errors import ManifestError, OutputError, StorageFaultError
from parquill.results import part_name, read_part, read_part_info, write_part
from parquill.storage import Storage
from tests.disks import LATER
from tests.test_parts import ABOUT, TABLE

NAME = part_name("a", 0)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    urllib.request.urlopen(urllib.request.Request(f"http://{host}:{port}/bucket", method="PUT")).close()
    yield f"{host}:{port}"
    server.stop()


@pytest.fixture
def options(server: str) -> str:
    return f"scheme=http&endpoint_override={server}&region=us-east-1"


@pytest.fixture
def storage(options: str, request: pytest.FixtureRequest) -> Storage:
    return Storage.at(f"s3://key:hush@bucket/{request.node.name}?{options}")


def test_a_part_is_put_whole_and_read_back(storage: Storage) -> None:
    assert storage.files() == []
    storage.make_ready()
    info = write_part(storage, NAME, TABLE, ABOUT)
    assert info.sha256 == storage.checksum(NAME)
    assert [(entry.name, entry.size) for entry in storage.files()] == [(NAME, info.bytes)]
    assert read_part_info(storage, NAME).rows == 3
    assert read_part(storage, NAME).equals(TABLE)
    assert storage.exists(NAME)
    storage.remove(NAME)
    storage.remove(NAME)
    assert not storage.exists(NAME)
    assert storage.remove_leftovers(LATER) == 0


def test_a_part_written_again_takes_the_old_ones_place(storage: Storage) -> None:
    write_part(storage, NAME, TABLE, ABOUT)
    write_part(storage, NAME, TABLE, ABOUT | {"part_id": "p2"})
    assert read_part_info(storage, NAME).part_id == "p2"


def test_what_fails_while_being_made_is_never_put(storage: Storage) -> None:
    def write(sink: object) -> None:
        raise StorageFaultError("half a part")

    with pytest.raises(StorageFaultError, match="half a part"):
        storage.write_whole(NAME, write)
    assert storage.files() == []


class Forgetful(MemoryFileSystem):  # type: ignore[misc] # fsspec has no types
    """Takes so many uploads, says that all went well, and keeps nothing of them."""

    cachable = False

    def __init__(self, uploads: int) -> None:
        super().__init__()
        self.store: dict[str, Any] = {}
        self.pseudo_dirs = [""]
        self.uploads = uploads

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        file = super()._open(path, mode, **options)
        if mode == "rb" or self.uploads == 0:
            return file
        self.uploads -= 1
        return io.BytesIO()


@pytest.mark.parametrize(("uploads", "stands"), [(1, True), (2, False)])
def test_an_upload_that_leaves_nothing_is_put_once_more(uploads: int, stands: bool) -> None:
    store = pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(Forgetful(uploads)))
    storage = Storage("gs://bucket", store, "bucket", None, OutputError)
    if stands:
        write_part(storage, NAME, TABLE, ABOUT)
        assert read_part(storage, NAME).equals(TABLE)
    else:
        with pytest.raises(StorageFaultError, match=r"bytes were put, 0 stand there"):
            write_part(storage, NAME, TABLE, ABOUT)


@pytest.mark.parametrize(
    "folder",
    ["my folder", "über 50 %", "a#b", "a+b & c=d", "it's", "a[1]{2}", "図 書", 'q"u|o<t>e^d`', "back\\slash", "%zz"],
)
def test_a_place_is_written_as_the_store_shows_it(options: str, folder: str) -> None:
    """The names are put there, and looked for, by pyarrow's own client."""
    storage = Storage.at(f"s3://key:hush@bucket/{folder}?{options}")
    storage.write_bytes("a file.txt", b"x")
    assert [entry.name for entry in storage.files()] == ["a file.txt"]
    server = options.partition("endpoint_override=")[2].partition("&")[0]
    store = pyarrow.fs.S3FileSystem(
        access_key="key", secret_key="hush", scheme="http", endpoint_override=server, region="us-east-1"
    )
    assert store.get_file_info(f"bucket/{folder}/a file.txt").is_file
    assert Storage.at(f"s3://key:hush@bucket/{quote(folder)}?{options}").exists("a file.txt")


def test_files_are_found_by_pattern(storage: Storage) -> None:
    for name in ("a.parquet", "b.csv", "c/d.parquet"):
        storage.write_whole(name, lambda sink: sink.write(b"x"))
    assert [entry.name for entry in storage.glob("**/*.parquet")] == ["a.parquet", "c/d.parquet"]
    assert [entry.name for entry in storage.files()] == ["a.parquet", "b.csv"]


def test_a_file_that_is_not_ours_is_named_without_the_key(storage: Storage) -> None:
    storage.write_whole("theirs.parquet", lambda sink: sink.write(b"no parquet"))
    with pytest.raises(OutputError, match=r"s3://\*\*\*@bucket/.*/theirs\.parquet: this part is damaged") as caught:
        read_part_info(storage, "theirs.parquet")
    assert "hush" not in str(caught.value)


def test_a_bucket_that_is_not_there_is_told(options: str) -> None:
    storage = Storage.at(f"s3://key:hush@nobucket/x?{options}", fault=ManifestError)
    assert storage.files() == []
    with pytest.raises(ManifestError, match=r"s3://\*\*\*@nobucket/x/a: there is no such file"):
        storage.read_bytes("a")
    with pytest.raises(
        OutputError, match=r"s3://\*\*\*@nobucket/x: this folder cannot be written to: .*NO_SUCH_BUCKET"
    ):
        storage.make_ready()
    with pytest.raises(StorageFaultError, match=r"nobucket/x/a: writing it failed: .*NO_SUCH_BUCKET"):
        storage.write_whole("a", lambda sink: sink.write(b"x"))


def test_the_usual_environment_names_the_server_and_the_key(
    server: str, options: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{server}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "hush",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    write_part(Storage.at(f"s3://key:hush@bucket/env?{options}"), NAME, TABLE, ABOUT)
    assert read_part(Storage.at("s3://bucket/env"), NAME).equals(TABLE)


def test_other_readers_take_the_folder(storage: Storage, options: str, request: pytest.FixtureRequest) -> None:
    write_part(storage, NAME, TABLE, ABOUT)
    read = pq.read_table(f"s3://key:hush@bucket/{request.node.name}?{options}")
    assert read.column("id").to_pylist() == ["a", "b", "c"]
