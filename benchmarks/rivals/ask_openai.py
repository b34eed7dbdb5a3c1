"""`openai`: one AsyncOpenAI, a semaphore, gather over all rows.

`python ask_openai.py MANIFEST BASE_URL FOLDER [aiohttp]`: the last word takes the SDK's aiohttp
transport in place of its default one.
"""

from __future__ import annotations

import asyncio
import sys

import openai
import uvloop
from common import IN_FLIGHT, MAX_TOKENS, MODEL, arguments, messages, write


async def main() -> None:
    rows, base_url, folder = arguments()
    transport = openai.DefaultAioHttpClient() if "aiohttp" in sys.argv[4:] else None
    slots = asyncio.Semaphore(IN_FLIGHT)
    async with openai.AsyncOpenAI(base_url=base_url, api_key="none", http_client=transport) as client:

        async def ask(row: dict[str, str]) -> str | None:
            async with slots:
                completion = await client.chat.completions.create(
                    model=MODEL, messages=messages(row), max_tokens=MAX_TOKENS, temperature=0.0
                )
            return completion.choices[0].message.content

        answers = await asyncio.gather(*(ask(row) for row in rows))
    write(folder, rows, answers)


uvloop.run(main())
