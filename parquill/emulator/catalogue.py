"""Which models there are, what they can do, and whether a request can be routed to one."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from parquill.emulator.error_replies import DOCS, ErrorReply, classic, invalid_request, unavailable_model
from parquill.emulator.parsed_request import ParsedRequest
from parquill.emulator.settings import EmulatorSettings
from parquill.emulator.wire import PROVIDER

CREATED = 1_741_905_510
"""When google/gemma-3-4b-it was listed."""

VARIANTS = (":nitro", ":floor", ":exacto", ":extended")
"""Suffixes that choose a way of routing, not another model."""

MILLION = 10**6


def route(asked: ParsedRequest, settings: EmulatorSettings) -> list[str]:
    """Return those of the asked models that can answer, in order; raises the last one's `ErrorReply`."""
    usable: list[str] = []
    refusal: ErrorReply | None = None
    for name in asked.models:
        try:
            usable.append(_routed(name, asked, settings))
        except ErrorReply as met:
            refusal = met
    if refusal is not None and not usable:
        raise refusal
    return usable


def _routed(name: str, asked: ParsedRequest, settings: EmulatorSettings) -> str:
    model = name
    for suffix in VARIANTS:
        model = model.removesuffix(suffix)
    if model not in settings.models:
        if model.removesuffix(":free") in settings.models:
            message = f"The free variant of {model.removesuffix(':free')} has ended."
            raise unavailable_model(404, message, "free_variant_ended", list(asked.models))
        raise unavailable_model(400, f"{name} is not a valid model ID", "model_not_found", list(asked.models))
    _check_provider(asked, settings)
    if asked.tools and "tools" not in settings.supported_parameters:
        raise classic(
            404,
            f"No endpoints found that support tool use. To learn more about provider routing, visit: {DOCS}/"
            "guides/routing/provider-selection",
            error_type="not_found",
        )
    unsupported = asked.provider.get("require_parameters") and not needed(asked) <= set(settings.supported_parameters)
    if unsupported or (asked.max_tokens or 0) > settings.max_completion_tokens:
        raise classic(
            404,
            "No endpoints found that can handle the requested parameters. To learn more about provider routing, "
            f"visit: {DOCS}/guides/routing/provider-selection",
            error_type="not_found",
        )
    return model


def needed(asked: ParsedRequest) -> set[str]:
    """Return the parameters that `require_parameters` asks a provider to support."""
    wanted = set(asked.parameters)
    if asked.response_format is None:
        wanted.discard("response_format")
    elif asked.response_format["type"] == "json_schema":
        wanted.add("structured_outputs")
    return wanted | ({"max_tokens"} if asked.max_tokens is not None else set())


def _check_provider(asked: ParsedRequest, settings: EmulatorSettings) -> None:
    provider = asked.provider
    if not provider:
        return
    only, ignore = provider.get("only") or (), provider.get("ignore") or ()
    if (only and PROVIDER not in _slugs(only)) or PROVIDER in _slugs(ignore):
        raise classic(404, "No allowed providers are available for the selected model.", error_type="not_found")
    if provider.get("allow_fallbacks") is False and PROVIDER not in _slugs(provider.get("order") or [PROVIDER]):
        raise classic(404, f"No endpoints found for {asked.models[0]}.", error_type="not_found")
    for key, price in (("prompt", settings.prompt_price), ("completion", settings.completion_price)):
        cap = _price_cap(provider.get("max_price"), key)
        if cap is not None and price * MILLION > cap:
            raise unavailable_model(
                404,
                f"No endpoints found for {asked.models[0]} within the requested max_price.",
                "constraint_filtered",
                list(asked.models),
                constraint={"field": f"provider.max_price.{key}", "detail": f"the lowest price is {price * MILLION:f}"},
            )


def _slugs(names: Any) -> set[str]:
    return {str(name).split("/")[0].lower() for name in names} if isinstance(names, (list, tuple)) else set()


def _price_cap(max_price: Any, key: str) -> Decimal | None:
    """`max_price` is in USD per million tokens, as a number or a string."""
    if max_price is None:
        return None
    value = max_price.get(key) if isinstance(max_price, dict) else max_price
    try:
        return None if value is None else Decimal(str(value))
    except InvalidOperation:
        raise invalid_request(f"Invalid request parameters: provider.max_price.{key} is no number") from None


def prices(model: str, settings: EmulatorSettings) -> tuple[Decimal, Decimal]:
    """Return the USD prices of a prompt and a completion token."""
    free = model.endswith(":free")
    return (Decimal(0), Decimal(0)) if free else (settings.prompt_price, settings.completion_price)


def model_entry(model: str, settings: EmulatorSettings) -> dict[str, Any]:
    """Return a model as `GET /models` lists it."""
    return {
        "id": model,
        "canonical_slug": model,
        "hugging_face_id": model,
        "name": _title(model),
        "created": CREATED,
        "description": "Simulated by the emulator: its answers are no model's.",
        "context_length": settings.context_length,
        "architecture": _architecture(),
        "pricing": _pricing(model, settings),
        "top_provider": {
            "context_length": settings.context_length,
            "max_completion_tokens": settings.max_completion_tokens,
            "is_moderated": False,
        },
        "per_request_limits": None,
        "supported_parameters": list(settings.supported_parameters),
        "supported_voices": None,
        "default_parameters": {},
        "expiration_date": None,
        "links": {"details": f"/api/v1/models/{model}/endpoints"},
    }


def endpoints_entry(model: str, settings: EmulatorSettings) -> dict[str, Any]:
    """Return what `GET /models/{author}/{slug}/endpoints` holds in `data`."""
    endpoint = {
        "name": f"{PROVIDER} | {model}",
        "model_id": model,
        "model_name": _title(model),
        "context_length": settings.context_length,
        "pricing": _pricing(model, settings),
        "provider_name": PROVIDER,
        "tag": PROVIDER,
        "quantization": "bf16",
        "max_completion_tokens": settings.max_completion_tokens,
        "max_prompt_tokens": None,
        "supported_parameters": list(settings.supported_parameters),
        "status": 0,
        "uptime_last_5m": 100.0,
        "uptime_last_30m": 100.0,
        "uptime_last_1d": 100.0,
        "latency_last_30m": None,
        "throughput_last_30m": None,
        "supports_implicit_caching": False,
        "supports_diarization": False,
        "supports_tool_choice": _tool_choice(settings),
        "native_tools": {},
        "service_tier": None,
    }
    entry = model_entry(model, settings)
    kept: Mapping[str, Any] = {key: entry[key] for key in ("id", "name", "created", "description", "architecture")}
    return {**kept, "endpoints": [endpoint]}


def _tool_choice(settings: EmulatorSettings) -> dict[str, bool]:
    return dict.fromkeys(("auto", "function", "none", "required"), "tool_choice" in settings.supported_parameters)


def _title(model: str) -> str:
    author, _, slug = model.partition("/")
    return f"{author.title()}: {slug.replace('-', ' ').replace(':', ' ').title()}"


def _architecture() -> dict[str, Any]:
    return {
        "modality": "text+image->text",
        "input_modalities": ["text", "image"],
        "output_modalities": ["text"],
        "tokenizer": "Gemini",
        "instruct_type": "gemma",
    }


def _pricing(model: str, settings: EmulatorSettings) -> dict[str, Any]:
    prompt, completion = prices(model, settings)
    return {
        "prompt": f"{prompt:f}",
        "completion": f"{completion:f}",
        "request": "0",
        "image": "0",
        "web_search": "0",
        "internal_reasoning": "0",
        "discount": 0,
    }
