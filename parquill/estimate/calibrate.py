"""Which rows a calibration sends: alike the others in length and in pictures.

Rows to send are put in order of pictures, then of prompt tokens, and cut into as many strata as rows
are wanted; the middle of each is sent. So the sample has the same mixture as the whole, long rows and short
ones. What is known of rows is read from the lines of the estimate before: 20 bytes a row, while this lasts.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
import pyarrow.parquet as pq

from parquill.estimate.planning import TODO
from parquill.storage import Storage
from parquill.workspace import Workspace


def choose_rows(workspace: Workspace, wanted: int) -> frozenset[int]:
    """Return positions of at most `wanted` rows to send, from the estimate that was just written."""
    pieces = []
    with Storage.at(workspace.folder).open(workspace.estimate.name) as raw:
        file = pq.ParquetFile(raw, pre_buffer=False)
        for batch in file.iter_batches(columns=["position", "state", "images", "prompt_tokens"]):
            todo = batch.filter(pc.equal(batch.column("state"), TODO))
            pieces.append([todo.column(name).to_numpy() for name in ("position", "images", "prompt_tokens")])
    positions, images, tokens = (np.concatenate(column) for column in zip(*pieces, strict=True))
    return strata(positions, images, tokens, wanted)


def strata(
    positions: npt.NDArray[np.int64], images: npt.NDArray[np.int32], tokens: npt.NDArray[np.int64], wanted: int
) -> frozenset[int]:
    """Return the middle of each of `wanted` strata of equal size; all rows where there are no more."""
    order = np.lexsort((tokens, images))
    number = min(wanted, len(order))
    middles = (np.arange(number) * 2 + 1) * len(order) // (2 * max(number, 1))
    return frozenset(positions[order[middles]].tolist())
