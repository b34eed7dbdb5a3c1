"""Small jobs for the tests of the job package."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from parquill.errors import JobError
from parquill.job import Job, load_job

SMALLEST: dict[str, Any] = {
    "name": "captions",
    "manifest": {"path": "data/m.parquet"},
    "prompt": {"user": "Describe {{ title }}."},
    "output": {"path": "out/captions"},
}
DAY = dt.date(2026, 11, 23)
LEAK = "hush-4711"


def load(source: Any = SMALLEST, *overrides: str, environ: Mapping[str, str] | None = None) -> Job:
    return load_job(source, overrides, environ=environ or {}, date=DAY)


def refused(*overrides: str, source: Any = SMALLEST, environ: Mapping[str, str] | None = None) -> str:
    with pytest.raises(JobError) as caught:
        load(source, *overrides, environ=environ)
    return str(caught.value)


def file(folder: Path, text: str | bytes, name: str = "job.yaml") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path
