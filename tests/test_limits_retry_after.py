from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parquill.limits import wait_seconds

NOW = 1_790_000_000.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7),
        ({"retry-after": "0"}, 0),
        ({"Retry-After": formatdate(NOW + 30, usegmt=True)}, 30),
        ({"Retry-After": formatdate(NOW - 30, usegmt=True)}, 0),
        ({"retry-after-ms": "250"}, 0.25),
        ({"Retry-After": "9", "retry-after-ms": "1500"}, 1.5),
        ({"llm_provider-retry-after": "7"}, 7),
        ({"Retry-After": "1000000000"}, 300),
        ({"X-RateLimit-Reset": str(int((NOW + 12) * 1000))}, 12),
        ({"X-RateLimit-Reset": str(int(NOW + 12))}, 12),
        ({"x-ratelimit-reset": "45"}, 45),
        ({"x-ratelimit-reset-requests": "1m30s"}, 90),
        ({"x-ratelimit-reset-tokens": "12ms"}, 0.012),
        ({"x-ratelimit-reset-requests": "1s", "x-ratelimit-reset-tokens": "6m0s"}, 300),
    ],
)
def test_a_wait_is_read_as_servers_write_it(headers: dict[str, str], seconds: float) -> None:
    wait = wait_seconds(headers, None, NOW)
    assert wait is not None
    assert wait.seconds == pytest.approx(seconds, abs=1.0 if "GMT" in str(headers) else 1e-6)


def test_a_hint_in_the_body_counts_where_headers_say_nothing() -> None:
    wait = wait_seconds({}, 2.5, NOW)
    assert wait is not None
    assert wait.seconds == 2.5


def test_a_daily_reset_keeps_its_whole_length() -> None:
    wait = wait_seconds({"X-RateLimit-Reset": str(int((NOW + 40_000) * 1000))}, None, NOW)
    assert wait is not None
    assert (wait.seconds, wait.full) == (300, pytest.approx(40_000))


@pytest.mark.parametrize("text", ["", "soon", "-3", "nan", "1e9", "1m30", "∞", "1" * 50])
def test_nonsense_is_no_wait(text: str) -> None:
    assert wait_seconds({"Retry-After": text}, None, NOW) is None


@given(st.dictionaries(st.sampled_from(["Retry-After", "X-RateLimit-Reset", "retry-after-ms"]), st.text(max_size=30)))
def test_whatever_a_server_writes_a_wait_is_bounded(headers: dict[str, str]) -> None:
    wait = wait_seconds(headers, None, NOW)
    assert wait is None or (0 <= wait.seconds <= 300 and 0 <= wait.full <= 86_400)
