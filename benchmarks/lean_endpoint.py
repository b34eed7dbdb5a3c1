"""The cheapest endpoint that a benchmark can ask: one asyncio Protocol in a process of its own.

It reads a request's length, waits `latency` seconds and sends the same completion every time:
some 20 us of CPU a request, so that what is measured is the client. `/models/…/endpoints`
gives a price, so that budgets and costs are on.

    python -m benchmarks.lean_endpoint PORT LATENCY_SECONDS
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import cast

import uvloop

ANSWER = {
    "caption": "A white cup of espresso on a wooden table, beside it a spoon and a glass of water.",
    "tags": ["coffee", "cup", "table", "spoon"],
    "dominant_colours": ["white", "brown"],
    "contains_text": False,
    "language": "en",
}
COMPLETION = {
    "id": "gen-1768414327-n9nnQrvnhHU8HF0oRVKq",
    "provider": "Lean",
    "model": "google/gemma-3-4b-it",
    "object": "chat.completion",
    "created": 1768414327,
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "native_finish_reason": "stop",
            "message": {"role": "assistant", "content": json.dumps(ANSWER), "refusal": None},
        }
    ],
    "usage": {"prompt_tokens": 120, "completion_tokens": 60, "total_tokens": 180, "cost": 0.0000048},
}
OFFER = {
    "data": {
        "id": "google/gemma-3-4b-it",
        "endpoints": [
            {
                "provider_name": "Lean",
                "tag": "lean",
                "context_length": 131072,
                "max_completion_tokens": 16384,
                "supported_parameters": ["max_tokens", "temperature", "response_format", "structured_outputs"],
                "pricing": {"prompt": "0.00000002", "completion": "0.00000004"},
                "status": 0,
            }
        ],
    }
}


def _reply(body: object) -> bytes:
    data = json.dumps(body).encode()
    return (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Generation-Id: gen-1\r\nContent-Length: "
        + str(len(data)).encode()
        + b"\r\n\r\n"
        + data
    )


CHAT, OFFERS = _reply(COMPLETION), _reply(OFFER)


class Lean(asyncio.Protocol):
    """One connection; requests may come in pieces, but not before the last was answered."""

    latency = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are none by inheritance
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head = self.buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        at = self.buffer.lower().find(b"content-length:", 0, head)
        length = int(self.buffer[at + 15 : self.buffer.find(b"\r\n", at)]) if at >= 0 else 0
        if len(self.buffer) < head + 4 + length:
            return
        reply = OFFERS if self.buffer.startswith(b"GET") else CHAT
        self.buffer = self.buffer[head + 4 + length :]
        if self.latency and reply is CHAT:
            asyncio.get_running_loop().call_later(self.latency, self.transport.write, reply)
        else:
            self.transport.write(reply)


async def serve(port: int, latency: float) -> None:
    """Serve on loopback until the process is ended."""
    Lean.latency = latency
    server = await asyncio.get_running_loop().create_server(Lean, "127.0.0.1", port, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), float(sys.argv[2])))
