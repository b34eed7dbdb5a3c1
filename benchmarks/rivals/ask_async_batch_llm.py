"""async-batch-llm with all that keeps a run safe: JSONL checkpoint, limiter, cap on money.

Limit and cap are too high to act: what is measured is what they cost, not what they hold back.
"""

from __future__ import annotations

import json
from typing import Any

import uvloop
from async_batch_llm import (
    ArtifactIdentity,
    AttemptUsage,
    GuardrailConfig,
    JsonlArtifactStore,
    LLMWorkItem,
    OpenRouterModel,
    OpenRouterStrategy,
    ParallelBatchProcessor,
    ProcessorConfig,
    ResumePolicy,
)
from common import COMPLETION_PRICE, IN_FLIGHT, MAX_TOKENS, MODEL, PROMPT_PRICE, arguments, messages, write


class Pictures(OpenRouterStrategy):
    """A work item's prompt is a string, so the messages come as JSON."""

    async def execute(self, prompt: str, attempt: int, timeout: float, state: Any = None) -> Any:
        return await super().execute(json.loads(prompt), attempt, timeout, state)


def price(attempt: AttemptUsage) -> float:
    """USD of one attempt."""
    usage = attempt.usage
    return usage.get("input_tokens", 0) * PROMPT_PRICE + usage.get("output_tokens", 0) * COMPLETION_PRICE


async def main() -> None:
    rows, base_url, folder = arguments()
    model = OpenRouterModel.from_api_key(MODEL, "none", base_url=base_url, max_connections=IN_FLIGHT)
    strategy = Pictures(model, temperature=0.0, generation_config={"max_tokens": MAX_TOKENS})
    config = ProcessorConfig(
        concurrency=IN_FLIGHT,
        max_requests_per_minute=10_000_000,
        guardrails=GuardrailConfig(max_total_cost=1000.0, cost_function=price),
    )
    store = JsonlArtifactStore(folder / "checkpoint.jsonl", identity=ArtifactIdentity("lean", MODEL))
    async with ParallelBatchProcessor(
        config=config, artifact_store=store, resume=ResumePolicy.REUSE_SUCCESSES
    ) as processor:
        for row in rows:
            await processor.add_work(LLMWorkItem(row["id"], strategy, json.dumps(messages(row))))
        result = await processor.process_all()
    found = {one.item_id: one.output for one in result.results}
    write(folder, rows, [found.get(row["id"]) for row in rows])


uvloop.run(main())
