"""flexllm with its checkpoint and its cost tracking on."""

from __future__ import annotations

import datetime
import json
import os
import sys

# It would fetch newer prices in the background; with some of today in its home it does not.
os.environ["HOME"] = sys.argv[3]

import uvloop
from common import COMPLETION_PRICE, IN_FLIGHT, MAX_TOKENS, MODEL, PROMPT_PRICE, arguments, messages, write
from flexllm import OpenAIClient


async def main() -> None:
    rows, base_url, folder = arguments()
    prices = {"input": PROMPT_PRICE * 1e6, "output": COMPLETION_PRICE * 1e6}
    (folder / ".flexllm").mkdir(exist_ok=True)
    (folder / ".flexllm" / "pricing_data.json").write_text(
        json.dumps({"_meta": {"updated_at": str(datetime.date.today())}, "models": {"gemma-3-4b-it": prices}})
    )
    client = OpenAIClient(
        base_url=base_url,
        api_key="none",
        model=MODEL,
        concurrency_limit=IN_FLIGHT,
        max_qps=1_000_000,
        cost_tracker=True,
    )
    result = await client.chat_batch(
        [messages(row) for row in rows],
        show_progress=False,
        track_cost=True,
        output_jsonl=str(folder / "checkpoint.jsonl"),
        max_tokens=MAX_TOKENS,
        temperature=0.0,
    )
    write(folder, rows, [one.content for one in result])


uvloop.run(main())
