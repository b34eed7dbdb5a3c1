"""Standard files that the caller closed, as daemons and some schedulers do."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.kit import COMMAND, ROOT, Rehearsal, rehearsal, rows

LOOK = """
import json, os, sys
from parquill.bootstrap import open_standard_files
open_standard_files()
print("lost")
print("also lost", file=sys.stderr)
last = os.open(os.devnull, os.O_RDONLY)
os.write(int(sys.argv[1]), json.dumps([last > 2, sys.stdin.read(), [os.fstat(n).st_rdev for n in range(3)]]).encode())
"""


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_standard_file_leads_to_nowhere_and_its_number_is_taken(closed: str) -> None:
    reading, writing = os.pipe()
    command = f'exec "$0" -I -c "$1" {writing} {closed}'
    script = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{LOOK}"
    with os.fdopen(reading) as told:
        try:
            subprocess.run(
                ["bash", "-c", command, sys.executable, script],
                pass_fds=(writing,),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=60,
                check=True,
            )
        finally:
            os.close(writing)
        is_free, read, devices = json.loads(told.read())
    nowhere = os.stat(os.devnull).st_rdev  # noqa: PTH116 - a device's number
    assert (is_free, read) == (True, "")
    numbers = {"<&-": 0, ">&-": 1, "2>&-": 2}
    assert [devices[numbers[one]] for one in closed.split()] == [nowhere] * len(closed.split())


def _closed(work: Rehearsal, redirections: str) -> subprocess.CompletedProcess[bytes]:
    job = str(work.job_file())
    command = ["bash", "-c", f'exec "$@" {redirections}', "bash", *COMMAND, "run", job, "--json"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, timeout=100, check=False)


async def test_a_run_whose_standard_input_and_error_are_closed_ends_as_any_other(tmp_path: Path) -> None:
    """uvloop aborted the process (134) when a socket had the number of standard input."""
    async with rehearsal(tmp_path) as work:
        work.write(rows(3))
        ended = await asyncio.to_thread(_closed, work, "<&- 2>&-")
        assert ended.returncode == 0
        assert json.loads(ended.stdout)["rows"]["ok"] == 3
        again = await asyncio.to_thread(_closed, work, "<&- >&- 2>&-")
        assert again.returncode == 0
        await work.must_hold()
