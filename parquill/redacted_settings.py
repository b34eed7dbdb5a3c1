"""Settings as they may be written down and shown: without the webhook's address and without logins in addresses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from parquill.job import is_only_variables

_LOGIN = re.compile(r"(https?://)[^/\s@]+@")
_SECRET_KEYS = frozenset({"webhook"})


def without_secrets(value: Any) -> Any:
    """Return settings as they may be shown: no webhook address, no login or key in a URL."""
    from parquill.storage import shown  # noqa: PLC0415 - pyarrow; summaries are shown by flows that have not loaded it

    if isinstance(value, Mapping):
        return {
            str(key): "(not shown)" if key in _SECRET_KEYS and _is_secret(item) else without_secrets(item)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [without_secrets(item) for item in value]
    return shown(_LOGIN.sub(r"\1***@", value)) if isinstance(value, str) else value


def _is_secret(address: Any) -> bool:
    return bool(address) and not (isinstance(address, str) and is_only_variables(address))
