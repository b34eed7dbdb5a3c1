"""Results: what a row ends as, and the parts that hold the output.

`cells.py`    values of any column for Python, those that it cannot hold found one by one.
`large_cells.py` cells larger than any row needs, found by their lengths.
`item.py`     `ItemResult`, a row's outcome, and its compact form for ledger and archive.
`table.py`    the output's schema; tables built from results, column by column.
`readback.py` rows of a part as results again.
`names.py`    how a part is called, and the order that gives.
`parts.py`    a part as a file: written whole, read by its footer or its rows.
`listing.py`  `manifest.json`, the list of parts with checksums, written last.

What holds: every part has the same schema, bare of metadata, also where a column is all
null. Key and kept columns always come from the manifest, never from an older part. A part's
footer holds its sums, so planning reads footers only. Money goes between the engine's
pico-USD and the table's decimals as the same integers; no float touches it.

Trade-off: a part's table is built in memory; `output.rows_per_part` bounds it.
"""

from parquill.results.cells import python_values, row_values
from parquill.results.item import CostSource, ItemResult, Status, weakest
from parquill.results.large_cells import LARGEST_CELL, large_cells, shown_size
from parquill.results.listing import read_manifest, write_manifest
from parquill.results.names import part_key, part_name
from parquill.results.parts import PartInfo, read_part, read_part_info, try_part, write_part
from parquill.results.readback import plain_values, reading, results_in, results_of
from parquill.results.table import (
    LATE_COLUMNS,
    RESULT_COLUMNS,
    ToArrow,
    as_type,
    merge_rows,
    money_array,
    not_attempted_table,
    output_schema,
    pico_values,
    result_table,
    with_fingerprints,
)

__all__ = [
    "LARGEST_CELL",
    "LATE_COLUMNS",
    "RESULT_COLUMNS",
    "CostSource",
    "ItemResult",
    "PartInfo",
    "Status",
    "ToArrow",
    "as_type",
    "large_cells",
    "merge_rows",
    "money_array",
    "not_attempted_table",
    "output_schema",
    "part_key",
    "part_name",
    "pico_values",
    "plain_values",
    "python_values",
    "read_manifest",
    "read_part",
    "read_part_info",
    "reading",
    "result_table",
    "results_in",
    "results_of",
    "row_values",
    "shown_size",
    "try_part",
    "weakest",
    "with_fingerprints",
    "write_manifest",
    "write_part",
]
