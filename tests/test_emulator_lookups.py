"""What can be looked up has every key that OpenRouter's own Python SDK (1.3) requires."""

from __future__ import annotations

import aiohttp
import pytest

from parquill.emulator import Emulator
from tests.emulator_calls import MODEL

REQUIRED = {
    "/models": "data links total_count",
    "/key": "allowed_data_regions budgets byok_usage byok_usage_daily byok_usage_monthly byok_usage_weekly "
    "creator_user_id effective_budget free_model_daily_requests include_byok_in_limit is_free_tier is_management_key "
    "is_provisioning_key label limit limit_remaining limit_reset organization_id rate_limit usage usage_daily "
    "usage_monthly usage_weekly workspace_id",
    "/generation": "api_type app_id cache_discount cancelled created_at data_region external_user finish_reason "
    "generation_time http_referer id is_byok latency model moderation_latency native_finish_reason "
    "native_tokens_cached native_tokens_completion native_tokens_completion_images native_tokens_prompt "
    "native_tokens_reasoning num_fetches num_input_audio_prompt num_media_completion num_media_prompt "
    "num_search_results origin preset_id provider_name provider_responses router service_tier streamed "
    "tokens_completion tokens_prompt total_cost upstream_id upstream_inference_cost usage user_agent "
    "web_search_engine workspace_id",
}
OF_ENDPOINT = (
    "context_length latency_last_30m max_completion_tokens max_prompt_tokens model_id model_name name native_tools "
    "pricing provider_name quantization service_tier supported_parameters supports_diarization "
    "supports_implicit_caching supports_tool_choice tag throughput_last_30m uptime_last_1d uptime_last_30m "
    "uptime_last_5m"
)
OF_MODEL = (
    "architecture canonical_slug context_length created default_parameters id links name per_request_limits pricing "
    "supported_parameters supported_voices top_provider"
)


async def _get(emulator: Emulator, path: str) -> dict[str, object]:
    headers = {"Authorization": f"Bearer {emulator.api_key}"}
    async with aiohttp.ClientSession(headers=headers) as session, session.get(emulator.base_url + path) as reply:
        assert reply.status == 200
        body = await reply.json()
        assert isinstance(body, dict)
        return body


@pytest.mark.parametrize("path", REQUIRED)
async def test_no_required_key_is_missing(path: str) -> None:
    async with Emulator() as emulator:
        asked = {"model": MODEL, "max_tokens": 16, "messages": [{"role": "user", "content": "Hello"}]}
        headers = {"Authorization": f"Bearer {emulator.api_key}"}
        url = f"{emulator.base_url}/chat/completions"
        async with aiohttp.ClientSession(headers=headers) as session, session.post(url, json=asked) as reply:
            generation = (await reply.json())["id"]
        body = await _get(emulator, f"{path}?id={generation}" if path == "/generation" else path)
        found = body if path == "/models" else body["data"]
        assert isinstance(found, dict)
        assert set(REQUIRED[path].split()) <= found.keys()


async def test_models_and_their_endpoints_are_described_in_full() -> None:
    async with Emulator() as emulator:
        models = (await _get(emulator, "/models"))["data"]
        assert isinstance(models, list)
        assert all(set(OF_MODEL.split()) <= model.keys() for model in models)
        data = (await _get(emulator, f"/models/{MODEL}/endpoints"))["data"]
        assert isinstance(data, dict)
        assert all(set(OF_ENDPOINT.split()) <= one.keys() for one in data["endpoints"])
