"""A run's pictures: passed on, fetched, read and inlined, with real files, a real server and real workers."""

from __future__ import annotations

import asyncio
import base64
import io
import os
import re
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image
from pyarrow import fs

from parquill.chat import ImagePart
from parquill.errors import ErrorKind, RowError
from parquill.images import ImageLoader
from parquill.images.files import LocalRoot
from parquill.job import DocumentSettings, ImageSettings
from tests.hostile_files import HOSTILE, JPEG, PNG, noise, saved
from tests.web import EagerClock, Web, reply, web_server

MakeLoader = Callable[..., ImageLoader]


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    async with web_server() as web:
        yield web


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inside = tmp_path / "manifest"
    inside.mkdir()
    (inside / "a.jpg").write_bytes(JPEG)
    (tmp_path / "secret.jpg").write_bytes(JPEG)
    return inside


@pytest.fixture
async def loader(folder: Path) -> AsyncIterator[MakeLoader]:
    loaders: list[ImageLoader] = []

    def make(endpoint_fetches: bool = True, manifest_folder: str | None = None, **settings: Any) -> ImageLoader:
        loaders.append(
            ImageLoader(
                ImageSettings.model_validate(settings),
                DocumentSettings(),
                manifest_folder=manifest_folder or str(folder),
                endpoint_fetches=endpoint_fetches,
                clock=EagerClock(),
            )
        )
        return loaders[-1]

    yield make
    for each in loaders:
        async with each:
            pass


def inline(loader: MakeLoader, web: Web, **settings: Any) -> ImageLoader:
    return loader(send="inline", allow_private=True, allow_ports=[web.port], **settings)


async def fault(loader: ImageLoader, cell: Any) -> RowError:
    with pytest.raises(RowError) as raised:
        await loader.parts(loader.check(cell))
    return raised.value


def opened(part: ImagePart) -> Image.Image:
    assert part.url.startswith("data:image/")
    return Image.open(io.BytesIO(base64.b64decode(part.url.partition(",")[2])))


async def test_urls_are_passed_on_untouched_without_a_request_of_ours(loader: MakeLoader, web: Web) -> None:
    passing = loader(allow_private=True)
    urls = [web.url("/a.jpg?b=%20c&d=[e]#f"), "https://A.Example/ä b.jpg"]
    assert [part.url for part in await passing.parts(passing.check(urls))] == urls
    assert passing.parts_now(passing.check(urls)) == (ImagePart(urls[0]), ImagePart(urls[1]))
    assert web.requests == []


async def test_passing_a_url_on_costs_microseconds(loader: MakeLoader) -> None:
    passing = loader()
    urls = [f"https://cdn{n % 7}.example/pictures/{n}.jpg?width=800" for n in range(3000)]
    start = time.process_time()
    for url in urls:
        assert passing.parts_now(passing.check(url))
    assert (time.process_time() - start) / len(urls) < 60e-6


async def test_nothing_starts_for_text_and_urls(loader: MakeLoader) -> None:
    async with loader() as passing:
        before = psutil.Process().children()
        assert passing.check(None) == ()
        assert await passing.parts(()) == ()
        await passing.parts(passing.check("https://a.example/x.jpg"))
        assert psutil.Process().children() == before


@pytest.mark.parametrize(
    ("send", "endpoint_fetches", "passed"),
    [("url", False, True), ("auto", True, True), ("auto", False, False), ("inline", True, False)],
)
async def test_auto_inlines_where_the_endpoint_cannot_fetch(
    loader: MakeLoader, web: Web, send: str, endpoint_fetches: bool, passed: bool
) -> None:
    web.answers["/a.jpg"] = reply(200, JPEG)
    choosing = loader(endpoint_fetches=endpoint_fetches, send=send, allow_private=True, allow_ports=[web.port])
    (part,) = await choosing.parts(choosing.check(web.url("/a.jpg")))
    assert (part.url == web.url("/a.jpg")) == passed
    assert (part.figures is None) == passed
    assert len(web.requests) == (0 if passed else 1)


