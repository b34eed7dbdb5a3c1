"""What can be asked of the emulator with GET: models, key, credits, generations.

Every reply has all the keys that OpenRouter's own Python SDK (1.3) requires, null where the
emulator has nothing to say.
"""

from __future__ import annotations

import datetime as dt
from typing import Any
from urllib.parse import unquote

from parquill.emulator import dialects
from parquill.emulator.account import midnight
from parquill.emulator.catalogue import endpoints_entry, model_entry
from parquill.emulator.error_replies import classic
from parquill.emulator.server_state import Generation, ServerState
from parquill.emulator.settings import EmulatorSettings
from parquill.emulator.wire import PROVIDER
from parquill.money import PICO


def look_up(state: ServerState, path: str, authorization: str | None, generation_id: str) -> Any:
    """Return the body of a GET below the API's root; raises the `ErrorReply` it deserves.

    Models need no key. `generation_id` is the query's `id`.
    """
    settings = state.settings
    if settings.dialect != "openrouter":
        if path == "/models":
            return dialects.model_list(settings)
        raise classic(404, f"No such route: GET /v1{path}", error_type="not_found")
    if path in ("/models", "/models/user"):
        models = [model_entry(model, settings) for model in settings.models]
        return {"data": models, "links": {"next": None}, "total_count": len(models)}
    return {"data": _one(state, path, authorization, generation_id)}


def _one(state: ServerState, path: str, authorization: str | None, generation_id: str) -> dict[str, Any]:
    settings = state.settings
    if path.startswith("/models/") and path.endswith("/endpoints"):
        return endpoints_entry(_known(path[len("/models/") : -len("/endpoints")], settings), settings)
    if path.startswith("/model/"):
        return model_entry(_known(path[len("/model/") :], settings), settings)
    if path in ("/key", "/credits", "/generation"):
        label = state.account.authorize(authorization)
        if path == "/key":
            return _key(state, label)
        return _credits(state) if path == "/credits" else _generation(state, generation_id)
    raise classic(404, f"No such route: GET {path}", error_type="not_found")


def _known(quoted: str, settings: EmulatorSettings) -> str:
    model = unquote(quoted)
    if model not in settings.models:
        raise classic(404, f"Model {model} not found", error_type="not_found")
    return model


def _key(state: ServerState, label: str) -> dict[str, Any]:
    account, settings = state.account, state.settings
    used, limit = account.used_pico / PICO, settings.key_limit_usd
    free_limit, free_used = settings.free_requests_per_day, state.limits.free_used_today()
    return {
        "label": label,
        "limit": None if limit is None else float(limit),
        "limit_remaining": None if limit is None else account.remaining(limit) / PICO,
        "limit_reset": None,
        "include_byok_in_limit": False,
        "usage": used,
        "usage_daily": used,
        "usage_weekly": used,
        "usage_monthly": used,
        "byok_usage": 0,
        "byok_usage_daily": 0,
        "byok_usage_weekly": 0,
        "byok_usage_monthly": 0,
        "allowed_data_regions": ["global"],
        "creator_user_id": None,
        "organization_id": None,
        "workspace_id": None,
        "is_free_tier": False,
        "is_management_key": settings.management_key,
        "is_provisioning_key": settings.management_key,
        "expires_at": None,
        "rate_limit": {"requests": -1, "interval": "10s", "note": "This field is deprecated and safe to ignore."},
        "free_model_daily_requests": {
            "used": free_used,
            "limit": free_limit,
            "remaining": None if free_limit is None else max(0, free_limit - free_used),
        },
        "budgets": [],
        "effective_budget": _budget(state),
    }


def _budget(state: ServerState) -> dict[str, Any] | None:
    limit = state.settings.guardrail_usd
    if limit is None:
        return None
    return {
        "scope": "guardrail",
        "limit_usd": float(limit),
        "spend_usd": state.account.used_pico / PICO,
        "remaining_usd": state.account.remaining(limit) / PICO,
        "reset_interval": "daily",
        "resets_at": midnight(state.clock.wall()),
    }


def _credits(state: ServerState) -> dict[str, Any]:
    credit = state.settings.credit_usd
    if not state.settings.management_key:
        raise classic(403, "Only management keys can perform this operation", error_type="permission_denied")
    return {
        "total_credits": None if credit is None else float(credit),
        "total_usage": state.account.used_pico / PICO,
    }


def _generation(state: ServerState, generation_id: str) -> dict[str, Any]:
    known = state.generations.get(generation_id)
    if known is None or state.clock.monotonic() - known.born < state.settings.generation_delay:
        raise classic(404, f"Generation {generation_id} not found", error_type="not_found")
    return _described(known)


def _described(known: Generation) -> dict[str, Any]:
    entry, cost = known.entry, known.entry.cost_pico / PICO
    return {
        "id": entry.generation_id,
        "upstream_id": None,
        "model": entry.model,
        "provider_name": PROVIDER,
        "created_at": dt.datetime.fromtimestamp(entry.time, dt.UTC).isoformat(timespec="milliseconds"),
        "streamed": known.streamed,
        "cancelled": False,
        "finish_reason": known.finish_reason,
        "native_finish_reason": known.finish_reason,
        "total_cost": cost,
        "usage": cost,
        "upstream_inference_cost": 0,
        "cache_discount": None,
        "is_byok": False,
        "tokens_prompt": entry.prompt_tokens,
        "tokens_completion": entry.completion_tokens,
        "native_tokens_prompt": entry.prompt_tokens,
        "native_tokens_completion": entry.completion_tokens,
        "native_tokens_reasoning": 0,
        "native_tokens_cached": 0,
        "api_type": "completions",
        "data_region": "global",
        "origin": "",
        **dict.fromkeys(_UNTOLD),
    }


_UNTOLD = (
    "app_id",
    "external_user",
    "generation_time",
    "http_referer",
    "latency",
    "moderation_latency",
    "native_tokens_completion_images",
    "num_fetches",
    "num_input_audio_prompt",
    "num_media_completion",
    "num_media_prompt",
    "num_search_results",
    "preset_id",
    "provider_responses",
    "router",
    "service_tier",
    "user_agent",
    "web_search_engine",
    "workspace_id",
)
"""What OpenRouter tells of a generation and the emulator does not know."""
