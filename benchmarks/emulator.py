"""CPU microseconds that the emulator spends on one chat request, in its own process.

    python -m benchmarks.emulator [requests] [connections]

A client of raw sockets keeps `connections` busy with prebuilt requests, so that almost all
work is the emulator's. Goal: under 250 us for a plain text request.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

import orjson
import psutil

SCHEMA = {
    "type": "object",
    "properties": {
        "caption": {"type": "string"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "contains_text": {"type": "boolean"},
    },
    "required": ["caption", "tags", "contains_text"],
}
SERVER = """
import asyncio, sys
from pathlib import Path
from parquill.emulator import EmulatorSettings, serve
run = asyncio.run
if sys.argv[2] == "uvloop":
    import uvloop
    run = uvloop.run
run(serve(EmulatorSettings(log_path=Path(sys.argv[1])), lambda url: print(url, flush=True)))
"""


def http_request(number: int, *, typed: bool) -> bytes:
    """Return the bytes of one request of about 300 characters of prompt."""
    text = f"Describe product {number} for a shop window, in two plain sentences and without praise. " * 3
    asked: dict[str, object] = {
        "messages": [{"role": "user", "content": text}],
        "model": "google/gemma-3-4b-it",
        "max_tokens": 256,
        "temperature": 0.0,
    }
    if typed:
        asked["response_format"] = {"type": "json_schema", "json_schema": {"name": "caption", "schema": SCHEMA}}
    body = orjson.dumps(asked)
    head = (
        f"POST /api/v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\nContent-Length: {len(body)}"
    )
    return head.encode() + b"\r\nContent-Type: application/json\r\n\r\n" + body


async def drive(port: int, requests: list[bytes], connections: int) -> None:
    """Send all requests, each connection one after the other."""

    async def one(mine: list[bytes]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for request in mine:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
        writer.close()

    await asyncio.gather(*(one(requests[start::connections]) for start in range(connections)))


async def measure(count: int, connections: int, loop: str, *, typed: bool) -> tuple[float, float]:
    """Return CPU microseconds for one request, and requests per second."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = ("-c", SERVER, str(Path(folder) / "bill.jsonl"), loop)
        process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        url = (await process.stdout.readline()).decode()
        port = int(url.split(":")[2].split("/")[0])
        requests = [http_request(number, typed=typed) for number in range(count)]
        await drive(port, requests[:100], connections)
        seen = psutil.Process(process.pid)
        before, began = seen.cpu_times(), time.perf_counter()
        await drive(port, requests, connections)
        after, seconds = seen.cpu_times(), time.perf_counter() - began
        process.terminate()
        await process.wait()
    cpu = after.user + after.system - before.user - before.system
    return cpu / count * 1e6, count / seconds


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    connections = int(sys.argv[2]) if len(sys.argv) > 2 else 64
    print(f"{count} requests over {connections} connections, load {os.getloadavg()[0]:.1f}")
    for loop in ("asyncio", "uvloop"):
        for typed in (False, True):
            cpu, rate = asyncio.run(measure(count, connections, loop, typed=typed))
            print(f"{loop:8} {'json_schema' if typed else 'plain text':12} {cpu:6.0f} us CPU  {rate:6.0f} requests/s")


if __name__ == "__main__":
    main()