async def test_a_fetched_picture_is_shrunk_inlined_and_weighed(loader: MakeLoader, web: Web) -> None:
    data = saved(noise(2000, 1000), "JPEG")
    web.answers["/a"] = reply(200, data, Content_Type="text/html")
    (part,) = await (inlining := inline(loader, web, max_side=224)).parts(inlining.check(web.url("/a")))
    assert opened(part).size == (224, 112)
    assert part.figures is not None
    assert (part.figures.bytes_fetched, part.figures.bytes_sent) == (len(data), len(part.url))
    assert (part.figures.width, part.figures.height) == (2000, 1000)
    assert part.content_key is not None
    assert len(part.content_key) == 16


async def test_the_same_photo_under_other_names_has_one_key(loader: MakeLoader, web: Web) -> None:
    web.answers["/a"] = web.answers["/b"] = reply(200, JPEG)
    inlining = inline(loader, web)
    cells = [web.url("/a"), web.url("/b"), "a.jpg", JPEG, "data:image/jpeg;base64," + base64.b64encode(JPEG).decode()]
    parts = await inlining.parts(inlining.check(cells))
    assert len({part.content_key for part in parts}) == 1
    assert len({inlining.identity(value) for value in inlining.check(cells)}) == 5


async def test_several_pictures_keep_their_order_however_long_each_takes(loader: MakeLoader, web: Web) -> None:
    sizes = [(300, 200), (20, 10), (200, 300), (10, 20)]
    for n, size in enumerate(sizes):
        web.answers[f"/{n}"] = reply(200, saved(noise(*size), "PNG"))
    inlining = inline(loader, web)
    parts = await inlining.parts(inlining.check([web.url(f"/{n}") for n in range(4)]))
    assert [opened(part).size for part in parts] == sizes


async def test_a_mixed_row_passes_urls_on_and_inlines_the_rest(loader: MakeLoader) -> None:
    mixing = loader()
    values = mixing.check(["https://a.example/x.jpg", "a.jpg", PNG])
    assert mixing.parts_now(values) is None
    first, second, third = await mixing.parts(values)
    assert first.url == "https://a.example/x.jpg"
    assert opened(second).size == (640, 480)
    assert opened(third).size == (64, 48)


async def test_more_pictures_than_allowed_are_a_bad_row(loader: MakeLoader) -> None:
    two = loader(max_per_row=2)
    with pytest.raises(RowError, match=r"3 pictures, more than images\.max_per_row = 2"):
        two.parts_now(two.check(["https://a.example/x.jpg"] * 3))
    assert (await fault(two, ["a.jpg"] * 3)).kind is ErrorKind.BAD_ROW


async def test_of_several_faults_the_first_picture_s_is_told(loader: MakeLoader, web: Web) -> None:
    web.answers["/broken"] = reply(200, JPEG[:500])
    first = await fault(inline(loader, web), [web.url("/gone"), web.url("/broken"), "missing.jpg"])
    assert "HTTP 404" in first.message


async def test_faults_name_the_picture_but_no_signature(loader: MakeLoader, web: Web) -> None:
    web.answers["/x.jpg"] = reply(200, b"<html>sign in</html>")
    told = await fault(inline(loader, web), web.url("/x.jpg?signature=abc"))
    assert told.kind is ErrorKind.IMAGE_INVALID
    assert "/x.jpg: not a picture: the file is an HTML page" in told.message
    assert "abc" not in told.message
    web.answers["/empty"] = reply(200)
    assert "empty" in (await fault(inline(loader, web), web.url("/empty"))).message


async def test_images_check_asks_for_the_head_before_a_url_is_passed_on(loader: MakeLoader, web: Web) -> None:
    web.answers["/a.jpg"] = reply(200, JPEG)
    checking = loader(check=True, allow_private=True, allow_ports=[web.port])
    values = checking.check([web.url("/a.jpg")])
    assert checking.parts_now(values) is None
    assert await checking.parts(values) == (ImagePart(web.url("/a.jpg")),)
    assert [request.method for request in web.requests] == ["HEAD"]
    assert (await fault(checking, web.url("/gone"))).kind is ErrorKind.IMAGE_UNREACHABLE


