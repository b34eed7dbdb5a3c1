"""The endpoints that a job names, one or several, and the limits that they have.

A validator's message is read after "should be" and does not repeat the value, which may be a secret.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from parquill.job.gateways import is_base_url
from parquill.job.setting_types import Integer, Number, PositiveInt, Section, like

OPENROUTER_URL = "https://openrouter.ai/api/v1"
KEY_NAME = like(r"[A-Za-z_][A-Za-z0-9_]{0,99}", "the name of an environment variable, never the key itself")


def _address(value: str) -> str:
    scheme, mark, place = value.rstrip("/").partition("://")
    value = f"{scheme.lower()}{mark}{place}" if mark else scheme
    if re.search(r"/chat/completions(?=$|[/?#])", value):
        raise ValueError("the base URL without /chat/completions, which is added to it")
    if value in ("openrouter", "emulator") or is_base_url(value):
        return "openrouter" if value == OPENROUTER_URL else value
    raise ValueError("'openrouter', 'emulator' or a base URL like http://127.0.0.1:8000/v1")


EndpointAddress = Annotated[str, AfterValidator(_address)]


class LimitSettings(Section):
    """`limits`: what may be sent to one endpoint in a minute, a day, and at once."""

    requests_per_minute: PositiveInt | None = None
    tokens_per_minute: PositiveInt | None = None
    requests_per_day: PositiveInt | None = None
    max_in_flight: Annotated[Integer, Field(ge=1, le=100_000)] | Literal["auto"] = "auto"
    wait: bool = False

    @model_validator(mode="after")
    def _possible_together(self) -> LimitSettings:
        requests, tokens = self.requests_per_minute, self.tokens_per_minute
        if requests is not None and tokens is not None and tokens < requests:
            raise ValueError(
                f"tokens_per_minute ({tokens}) is less than requests_per_minute ({requests}), "
                "though no request has less than one token: are the two swapped?"
            )
        return self


class EndpointSettings(Section):
    """One of several endpoints of a job."""

    base_url: EndpointAddress
    api_key_env: Annotated[str, KEY_NAME] | None = None
    weight: Annotated[Number, Field(gt=0, le=1_000)] = 1.0
    """Its share of the rows, beside the others' weights, while several can take a row."""
    limits: LimitSettings = LimitSettings()
    """What it does not name is as in the job's own `limits`."""


def _all_different(endpoints: tuple[EndpointSettings, ...]) -> tuple[EndpointSettings, ...]:
    if not endpoints:
        raise ValueError("at least one endpoint")
    if len({(one.base_url, one.api_key_env) for one in endpoints}) < len(endpoints):
        raise ValueError(
            "endpoints that differ in base_url or api_key_env: one that is named twice has its limits twice"
        )
    return endpoints


Endpoints = Annotated[tuple[EndpointSettings, ...], Field(max_length=64), AfterValidator(_all_different)]


def with_limits(limits: LimitSettings, endpoint: EndpointSettings) -> LimitSettings:
    """Return the limits of an endpoint: its own, and the job's where it names none.

    Raises `pydantic.ValidationError` where they cannot hold together.
    """
    named = {name: getattr(endpoint.limits, name) for name in endpoint.limits.model_fields_set}
    return LimitSettings.model_validate({**limits.model_dump(exclude_unset=True), **named})
