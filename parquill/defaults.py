"""What other libraries read from the environment while they are loaded, set before they are."""

from __future__ import annotations

import os
from collections.abc import Mapping


def set_environment_defaults(values: Mapping[str, str]) -> None:
    """Give environment variables that are not set a value, for this process and its children."""
    for name, value in values.items():
        os.environ.setdefault(name, value)
