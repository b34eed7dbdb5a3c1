"""Storage: a folder on this machine or in an object store, and whole-file writes.

`disk.py`     the seam to a local disk: create, write, sync, rename, remove. Whatever must
              survive a power cut goes through it, so that a test can put a disk in its place
              that dies, fills up or forgets at any step.
`location.py` what a user writes (`out/x`, `s3://bucket/x`) -> a filesystem and a path in it.
`patterns.py` wildcards in file names.
`private.py`  a folder of ours alone: made so, and looked at before anything in it is believed.
`folder.py`   `Storage`, the folder itself: list, glob, open, write whole, remove.

Every call to an object store runs on a thread of its own and has a time limit (`parquill/store_calls.py`).

What holds: under its final name a file is whole or absent. Locally it is written under a
hidden name in the same folder, synced, read back, renamed, and the folder synced; on an
object store it is one put. Foreign errors leave with the path in their message: wrong usage
as the class the caller names (`OutputError`, `ManifestError`), a full disk as `StorageFullError`,
anything else while writing as `StorageFaultError`. Credentials in a URI are never shown.

Trade-offs: a file for an object store is built in memory first, since closing a half-written
stream would publish the half; and object stores have no lock, so two machines that write to
one remote output are not kept apart.
"""

from parquill.storage.disk import Disk
from parquill.storage.file_types import ByteSink, FileEntry, StoredFile, Written
from parquill.storage.folder import Storage
from parquill.storage.location import beside, identity, is_remote, shown
from parquill.storage.patterns import split_glob
from parquill.storage.private import check_private, private_mode

__all__ = [
    "ByteSink",
    "Disk",
    "FileEntry",
    "Storage",
    "StoredFile",
    "Written",
    "beside",
    "check_private",
    "identity",
    "is_remote",
    "private_mode",
    "shown",
    "split_glob",
]
