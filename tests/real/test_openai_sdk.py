"""The newest `openai` that there is, and not only the one that the project pins, against the emulator."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from tests.e2e.kit import ROOT
from tests.real import software
from tests.real.conftest import or_skip

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


@pytest.fixture(scope="session")
def newest() -> Path:
    with or_skip():
        return software.newest("openai")


async def python(newest: Path, *arguments: str) -> str:
    """What a Python that finds the newest SDK first says; it must end well."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *arguments),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(newest)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()[-3000:]
    return said.decode()


async def test_the_newest_sdk_reads_the_emulator_as_the_pinned_one_does(newest: Path) -> None:
    (folder,) = newest.glob("openai-*.dist-info")
    version = await python(newest, "-c", "import openai; print(openai.__version__)")
    assert folder.name == f"openai-{version.strip()}.dist-info"
    said = await python(newest, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_emulator_sdk.py")
    print(f"openai {version.strip()}: {said.splitlines()[-1]}")
    assert re.search(r"\b[1-9]\d* passed|^\.{5,} *\[100%\]", said, re.MULTILINE)