async def test_every_row_of_a_bad_manifest_ends_as_a_picture_or_a_typed_fault(loader: MakeLoader, web: Web) -> None:
    web.answers["/good"] = reply(200, PNG)
    web.answers["/away"] = reply(302, Location="http://169.254.169.254/")
    for name, (make, _) in HOSTILE.items():
        web.answers[f"/{name.replace(' ', '-')}"] = reply(200, make())
    paths = ["/good", "/good", "/good", *web.answers, "/gone"]
    rows = [web.url(paths[n % len(paths)] + f"?{n}") for n in range(4 * len(paths))]
    inlining = inline(loader, web)
    ends: list[str] = []

    async def worker() -> None:
        for url in rows_left:
            try:
                ends.append((await inlining.parts(inlining.check(url)))[0].url[:10])
            except RowError as fault:
                ends.append(fault.kind)

    rows_left = iter(rows)
    await asyncio.gather(*(worker() for _ in range(40)))
    assert len(ends) == len(rows)
    assert ends.count("data:image") == 4 * 4
    assert set(ends) == {
        "data:image",
        ErrorKind.IMAGE_UNREACHABLE,
        ErrorKind.IMAGE_REFUSED,
        ErrorKind.IMAGE_INVALID,
    }
    assert web.canary == []


# Files on this machine


async def test_a_path_is_read_below_the_manifest_s_folder_or_the_root(loader: MakeLoader, folder: Path) -> None:
    for reading, path in (
        (loader(), "a.jpg"),
        (loader(), str(folder / "a.jpg")),
        (loader(root=str(folder.parent)), "manifest/a.jpg"),
    ):
        (part,) = await reading.parts(reading.check(path))
        assert opened(part).size == (640, 480)


@pytest.mark.parametrize(
    "path",
    [
        "../secret.jpg",
        "{outside}/secret.jpg",
        "link.jpg",
        "links/secret.jpg",
        "/etc/passwd",
        "x/../../secret.jpg",
        "/proc/self/environ",
        "/dev/zero",
        "//etc/passwd",
    ],
)
async def test_no_path_leads_out_of_the_root(loader: MakeLoader, folder: Path, path: str) -> None:
    (folder / "link.jpg").symlink_to(folder.parent / "secret.jpg")
    (folder / "links").symlink_to(folder.parent)
    told = await fault(loader(), path.replace("{outside}", str(folder.parent)))
    assert told.kind is ErrorKind.IMAGE_REFUSED
    assert "leads out of images.root" in told.message


async def test_a_link_inside_the_root_is_followed(loader: MakeLoader, folder: Path) -> None:
    (folder / "same.jpg").symlink_to("a.jpg")
    (part,) = await (reading := loader()).parts(reading.check("same.jpg"))
    assert opened(part).size == (640, 480)


async def test_what_is_no_regular_file_is_refused_without_waiting_for_it(loader: MakeLoader, folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "folder").mkdir()
    assert (await fault(loader(), "pipe")).kind is ErrorKind.IMAGE_REFUSED
    assert (await fault(loader(), "folder")).kind is ErrorKind.IMAGE_REFUSED


async def test_a_missing_or_empty_file_is_a_fault_that_names_it(loader: MakeLoader, folder: Path) -> None:
    (folder / "empty.jpg").touch()
    missing = await fault(loader(), "nothing.jpg")
    assert missing.kind is ErrorKind.IMAGE_UNREACHABLE
    assert "nothing.jpg: No such file" in missing.message
    assert "Bücher 本.jpg: No such file" in (await fault(loader(), "Bücher 本.jpg")).message
    assert "\\u202egpj.exe: No such file" in (await fault(loader(), "\u202egpj.exe")).message
    (folder / "circle").symlink_to("circle")
    for path in ("circle", "a" * 5000, "~/x.jpg", "a.jpg/x", "ä\udcff.jpg"):
        assert (await fault(loader(), path)).kind is ErrorKind.IMAGE_UNREACHABLE
    empty = await fault(loader(), "empty.jpg")
    assert empty.kind is ErrorKind.IMAGE_INVALID
    assert "empty.jpg: the file is empty" in empty.message


def test_the_identity_of_a_path_changes_with_the_file_and_needs_no_file(loader: MakeLoader, folder: Path) -> None:
    reading = loader()
    (value,) = reading.check("a.jpg")
    before = reading.identity(value)
    assert reading.identity(value) == before
    os.utime(folder / "a.jpg", ns=(1, 1))
    touched = reading.identity(value)
    (folder / "a.jpg").unlink()
    assert len({before, touched, reading.identity(value)}) == 3


