"""Checks which objects in stores a manifest's cells may name: those under paths that the job allows.

An object is read with the operator's own credentials, and what is read goes to the model. So a cell names an object
only where the operator has said that pictures lie: under a prefix of `images.allow_buckets`, under `images.root` or
the manifest's folder where these are in a store. Where a store's servers are is said in those places, or in the
operator's environment; a cell says nothing of it (`picture_cells.py` refuses an address with a query). Pure.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass

from parquill.errors import ErrorKind, RowError
from parquill.fetch import shown
from parquill.images.picture_cells import PictureValue, StoredPicture
from parquill.storage import identity, is_remote


@dataclass(frozen=True, slots=True)
class StorePlaces:
    """Prefixes under which cells may name objects; each ends with `/`."""

    prefixes: tuple[str, ...]

    @classmethod
    def of(cls, allowed: Sequence[str], *folders: str | None) -> StorePlaces:
        """Take a job's `images.allow_buckets`, and its folders where these are in a store."""
        places = (*allowed, *(folder for folder in folders if folder is not None and is_remote(folder)))
        return cls(tuple(_prefix(place) for place in places))

    def judge(self, values: Sequence[PictureValue]) -> None:
        """Raise `RowError(image_refused)` for an object that lies in none of them."""
        for value in values:
            if isinstance(value, StoredPicture) and not self._holds(value.uri):
                raise RowError(
                    ErrorKind.IMAGE_REFUSED,
                    f"{shown(value.uri)} is refused: it would be read with this machine's own access to the store; "
                    f"name where pictures may lie: images.allow_buckets: [{shown(_bucket(value.uri))}]",
                )

    def _holds(self, uri: str) -> bool:
        scheme, _, path = uri.partition("://")
        clean = f"{scheme}://{posixpath.normpath(path)}"  # what a store might make of `a/./b` or `a//b`
        return any(uri.startswith(prefix) and clean.startswith(prefix) for prefix in self.prefixes)


def _prefix(place: str) -> str:
    """A place as a cell would write it: without credentials and options."""
    scheme, _, path = identity(place).partition("?")[0].partition("://")
    return f"{'gs' if scheme == 'gcs' else scheme}://{path.strip('/')}/"


def _bucket(uri: str) -> str:
    match = re.match(r"[a-z0-9]+://[^/]+/", uri)
    return match[0] if match else uri
