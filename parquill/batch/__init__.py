"""The composition: rooms joined into a run.

prepare.py       a job checked against its manifest
endpoint.py      what the endpoint says of itself
scan.py plan.py  which slices stand, what the others can keep; shelf.py: where rows without a place go
rows.py          manifest rows -> text, pictures, fingerprint
feed.py          rows to ask (selection.py), in order; index.py twins.py: answers that need no request
conversation.py  one row: pictures, request, answer, asking again; rungs.py: how to ask
attempts.py      one request: money, intent, rate and slot, wire; account.py: its books
slices.py        a whole slice becomes a part
sample.py        a trial of a job on a few rows, beside its output
loop.py          workers, stopping, what is left
preview.py       what a run would have to do, without its lock
session.py       one process's work on a run (options.py, place.py, means.py); run.py: `run_job`
portions.py      what other processes do for a run, and how it comes into its books: order.py post.py ask.py
lessons.py       what receipts taught earlier runs; promise.py: what an estimate promised
watch.py         what a run tells of itself while it goes; attach.py: whom
"""

from parquill.batch.attach import Attach, Stoppable, Watched, unwatched
from parquill.batch.options import RunOptions
from parquill.batch.preview import RunPreview, preview_run
from parquill.batch.run import run_job, sample_job

__all__ = [
    "Attach",
    "RunOptions",
    "RunPreview",
    "Stoppable",
    "Watched",
    "preview_run",
    "run_job",
    "sample_job",
    "unwatched",
]
