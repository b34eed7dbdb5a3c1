"""The folder of shrunk pictures: used again, never wrong, never larger than it may be."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from parquill.errors import RowError
from parquill.images import ImageLoader
from parquill.images.cache import Opened, PictureCache
from parquill.images.sandbox.messages import Piece
from parquill.job import DocumentSettings, ImageSettings
from tests.hostile_files import JPEG, noise, saved
from tests.web import EagerClock, Web, reply, web_server

OPENED = Opened(
    (Piece(b"data:image/png;base64,AAAA", 3, 4, b"d" * 16, b"s" * 16), Piece("Text ü".encode())), 12_345, '"v1"'
)


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    async with web_server() as web:
        yield web


def caching(web: Web, folder: Path, **settings: Any) -> ImageLoader:
    chosen = {"send": "inline", "allow_private": True, "allow_ports": [web.port], "cache": str(folder / "cache")}
    return ImageLoader(
        ImageSettings.model_validate(chosen | settings),
        DocumentSettings(),
        manifest_folder=str(folder),
        endpoint_fetches=False,
        clock=EagerClock(),
    )


async def test_a_picture_is_fetched_and_shrunk_once_for_all_runs(web: Web, tmp_path: Path) -> None:
    web.answers["/a"] = reply(200, JPEG)
    parts = []
    for _ in range(2):
        async with caching(web, tmp_path) as loader:
            parts.append(await loader.parts(loader.check(web.url("/a"))))
    assert parts[0] == parts[1]
    assert parts[0][0].figures == parts[1][0].figures
    assert len(web.requests) == 1


async def test_what_would_be_shrunk_otherwise_is_not_taken_from_the_cache(web: Web, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(JPEG)
    seen = set()
    for max_side in (100, 200):
        async with caching(web, tmp_path, max_side=max_side) as loader:
            seen.add((await loader.parts(loader.check("a.jpg")))[0].url)
    (tmp_path / "a.jpg").write_bytes(saved(noise(70, 70), "JPEG"))
    async with caching(web, tmp_path) as loader:
        seen.add((await loader.parts(loader.check("a.jpg")))[0].url)
    assert len(seen) == 3


async def test_failures_are_not_kept(web: Web, tmp_path: Path) -> None:
    async with caching(web, tmp_path) as loader:
        values = loader.check(web.url("/a"))
        with pytest.raises(RowError, match="404"):
            await loader.parts(values)
        web.answers["/a"] = reply(200, JPEG)
        assert await loader.parts(values)


def test_an_entry_comes_back_as_it_was(tmp_path: Path) -> None:
    cache = PictureCache(str(tmp_path), 1)
    key = cache.key(b"i" * 16, "picture", {"max_side": 896})
    assert cache.get(key) is None
    cache.put(key, OPENED)
    assert cache.get(key) == OPENED
    assert PictureCache(str(tmp_path), 1).get(key) == OPENED
    assert cache.get(cache.key(b"j" * 16, "picture", {"max_side": 896})) is None
    assert cache.get(cache.key(b"i" * 16, "text", {"max_side": 896})) is None


@pytest.mark.parametrize("cut", [0, 1, 5, 20, -1])
def test_a_damaged_entry_counts_as_none(tmp_path: Path, cut: int) -> None:
    cache = PictureCache(str(tmp_path), 1)
    cache.put("k", OPENED)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:cut])
    assert cache.get("k") is None
    cache.put("k", OPENED)
    assert cache.get("k") == OPENED


def test_the_folder_stays_below_its_bound_and_loses_what_was_used_longest_ago(tmp_path: Path) -> None:
    cache = PictureCache(str(tmp_path), 1)
    opened = Opened((Piece(bytes(100_000)),), 1)
    for n in range(30):
        cache.put(f"k{n}", opened)
        os.utime(tmp_path / f"k{n}.shrunk", ns=(n, n))
        if n == 8:
            os.utime(tmp_path / "k0.shrunk", ns=(10**6, 10**6))  # used again
        assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 10**6
    assert cache.get("k29")
    assert cache.get("k0")
    assert not cache.get("k1")


def test_an_old_cache_that_is_too_large_shrinks_with_the_next_entry(tmp_path: Path) -> None:
    large = PictureCache(str(tmp_path), 10)
    for n in range(30):
        large.put(f"k{n}", Opened((Piece(bytes(100_000)),), 1))
    PictureCache(str(tmp_path), 1).put("new", OPENED)
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 10**6


def test_what_is_too_large_for_the_folder_is_not_kept(tmp_path: Path) -> None:
    cache = PictureCache(str(tmp_path), 1)
    cache.put("k", Opened((Piece(bytes(600_000)),), 1))
    assert cache.get("k") is None


def test_a_folder_that_cannot_be_written_only_costs_time(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = PictureCache(str(tmp_path / "file" / "cache"), 1)
    cache.put("k", OPENED)
    assert cache.get("k") is None