def test_only_paths_lie_on_this_machine(loader: MakeLoader, folder: Path) -> None:
    assert loader().local_path("a.jpg") == folder / "a.jpg"
    for text in ("https://a.example/x.jpg", "s3://bucket/x.jpg", "data:,x", "", "file:///x"):
        assert loader().local_path(text) is None
    assert loader(manifest_folder="s3://bucket/folder").local_path("a.jpg") is None


# Objects in a bucket


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Any:
    patch = pytest.MonkeyPatch()
    for name, value in {"ACCESS_KEY_ID": "test", "SECRET_ACCESS_KEY": "test", "DEFAULT_REGION": "us-east-1"}.items():
        patch.setenv(f"AWS_{name}", value)
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    port = server.get_host_and_port()[1]
    place = f"s3://pictures?endpoint_override=127.0.0.1:{port}&scheme=http&allow_bucket_creation=true"
    filesystem, _ = fs.FileSystem.from_uri(place)
    filesystem.create_dir("pictures")
    with filesystem.open_output_stream("pictures/rows/a b.jpg") as file:
        file.write(JPEG)
    yield place.replace("s3://pictures", "s3://pictures/rows")
    server.stop()
    patch.undo()


async def test_objects_are_read_by_path_below_a_remote_manifest_and_by_uri(loader: MakeLoader, bucket: str) -> None:
    reading = loader(manifest_folder=bucket)
    parts = await reading.parts(reading.check(["a b.jpg", "x/../a b.jpg", "s3://pictures/rows/a b.jpg"]))
    assert [opened(part).size for part in parts] == [(640, 480)] * 3
    other_outputs = await fault(reading, "s3://pictures/other/x.jpg")
    assert other_outputs.kind is ErrorKind.IMAGE_REFUSED
    assert "images.allow_buckets: [s3://pictures/]" in other_outputs.message
    missing = await fault(reading, "s3://pictures/rows/none.jpg")
    assert missing.kind is ErrorKind.IMAGE_UNREACHABLE
    assert "none.jpg" in missing.message
    for path in ("../secret.jpg", "/rows/a b.jpg", "x/../../a.jpg"):
        assert (await fault(reading, path)).kind is ErrorKind.IMAGE_REFUSED


def test_only_a_reply_about_addresses_turns_auto_to_inline(loader: MakeLoader) -> None:
    takes_none = [
        "invalid image input",
        "'url' field must be a base64 encoded image.",
        "Image URLs are not supported by this model",
        "this provider does not support image_url with remote urls",
        "only data: URLs are accepted",
    ]
    others = ["Failed to download image: HTTP 404", "image too large", "no endpoints found", "", "invalid json"]
    for message in takes_none:
        for send, turns in (("auto", True), ("url", False), ("inline", False)):
            choosing = loader(send=send)
            assert choosing.turns_to_inline(400, message) is turns
            assert choosing.passes_urls is (send == "url")
        assert not loader(send="auto").turns_to_inline(500, message)
    for message in others:
        choosing = loader(send="auto")
        assert not choosing.turns_to_inline(400, message)
        assert choosing.passes_urls


def test_a_path_that_leads_out_by_its_text_is_not_asked_for(tmp_path: Path) -> None:
    """An automounter would mount what is only looked at: a link there stands for it."""
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a.jpg").write_bytes(JPEG)
    (tmp_path / "named").symlink_to(tmp_path / "root")
    asked: list[str] = []

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and "outside" in str(arguments[0]):
            asked.append(str(arguments[0]))

    sys.addaudithook(hook)
    for folder in ("root", "named"):
        local = LocalRoot(str(tmp_path / folder), 10**6)
        for path in ("../outside/a.jpg", str(tmp_path / "outside" / "a.jpg"), "x/../../outside/a.jpg"):
            with pytest.raises(FileNotFoundError, match="^" + re.escape(path)):
                local.stat(path)
            assert local.expected_size(path) == 0
            with pytest.raises(RowError, match=r"leads out of images\.root"):
                local.read(path)
        for path in ("a.jpg", str(tmp_path / folder / "a.jpg"), "../root/a.jpg"):
            assert local.read(path) == JPEG
            assert local.stat(path)[0] == len(JPEG)
    assert asked == []
