"""What a request's end behind a gateway has to mean in front of it."""

from __future__ import annotations

import pytest

from parquill.emulator import Misbehaviour
from parquill.errors import Stop

each_fault = pytest.mark.parametrize(
    ("fate", "kind", "stop"),
    [
        (Misbehaviour.UPSTREAM_LIMIT, None, Stop.UNREACHABLE),
        (Misbehaviour.UNAVAILABLE, None, Stop.UNREACHABLE),
        (Misbehaviour.BAD_GATEWAY, None, Stop.UNREACHABLE),
        (Misbehaviour.MODERATED, "moderated", None),
    ],
)
"""A fault of the endpoint, the row's error kind, and why the run stops."""
