"""Writes a job's report: finds its output, prompts and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from parquill.clock import Clock, SystemClock
from parquill.errors import RowError, UsageError
from parquill.images import ImageLoader, PictureValue
from parquill.job import Job, state_home
from parquill.planning import Prepared, prepare
from parquill.report.build import Asked, build_report
from parquill.report.thumbnails import thumbnail_settings
from parquill.storage import Storage
from parquill.workspace import Workspace


async def write_report(job: Job, *, clock: Clock | None = None) -> Path:
    """Write the report on a job's output beside it, and return where it is.

    Works without the manifest too (it may be gone by morning): the page then shows what the output
    holds. Raises `OutputError` where there is no output.
    """
    clock = clock or SystemClock()
    workspace = Workspace.of(job.output.path, state_home(), shared=job.output.shared)
    output = Storage.at(job.output.path)
    workspace.make_ready()
    try:
        opened = prepare(job, clock)
    except UsageError:
        page = await build_report(output, workspace.storage(), job_name=job.name)
    else:
        async with _image_loader(opened, clock) as loader:
            page = await build_report(output, workspace.storage(), job_name=job.name, asked=_asked(opened, loader))
    workspace.storage().write_bytes(workspace.report.name, page)
    return workspace.report


def _image_loader(opened: Prepared, clock: Clock) -> ImageLoader:
    job = opened.job
    return ImageLoader(
        thumbnail_settings(job.images),
        job.documents,
        manifest_folder=opened.manifest.folder,
        endpoint_fetches=False,
        clock=clock,
    )


def _asked(opened: Prepared, loader: ImageLoader) -> Asked:
    """Prompts and pictures are known where the output kept the columns they are made of."""
    kept = {field.name for field in opened.manifest.columns.kept} | {opened.manifest.columns.key.name}
    text, images = opened.text, opened.manifest.columns.images

    def prompt_for(row: Mapping[str, Any]) -> str | None:
        try:
            return text.render({name: row[name] for name in text.columns})
        except (RowError, KeyError):
            return None

    def pictures_for(row: Mapping[str, Any]) -> Sequence[PictureValue]:
        return [value for name in images if name in row for value in loader.check(row[name])]

    return Asked(
        prompt_for=prompt_for if kept.issuperset(text.columns) else None,
        pictures_for=pictures_for if images else None,
        loader=loader,
        fetch=opened.job.report.fetch,
    )
