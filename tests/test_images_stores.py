"""A cell spends the operator's access to a store only where the job says that pictures lie."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parquill.errors import ErrorKind, JobError, RowError
from parquill.images import ImageLoader
from parquill.images.picture_cells import StoredPicture
from parquill.images.stores import StorePlaces
from parquill.job import DocumentSettings, ImageSettings
from tests.jobs import load
from tests.web import EagerClock

ALLOWED = ("s3://shop/2026/", "s3://whole", "gcs://maps/eu?endpoint_override=127.0.0.1:1", "az://acc@box/in")
NAMED = ["s3://shop/2026/a.png", "s3://whole/x", "gs://maps/eu/x.png", "az://acc@box/in/x", "s3://lake/day/x"]
REFUSED = [
    "s3://other/2026/a.png", "s3://shop/2026-private/a.png", "s3://shop/x.png", "s3://wholesale/x", "gs://maps/europe/x",
    "gs://shop/2026/a.png", "az://acc@box/inside/x", "az://other@box/in/x", "az://acc@boxes/in/x", "s3://lake/day2/x",
    "s3://lake/x", "s3://shop/2026/./../x",
]  # fmt: skip


def refused(places: StorePlaces, uri: str) -> bool:
    try:
        places.judge([StoredPicture(uri)])
    except RowError as fault:
        assert fault.kind is ErrorKind.IMAGE_REFUSED
        assert "images.allow_buckets" in fault.message
        return True
    return False


def test_an_object_is_taken_from_the_named_places_and_from_nowhere_else() -> None:
    places = StorePlaces.of(ALLOWED, None, "s3://key:hush@lake/day/?region=eu-central-1", "/local/folder")
    assert [uri for uri in NAMED if refused(places, uri)] == []
    assert [uri for uri in REFUSED if not refused(places, uri)] == []
    nothing = StorePlaces.of((), "/local", "file:///local")
    assert [uri for uri in NAMED if not refused(nothing, uri)] == []


STEP = st.text("ab.-/", min_size=1, max_size=6)


@given(STEP, STEP)
def test_a_prefix_ends_where_a_step_of_the_path_ends(prefix: str, key: str) -> None:
    allowed, uri = f"s3://bucket/{prefix}", f"s3://bucket/{key}"
    steps = [step for step in prefix.split("/") if step]
    if not refused(StorePlaces.of((allowed,)), uri):
        assert [*key.strip("/").split("/")][: len(steps)] == prefix.strip("/").split("/")[: len(steps)]


@pytest.mark.parametrize("place", ["s3://key:hush@bucket/x", "az://box/x", "https://a.example/", "bucket", "s3://"])
def test_what_is_no_place_in_a_store_is_refused_at_load(place: str) -> None:
    with pytest.raises(JobError, match=r"images\.allow_buckets\[0\]: should be a place in a store") as caught:
        load({**SMALL, "images": {"allow_buckets": [place]}})
    assert "hush" not in str(caught.value).replace(place, "")


SMALL = {"name": "x", "manifest": {"path": "m"}, "prompt": {"user": "x"}, "output": {"path": "o"}}


async def test_no_store_and_no_metadata_service_is_asked_for_a_cell_that_the_job_does_not_allow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.read(1000))
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    for name in ("AWS_ENDPOINT_URL", "AWS_EC2_METADATA_SERVICE_ENDPOINT", "STORAGE_EMULATOR_HOST"):
        monkeypatch.setenv(name, url)
    settings = ImageSettings(allow_hosts=("cdn.example.com",), allow_buckets=("s3://shop/",))
    clock, documents = EagerClock(), DocumentSettings()
    async with (
        server,
        ImageLoader(settings, documents, manifest_folder=str(tmp_path), endpoint_fetches=True, clock=clock) as loader,
    ):
        for uri in ("s3://private/x.png", "gs://private/x.png", "az://acc@private/x.png", "s3://shopping/x.png"):
            for cell in (uri, [uri], {"bytes": None, "path": uri}):
                for check in (loader.check, loader.check_document):
                    with pytest.raises(RowError, match="would be read with this machine's own access"):
                        check(cell)
        assert loader.check("s3://shop/x.png") == (StoredPicture("s3://shop/x.png"),)
        assert loader.check_named_by_job("s3://private/x.png") == (StoredPicture("s3://private/x.png"),)
    assert asked == []
