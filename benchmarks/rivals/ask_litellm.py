"""LiteLLM: `acompletion`, a semaphore, gather over all rows; its price map is the one that it brings."""

from __future__ import annotations

import asyncio
import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it asks the network while it is imported

import litellm
import uvloop
from common import IN_FLIGHT, MAX_TOKENS, MODEL, arguments, messages, write


async def main() -> None:
    rows, base_url, folder = arguments()
    litellm.suppress_debug_info = True
    slots = asyncio.Semaphore(IN_FLIGHT)

    async def ask(row: dict[str, str]) -> str | None:
        async with slots:
            completion = await litellm.acompletion(
                model=f"openai/{MODEL}",
                messages=messages(row),
                max_tokens=MAX_TOKENS,
                temperature=0.0,
                api_base=base_url,
                api_key="none",
                num_retries=3,
            )
        return completion.choices[0].message.content

    write(folder, rows, await asyncio.gather(*(ask(row) for row in rows)))


uvloop.run(main())
