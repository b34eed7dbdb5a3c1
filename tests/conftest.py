"""What all tests share: how many deaths a run of the suite can afford."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=5, help="how often runs are killed: 5, in CI 50, in chaos 200")


@pytest.fixture(scope="session")
def kills(request: pytest.FixtureRequest) -> int:
    count = request.config.getoption("--kills")
    assert isinstance(count, int)
    return count
