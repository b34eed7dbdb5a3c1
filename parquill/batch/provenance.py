"""Where a run's figures come from, as JSON for footers and records: the price, the versions."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Any

import pyarrow as pa

from parquill.prices import Price


def price_snapshot(price: Price | None) -> dict[str, Any]:
    """The price a run reckons with, as JSON: USD per token in decimal strings."""
    if price is None:
        return {"source": "unknown"}
    return {
        "source": price.source.value,
        "prompt": usd_per_token(price.rates.prompt),
        "completion": usd_per_token(price.rates.completion),
        "provider": price.provider,
        "as_of": price.as_of.isoformat() if price.as_of else None,
        "context_length": price.context_length,
        "max_completion_tokens": price.max_completion_tokens,
        "quantization": price.quantization,
        "uptime": price.uptime,
    }


def usd_per_token(atto: int) -> str:
    """10**-18 USD as a plain decimal string of USD."""
    whole, rest = divmod(atto, 10**18)
    return f"{whole}.{rest:018d}".rstrip("0").rstrip(".")


def versions() -> dict[str, str]:
    """What this process runs on."""
    return {"parquill": version("parquill"), "pyarrow": pa.__version__, "python": platform.python_version()}
