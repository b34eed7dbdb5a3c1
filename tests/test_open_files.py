"""The number of files a process may have open: raised where it may be, and never used up by requests in flight."""

from __future__ import annotations

import subprocess
import sys

import pytest

from parquill.budget import Budget
from parquill.job import LimitSettings
from parquill.limits import Gate
from tests.clock import ManualClock

PROGRAM = """
import resource, sys
from parquill import open_files
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
open_files.raise_limit()
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0], open_files.most_in_flight())
"""


def in_a_process_with(soft: int, hard: int) -> tuple[int, int]:
    said = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(soft), str(hard)], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    limit, most = said.split()
    return int(limit), int(most)


def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    assert in_a_process_with(256, 1000)[0] == 1000


def test_requests_in_flight_leave_files_to_everything_else() -> None:
    limit, most = in_a_process_with(256, 256)
    assert limit == 256
    assert 100 <= most <= 256 - 96


def test_where_nearly_nothing_may_be_opened_one_request_is_sent_at_a_time() -> None:
    assert in_a_process_with(64, 64) == (64, 1)


@pytest.mark.parametrize("named", [500, "auto"])
def test_the_gate_admits_no_more_than_there_are_files_for(named: int | str) -> None:
    gate = Gate(LimitSettings.model_validate({"max_in_flight": named}), Budget(), ManualClock(), most_slots=5)
    assert gate.statistics().in_flight_limit == 5
