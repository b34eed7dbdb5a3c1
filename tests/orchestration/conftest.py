"""One temporary Prefect API for all tests of flows: it takes ten seconds to start.

It ends with the folder's last test, since its threads draw random numbers under Hypothesis's feet.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

import flows  # noqa: F401 - first of all: it silences Prefect before Prefect is imported

_UNUSED_SERVICES = ("SCHEDULER", "LATE_RUNS", "PAUSE_EXPIRATIONS", "CANCELLATION_CLEANUP", "FOREMAN", "REPOSSESSOR")
"""Loops of the server for deployments and workers, which only the lane of a real server has."""


@pytest.fixture(scope="package")
def prefect_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Prefect's API on a database of its own; results and settings stay out of the user's home."""
    from prefect import settings
    from prefect.settings import PREFECT_HOME, PREFECT_LOCAL_STORAGE_PATH, temporary_settings
    from prefect.testing.utilities import prefect_test_harness

    home = tmp_path_factory.mktemp("prefect")
    updates = {
        PREFECT_HOME: home,
        PREFECT_LOCAL_STORAGE_PATH: home / "storage",
        settings.PREFECT_LOGGING_TO_API_BATCH_INTERVAL: 0.1,  # tests wait for log lines
        **{getattr(settings, f"PREFECT_SERVER_SERVICES_{name}_ENABLED"): False for name in _UNUSED_SERVICES},
    }
    with temporary_settings(updates), prefect_test_harness(server_startup_timeout=180):
        yield


@pytest.fixture
def api(prefect_api: None) -> Iterator[None]:
    """The API for one test. Prefect's client leaves sockets to the garbage: they are swept up before others come."""
    yield
    gc.collect()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that use the API wait for its start, and forgive Prefect its sockets."""
    for item in items:
        if "api" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(300))
            item.add_marker(pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"))
