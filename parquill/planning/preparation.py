"""Reads what a job needs before any endpoint is asked: schema, manifest, prompts, columns.

`run`, `estimate` and `verify` all begin here, so they agree about every row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from parquill.answers import AnswerSchema, example_turns, load_answer_schema
from parquill.clock import Clock
from parquill.images import ImageLoader, PictureValue
from parquill.job import Job
from parquill.manifest import Manifest, open_manifest
from parquill.planning.column_check import refuse_unwritable
from parquill.planning.example_pictures import stand_ins
from parquill.planning.rows import RowReader
from parquill.prompts import Asking, UserText
from parquill.results import output_schema

_FIRST_ROWS = 64
"""Rows that are looked at before anything else: can they be copied, and does the template print what it should?"""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A job that has been checked against its manifest."""

    job: Job
    shape: AnswerSchema
    manifest: Manifest
    images: ImageLoader
    text: UserText
    asking: Asking
    example_pictures: Mapping[str, PictureValue]
    """What the stand-ins in few-shot turns stand for."""
    reader: RowReader
    schema: pa.Schema
    """The output's schema."""


def prepare(job: Job, clock: Clock) -> Prepared:
    """Check a job against its manifest; reads files, sends nothing.

    Raises `SchemaError`, `JobError` or `ManifestError` with what is wrong and where.
    """
    shape = load_answer_schema(job.output)
    manifest = open_manifest(job)
    text = UserText(job, manifest.columns.schema.names)
    manifest.require(text.columns)
    schema = output_schema(manifest.columns.key, manifest.columns.kept, shape.arrow_type)
    first = manifest.first_rows(tuple(dict.fromkeys([*manifest.columns.copied, *text.columns])), _FIRST_ROWS)
    refuse_unwritable(manifest, schema, first)
    text.refuse_insides({name: first.cells(name)[0] for name in text.columns}, first.table.num_rows)
    images = ImageLoader(
        job.images,
        job.documents,
        manifest_folder=manifest.folder,
        endpoint_fetches=all(one.model.endpoint in ("openrouter", "emulator") for one in job.each),
        clock=clock,
    )
    pictures: dict[str, PictureValue] = {}
    examples = example_turns(
        job.prompt.examples, shape, stand_ins(images, pictures), images_first=job.prompt.images_first
    )
    asking = Asking(job, shape_digest=shape.digest_source, examples=examples)
    return Prepared(
        job=job,
        shape=shape,
        manifest=manifest,
        images=images,
        text=text,
        asking=asking,
        example_pictures=pictures,
        reader=RowReader(text, asking, images, manifest.columns, pictures_required=job.images.required),
        schema=schema,
    )
