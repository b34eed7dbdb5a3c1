"""The manifest: files of prompts and pictures, checked whole before anything is sent.

    files.py    which files a path, folder or glob names, in their order
    columns.py  which columns a job needs of them, and whether these will do
    text.py     JSON lines and CSV
    unfit.py    values that do not fit their type, replaced and reported row by row
    digests.py  rows of values as one digest, however they are stored
    reading.py  rows in order, chunk by chunk, never more than some megabytes at once

A manifest is cut into slices: `rows_per_part` neighbouring rows of one file. A slice is the
unit that becomes one part of the output.
"""

from parquill.manifest.columns import Columns, places_in
from parquill.manifest.digests import RowsDigest
from parquill.manifest.files import Slice, SourceFile
from parquill.manifest.reading import Chunk, Manifest, open_manifest

__all__ = [
    "Chunk",
    "Columns",
    "Manifest",
    "RowsDigest",
    "Slice",
    "SourceFile",
    "open_manifest",
    "places_in",
]
