"""The emulator's bill: one line for each request, whole after a kill."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from decimal import Decimal

import aiohttp
import pytest

from parquill.emulator import iter_log, read_log
from parquill.money import PICO
from tests.emulator_calls import Caller, calling

HOST = """
import asyncio, sys
from pathlib import Path
from parquill.emulator import EmulatorSettings, Spread, serve
settings = EmulatorSettings(log_path=Path(sys.argv[1]), latency=Spread(float(sys.argv[2])))
asyncio.run(serve(settings, lambda url: print(url, flush=True)))
"""


class Hosted:
    """An emulator in a process of its own; has what `Caller` asks of one."""

    api_key = "any"

    def __init__(self, process: asyncio.subprocess.Process, base_url: str) -> None:
        self.process = process
        self.base_url = base_url


async def hosted(path, latency: float = 0.0) -> Hosted:
    arguments = ("-c", HOST, str(path), str(latency))
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    return Hosted(process, (await process.stdout.readline()).decode().strip())


async def test_each_request_leaves_one_line_and_the_sums_agree(tmp_path):
    path = tmp_path / "deep" / "bill.jsonl"
    async with calling(log_path=path, requests_per_minute=4, api_keys=("sk-good",)) as caller:
        replies = [await caller.ask("same") for _ in range(3)] + [await caller.ask("other") for _ in range(2)]
        await caller.ask(max_tokens=0)
        await caller.ask(key=None)
        stats = caller.emulator.stats()
    totals, entries = read_log(path), list(iter_log(path))
    assert [entry.status for entry in entries] == [200, 200, 200, 200, 429, 400, 401]
    assert totals.requests == 7 == stats.requests and totals.by_status == {200: 4, 429: 1, 400: 1, 401: 1}
    assert sorted(totals.by_body.values()) == [1, 3]
    assert totals.billed_pico == stats.billed_pico == sum(entry.cost_pico for entry in entries)
    assert sum(Decimal(entry.cost_usd) for entry in entries) * PICO == totals.billed_pico
    assert [entry.generation_id for entry in entries[:5]] == [reply.headers["X-Generation-Id"] for reply in replies]
    usage = [reply.json["usage"] for reply in replies[:4]]
    assert totals.prompt_tokens == sum(one["prompt_tokens"] for one in usage)
    assert totals.completion_tokens == sum(one["completion_tokens"] for one in usage)


async def test_no_key_and_no_text_stands_in_it(tmp_path):
    async with calling(log_path=tmp_path / "bill") as caller:
        await caller.ask("a private question", key="sk-or-v1-secret")
    written = (tmp_path / "bill").read_text()
    assert "secret" not in written and "private" not in written and '"key":"key-' in written


async def test_several_runs_append_and_a_torn_line_is_closed_and_passed_over(tmp_path):
    path = tmp_path / "bill"
    for _ in range(2):
        async with calling(log_path=path) as caller:
            await caller.ask()
        with path.open("ab") as file:
            file.write(b'{"time":179000')
    async with calling(log_path=path) as caller:
        await caller.ask()
    totals = read_log(path)
    assert (totals.requests, totals.torn_lines) == (3, 2)
    assert list(totals.by_body.values()) == [3] and len(list(iter_log(path))) == 3


async def test_what_was_accepted_is_on_the_bill_after_kill_9(tmp_path):
    path = tmp_path / "bill"
    host = await hosted(path, latency=60.0)
    async with aiohttp.ClientSession() as session:
        caller = Caller(host, session)
        asking = [asyncio.create_task(caller.ask(f"{number}")) for number in range(20)]
        while not path.exists() or path.read_bytes().count(b"\n") < 20:
            await asyncio.wait(asking, timeout=0.01)
        host.process.send_signal(signal.SIGKILL)
        await host.process.wait()
        outcomes = await asyncio.gather(*asking, return_exceptions=True)
    assert all(isinstance(outcome, aiohttp.ClientError) for outcome in outcomes)
    totals = read_log(path)
    assert (totals.requests, totals.billed_requests, totals.torn_lines) == (20, 20, 0)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
async def test_a_signal_ends_it_cleanly_with_requests_still_running(name, tmp_path):
    host = await hosted(tmp_path / "bill", latency=60.0)
    async with aiohttp.ClientSession() as session:
        asking = asyncio.create_task(Caller(host, session).ask())
        while not (tmp_path / "bill").read_bytes():
            await asyncio.wait([asking], timeout=0.01)
        host.process.send_signal(getattr(signal, name))
        assert await host.process.wait() == 0
        with pytest.raises(aiohttp.ClientError):
            await asking


async def test_lines_are_json_with_the_documented_fields(tmp_path):
    async with calling(log_path=tmp_path / "bill") as caller:
        await caller.ask()
    line = json.loads((tmp_path / "bill").read_text())
    assert set(line) == {
        *("time", "generation_id", "status", "kind", "model", "body", "text"),
        *("prompt_tokens", "completion_tokens", "cost_pico", "cost_usd", "key"),
    }
    assert len(line["body"]) == 16 and len(line["text"]) == 8


async def test_a_client_that_breaks_off_its_own_request_leaves_no_line(tmp_path, caplog):
    async with calling(log_path=tmp_path / "bill") as caller:
        port = int(caller.emulator.base_url.split(":")[2].split("/")[0])
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\nContent-Length: 500\r\n\r\n{"
        )
        writer.write(head.encode())
        await writer.drain()
        while not caller.emulator.stats().running:
            await asyncio.sleep(0)
        writer.close()
        while caller.emulator.stats().running:
            await asyncio.sleep(0)
        assert (await caller.ask()).status == 200
    assert read_log(tmp_path / "bill").requests == 1
    assert not caplog.records
