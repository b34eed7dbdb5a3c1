"""The dry run: what a job would cost and how long it would take, before anything is sent.

    estimate.py        what is asked of an estimate, and what it says
    attachments.py     pictures and documents, as far as their content decides what a row costs
    pass_over_rows.py  every row once, in order: its state, its tokens, its cost
    counting.py        rows to ask, column by column: their requests' tokens, their answers'
    pricing.py         what each of them costs
    parquet_writer.py  estimate.parquet, a line for each row
    interval.py        totals, and the interval around them
    duration.py        how long it takes, from known limits or from the last run
    sample_size.py     how many rows a calibration should have
    calibrate.py       some rows, sent through the ordinary run, so that the rest is known better
    estimator.py       `estimate_job`: all of it; the gate of `--max-usd`
    render.py          the table for people

Invariants: nothing is sent but look-ups of prices (and, where asked for, the calibration's rows);
no lock is taken; only `estimate.parquet` and `estimate.json` are written, beside the output. Rows are
read, planned, laid out as requests and counted by the code that a run uses, a chunk at a time: where that
code has a way by row and one by column, property tests hold them equal. Memory grows by the
index of fingerprints alone, 24 bytes a row.

Accepted: a row counts as answered elsewhere on 64 bits of its fingerprint; what a run in progress
has in flight is not seen. Paid second tries are not foreseen until usage records show them.
"""

from parquill.estimation.estimate import Calibration, Cost, Estimate, EstimateOptions, Group, Rows
from parquill.estimation.estimator import estimate_job, refuse_above
from parquill.estimation.render import render_estimate, sections

__all__ = [
    "Calibration",
    "Cost",
    "Estimate",
    "EstimateOptions",
    "Group",
    "Rows",
    "estimate_job",
    "refuse_above",
    "render_estimate",
    "sections",
]
