"""gs:// and az:// by the same code path as s3://: whole jobs on stores that others emulate."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.remote import Bucket, a_whole_job_holds
from tests.real import stores
from tests.real.conftest import or_skip

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]


@pytest.fixture(params=[stores.google, stores.azure], ids=["gs", "az"])
def bucket(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    with contextlib.ExitStack() as stack:
        with or_skip():
            opened = stack.enter_context(request.param(tmp_path_factory.mktemp("store")))
        yield opened


async def test_manifest_and_output_in_a_bucket_that_fails_now_and_then(
    tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    await a_whole_job_holds(tmp_path, bucket, monkeypatch)
