"""The job file's section `nightly`: when a night ends, what it may cost, and whom its end is told.

Depends on the kinds of single values (`setting_types.py`) alone.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr

from parquill.job.setting_types import Money, Section, TimeZone, like


def _web_address(value: SecretStr) -> SecretStr:
    if not re.match(r"^https?://[^/\s]+", value.get_secret_value()):
        raise ValueError("a web address that takes messages, like https://hooks.example/T0/B0/...")
    return value


class NotifySettings(Section):
    """`nightly.notify`: whom a night's end is told, and how."""

    webhook: Annotated[SecretStr, AfterValidator(_web_address)] | None = None
    """The address is a secret: anyone who has it may post there. It is shown nowhere."""
    style: Literal["json", "slack"] = "json"


class NightlySettings(Section):
    """`nightly`: until when a night runs, and what it may cost."""

    until: Annotated[str, like(r"([01]\d|2[0-3]):[0-5]\d", "a time of day like '22:30'")] | None = None
    timezone: TimeZone = "UTC"
    max_usd: Annotated[Money, Field(gt=0)] | None = None
    notify: NotifySettings = NotifySettings()
