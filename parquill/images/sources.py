"""Loads a picture's bytes from any source; memory is reserved before they are read."""

from __future__ import annotations

import asyncio
import functools
import posixpath
from collections.abc import Sequence
from pathlib import Path

from parquill.errors import ErrorKind, RowError, UsageError
from parquill.fetch import IDLE_SECONDS, Fetcher, shown
from parquill.images.byte_budget import ByteLease
from parquill.images.files import LocalRoot
from parquill.images.objects import StoredObjects
from parquill.images.picture_cells import (
    BytesPicture,
    DataPicture,
    PathPicture,
    PictureValue,
    StoredPicture,
    WebPicture,
    decode_data_url,
)
from parquill.storage import Storage, identity, is_remote
from parquill.threads import in_thread


class Sources:
    """Reads the bytes of picture values. `root` is a local folder or a place in an object store."""

    def __init__(
        self, root: str, fetcher: Fetcher, objects: StoredObjects, most_bytes: int, allowed: Sequence[str] = ()
    ) -> None:
        """Take a root, and how to read what lies elsewhere.

        `most_bytes` of a local file. `allowed`: places in stores that the job names beside its root; their options
        hold for their buckets.
        """
        self._fetcher, self._objects = fetcher, objects
        self._named = [place for place in (*allowed, root) if "?" in place and is_remote(place)]
        self._local = None if is_remote(root) else LocalRoot(root, most_bytes)
        self._root = root
        self._bucket = functools.lru_cache(maxsize=64)(self._open_bucket)

    def local_path(self, path: str) -> Path | None:
        """Return where `path` lies below a local root; None where the root is in an object store."""
        return None if self._local is None else self._local.path(path)

    def stat(self, path: str) -> tuple[int, int]:
        """Return size and mtime (ns) of a path below a local root; raises `OSError` for any other."""
        if self._local is None:
            raise FileNotFoundError(path)
        return self._local.stat(path)

    def judge_path(self, path: str) -> None:
        """Raise `RowError(image_refused)` for a path that leads out of a local root; nothing is opened."""
        if self._local is not None:
            self._local.judge(path)

    def is_elsewhere(self, value: PictureValue) -> bool:
        """Whether a value names what can change and keep its identity: neither bytes nor a local file."""
        return isinstance(value, (WebPicture, StoredPicture)) or (
            isinstance(value, PathPicture) and self._local is None
        )

    async def read(self, value: PictureValue, lease: ByteLease) -> tuple[bytes | bytearray, str | None]:
        """Return a value's bytes while `lease` holds their size, and its host's name for their state.

        Raises `RowError`.
        """
        if isinstance(value, WebPicture):
            found = await self._fetcher.get(value.url, lease)
            return found.body, found.version
        return await self._near(value, lease), None

    async def _near(self, value: BytesPicture | DataPicture | PathPicture | StoredPicture, lease: ByteLease) -> bytes:
        match value:
            case BytesPicture(data):
                await lease.hold(len(data))
                return data
            case DataPicture(url):
                await lease.hold(len(url))
                return await asyncio.to_thread(decode_data_url, url)
            case StoredPicture(uri):
                scheme, _, rest = uri.partition("://")
                bucket, _, key = rest.partition("/")
                return await self._stored(f"{scheme}://{bucket}", key, uri, lease)
            case PathPicture(path):
                return await self._path(path, lease)

    async def _path(self, path: str, lease: ByteLease) -> bytes:
        if self._local is not None:
            await lease.hold(self._local.expected_size(path))
            return await in_thread(self._local.read, path)
        clean = posixpath.normpath(path)
        if clean.startswith(("/", "..")):
            raise RowError(
                ErrorKind.IMAGE_REFUSED, f"the path {path} is refused: it leads out of images.root, {shown(self._root)}"
            )
        return await self._stored(self._root, clean, path, lease)

    async def _stored(self, place: str, key: str, name: str, lease: ByteLease) -> bytes:
        store = "/".join(identity(place).partition("?")[0].split("/")[:3])
        return await self._objects.read(store, lambda: self._bucket(place).open_whole(key), name, lease)

    def _open_bucket(self, place: str) -> Storage:
        """Options that the job wrote at a place (an endpoint, a region) hold for its bucket, then for its scheme."""
        scheme = place.partition("://")[0]
        same = [one for one in self._named if one.partition("://")[0] == scheme]
        options = next((one.partition("?")[2] for one in (*_in_bucket(same, place), *same)), "")
        whole = f"{place}?{options}" if options and "?" not in place else place
        return Storage.at(whole, fault=UsageError, silence=IDLE_SECONDS)


def _in_bucket(places: Sequence[str], bucket: str) -> list[str]:
    return [place for place in places if f"{identity(place).partition('?')[0]}/".startswith(f"{bucket}/")]
