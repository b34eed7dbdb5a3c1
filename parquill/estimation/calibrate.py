"""Selects the rows that a calibration sends: like the others in pictures, language and length.

Rows to send are put in order of pictures, then of their texts' language (as far as their letters tell), then of
prompt tokens, and cut into as many strata as rows are wanted; the middle of each is sent. So the sample has
the same mixture as the whole, long rows and short ones. Strata are of equal size: before any answer is known, none
is known to scatter more than another, and then equal shares are the best (Neyman's allocation).

What is known of rows is read from the lines of the estimate before: 24 bytes a row, while this lasts.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from parquill.planning import TODO
from parquill.storage import Storage
from parquill.threads import stop_point
from parquill.workspace import Workspace


def choose_rows(workspace: Workspace, wanted: int) -> frozenset[int]:
    """Return positions of at most `wanted` rows to send, from the estimate that was just written."""
    pieces, languages = [], dict[str, int]()
    with Storage.at(workspace.folder).open(workspace.estimate.name) as raw:
        file = pq.ParquetFile(raw, pre_buffer=False, read_dictionary=["writing"])
        for batch in file.iter_batches(columns=["position", "state", "images", "writing", "prompt_tokens"]):
            stop_point()
            todo = batch.filter(pc.equal(batch.column("state"), TODO))
            numbers = [todo.column(name).to_numpy() for name in ("position", "images", "prompt_tokens")]
            pieces.append([*numbers, _coded(todo.column("writing"), languages)])
    positions, images, tokens, writing = (np.concatenate(column) for column in zip(*pieces, strict=True))
    return strata(positions, images, writing, tokens, wanted)


def _coded(writing: pa.DictionaryArray, languages: dict[str, int]) -> npt.NDArray[np.int32]:
    """Each row's language as a number, the same in all batches."""
    codes = [languages.setdefault(name, len(languages)) for name in writing.dictionary.to_pylist()]
    coded: npt.NDArray[np.int32] = np.array(codes, np.int32)[writing.indices.to_numpy(zero_copy_only=False)]
    return coded


def strata(
    positions: npt.NDArray[np.int64],
    images: npt.NDArray[np.int32],
    writing: npt.NDArray[np.int32],
    tokens: npt.NDArray[np.int64],
    wanted: int,
) -> frozenset[int]:
    """Return the middle of each of `wanted` strata of equal size; all rows where there are no more."""
    order = np.lexsort((tokens, writing, images))
    number = min(wanted, len(order))
    middles = (np.arange(number) * 2 + 1) * len(order) // (2 * max(number, 1))
    return frozenset(positions[order[middles]].tolist())
