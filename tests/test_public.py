"""The public list: what `from parquill import …` gives, and nothing more."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib.metadata import version

import pytest

import parquill

VALUES = ["ErrorKind", "Estimate", "EstimateOptions", "Job", "RunOptions", "RunSummary", "UsageError", "Verification"]
CALLS = ["estimate", "load_job", "run", "run_async", "verify"]


def test_the_public_list_is_this() -> None:
    assert sorted(parquill.__all__) == sorted([*VALUES, *CALLS, "__version__"])
    for name in [*VALUES, *CALLS]:
        assert getattr(parquill, name).__module__.startswith("parquill.")
    assert parquill.__version__ == version("parquill")


@pytest.mark.parametrize("name", CALLS)
def test_a_public_call_says_what_it_takes_returns_and_raises(name: str) -> None:
    call = getattr(parquill, name)
    said = inspect.getdoc(call) or ""
    assert all(f"\n{section}:\n" in said for section in ("Args", "Returns", "Raises"))
    assert [one for one in inspect.signature(call).parameters if f"    {one}: " not in said] == []


def test_what_is_not_public_is_not_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'runs'"):
        parquill.runs  # noqa: B018 - the look is the test


def test_importing_the_package_loads_no_engine() -> None:
    code = "import sys, parquill; print(sorted({'pyarrow', 'aiohttp', 'prefect', 'pandas'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_engine_does_not_load_prefect() -> None:
    code = "import sys, parquill.api, parquill.cli; print('prefect' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
