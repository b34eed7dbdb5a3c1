"""Pictures and documents: from a manifest cell to a part of a request.

* `picture_cells` — cells as typed values, and what stands for them in a fingerprint: pure.
* `kinds` — what a file is, by its first bytes: pure.
* `sources`, `files` — where the bytes come from: web, disk, bucket, the manifest itself.
* `objects` — files in stores: time-outs, and a breaker for each store.
* `byte_budget` — how many bytes of files all rows hold together.
* `decoder_pool`, `sandbox` — worker processes that decode; the only code that reads hostile pixels.
* `loader` — `ImageLoader`, which joins them.

Invariants: planning opens nothing; what is sent has no metadata; a broken or hostile file is a
`RowError` of its row, never more; memory is bounded in bytes, whatever the manifest lists.
"""

from parquill.images.loader import ImageLoader
from parquill.images.picture_cells import PathPicture, PictureValue, StoredPicture, WebPicture, identity

__all__ = [
    "ImageLoader",
    "PathPicture",
    "PictureValue",
    "StoredPicture",
    "WebPicture",
    "identity",
]
