"""Planning: decides what a run has to do, before anything is sent.

Used by run, estimate, verify, report and doctor. Nothing here sends a request to the model.
"""

from parquill.planning.archive_access import LedgerArchive
from parquill.planning.dry_archive import DryArchive
from parquill.planning.dry_plan import EQUAL, FAILING, KEPT, TODO, RowSorter, SortedChunk
from parquill.planning.example_pictures import with_pictures
from parquill.planning.failed_rows import RetryChoice, bare_message, left_message
from parquill.planning.fingerprint_index import FingerprintIndex
from parquill.planning.image_refresh import Refresher
from parquill.planning.missing_pictures import MissingPictures, missing_pictures_notice, shown_columns
from parquill.planning.other_outputs import OtherOutputs
from parquill.planning.part_faults import part_faults
from parquill.planning.part_reader import PartReader
from parquill.planning.planner import Planner
from parquill.planning.preparation import Prepared, prepare
from parquill.planning.preview import RunPreview, preview_run
from parquill.planning.recheck import Recheck
from parquill.planning.replacements import audit_of, refuse_unwanted, replaced_by
from parquill.planning.rows import PreparedRow, PreparedRows
from parquill.planning.run_options import Portion, RunOptions
from parquill.planning.run_plan import OpenSlice, RunPlan, held_in
from parquill.planning.selection import Rows, Selection
from parquill.planning.superseded import asked_again, refuse_unless_agreed

__all__ = [
    "EQUAL",
    "FAILING",
    "KEPT",
    "TODO",
    "DryArchive",
    "FingerprintIndex",
    "LedgerArchive",
    "MissingPictures",
    "OpenSlice",
    "OtherOutputs",
    "PartReader",
    "Planner",
    "Portion",
    "Prepared",
    "PreparedRow",
    "PreparedRows",
    "Recheck",
    "Refresher",
    "RetryChoice",
    "RowSorter",
    "Rows",
    "RunOptions",
    "RunPlan",
    "RunPreview",
    "Selection",
    "SortedChunk",
    "asked_again",
    "audit_of",
    "bare_message",
    "held_in",
    "left_message",
    "missing_pictures_notice",
    "part_faults",
    "prepare",
    "preview_run",
    "refuse_unless_agreed",
    "refuse_unwanted",
    "replaced_by",
    "shown_columns",
    "with_pictures",
]
