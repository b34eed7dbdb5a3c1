"""Shared runs whose processes are machines of their own: what one cannot see of another is booked at its worst."""

from __future__ import annotations

import asyncio
import contextlib
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from parquill import load_job
from parquill.clock import SystemClock
from parquill.emulator import Emulator, EmulatorSettings, Spread, iter_log, read_log
from parquill.errors import JobError, OutputError, Stop
from parquill.job import state_home
from parquill.ledger import ReadOnlyLedger
from parquill.planning.selection import EVERY
from parquill.portions import share_among, share_here
from parquill.portions.mailbox import LEASE, Mailbox, PortionProgress
from parquill.portions.work_order import Handover, WorkOrder, order_of
from parquill.running import run_job
from parquill.summary import RunSummary
from parquill.verification import verify_job
from parquill.workspace import Workspace
from tests.orchestration.small_jobs import small_job
from tests.portions.forked_pool import ForkedPool

KEY = "sk-or-v1-0123456789"
IN_FLIGHT = 4


@pytest.fixture(scope="module")
def bucket() -> Iterator[Callable[[str], str]]:
    """A bucket of a store on this machine, whose key stands in the environment: a path in it -> its URI."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    urllib.request.urlopen(urllib.request.Request(f"http://{host}:{port}/bucket", method="PUT")).close()
    yield lambda path: f"s3://bucket/{path}?scheme=http&endpoint_override={host}:{port}&region=us-east-1"
    server.stop()


@pytest.fixture(autouse=True)
def first_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is a machine too."""
    environment = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "hush", "SOME_KEY": KEY}
    for name, value in {**environment, "XDG_STATE_HOME": str(tmp_path / "first")}.items():
        monkeypatch.setenv(name, value)


class Machines(ForkedPool):
    """Workers that each run on a machine of their own: no other process sees their files."""

    def __init__(self, folder: Path, *, keys: Sequence[str] = (), dies: Callable[[], bool] | None = None) -> None:
        """`keys`: those of the first machines, the others have the right one; `dies`: when the first one does."""
        super().__init__(
            lambda number: {
                "XDG_STATE_HOME": str(folder / f"machine-{number}"),
                "SOME_KEY": keys[number] if number < len(keys) else KEY,
            }
        )
        self._dies = dies

    async def work(self, mailboxes: Sequence[Mailbox], commission: Handover) -> None:
        async with asyncio.TaskGroup() as both:
            dying = both.create_task(self._kill_the_first()) if self._dies is not None and not self.rounds else None
            await super().work(mailboxes, commission)
            if dying is not None:
                dying.cancel()

    async def _kill_the_first(self) -> None:
        assert self._dies is not None
        while not self._dies():
            await SystemClock().sleep(0.02)
        self.processes[0].kill()


class Blind:
    """Workers that cannot read their orders."""

    rounds = 0

    async def work(self, posts: Sequence[Mailbox], commission: Handover) -> None:
        self.rounds += 1


@contextlib.asynccontextmanager
async def shared(
    folder: Path, rows: int, latency: float = 0.0, **sections: Any
) -> AsyncIterator[tuple[dict[str, Any], Emulator]]:
    """A job for two processes, and an endpoint that keeps its bill and knows one key."""
    settings = EmulatorSettings(latency=Spread(latency), log_path=folder / "bill.jsonl", api_keys=(KEY,))
    async with Emulator(settings) as emulator:
        model = {"endpoint": emulator.base_url, "api_key_env": "SOME_KEY"}
        asked = {"run": {"workers": 2}, "limits": {"max_in_flight": IN_FLIGHT}}
        yield small_job(folder, rows=rows, model=model, **{**asked, **sections}), emulator


async def run(job: dict[str, Any], worker_pool: Machines | Blind) -> RunSummary:
    loaded = load_job(job)
    return await run_job(loaded, spread=share_among(loaded, worker_pool))


def bill(folder: Path) -> Counter[str]:
    return Counter(entry.body for entry in iter_log(folder / "bill.jsonl"))


def ledger_of(output: str) -> Path:
    return Workspace.of(output, state_home()).ledger


async def test_a_machine_that_dies_costs_its_share_and_its_rows_are_shared_out_once_more(
    tmp_path: Path, bucket: Callable[[str], str]
) -> None:
    cap, output = 10**9, bucket("lost/out")
    async with shared(tmp_path, 40, 0.2, budget={"usd": "0.001"}, output={"path": output}) as (job, emulator):
        worker_pool = Machines(tmp_path, dies=lambda: emulator.stats().requests >= 8)
        summary = await run(job, worker_pool)
        verification = verify_job(load_job(job))

    assert worker_pool.rounds == [2, 1, 2], "a second machine cannot go on with it; then both halve what is left of it"
    assert summary.rows.ok == 40
    assert verification.holds, verification.findings
    with ReadOnlyLedger.at(ledger_of(output)) as ledger:
        assert ledger is not None
        booked = ledger.totals()
    assert booked.doubt_pico == cap // 2, "the share of the machine that died"
    assert read_log(tmp_path / "bill.jsonl").billed_pico <= booked.pico <= cap
    assert 0 < sum(bill(tmp_path).values()) - 40 <= 20, "only rows of the lost portion were asked twice"


@pytest.mark.parametrize("silent", [LEASE - 10, LEASE + 1])
async def test_a_machine_whose_run_died_is_left_alone_until_it_has_been_silent_for_a_minute(
    tmp_path: Path, bucket: Callable[[str], str], silent: float
) -> None:
    output, place, share = bucket(f"dead-{silent}/out"), bucket(f"dead-{silent}/out.portions/one"), "0.001"
    async with shared(tmp_path, 6, budget={"usd": "0.002"}, output={"path": output}) as (job, emulator):
        loaded = load_job({**job, "run": {}})
        portion = {**job, "budget": {"usd": share}, "output": {"path": bucket(f"dead-{silent}/out.portions/one/out")}}
        rows = {"manifest.000000.parquet": EVERY}
        order = WorkOrder("one", place, 1, order_of(load_job(portion)), rows, False)
        mailbox, kept = Mailbox(place), Workspace.of(output, state_home()).portions
        kept.mkdir(parents=True)
        (kept / "one.json").write_bytes(order.dump())
        mailbox.open(order)
        mailbox.begin()
        mailbox.show(PortionProgress(at=SystemClock().wall() - silent))
        if silent < LEASE:
            with pytest.raises(OutputError, match="another machine is still asking rows of the run before"):
                await run_job(loaded)
            assert emulator.stats().requests == 0
            return
        summary = await run_job(loaded)

    assert summary.rows.ok == 6
    with ReadOnlyLedger.at(ledger_of(output)) as ledger:
        assert ledger is not None
        assert ledger.totals().pico == 10**9 + read_log(tmp_path / "bill.jsonl").billed_pico
    assert list(kept.iterdir()) == []


async def test_where_no_machine_sees_the_run_it_asks_every_row_itself(tmp_path: Path) -> None:
    worker_pool = Blind()
    async with shared(tmp_path, 40, budget={"usd": "0.001"}) as (job, _):
        summary = await run(job, worker_pool)
        verification = verify_job(load_job(job))

    assert (summary.rows.ok, summary.requests, summary.in_doubt_pico) == (40, 40, 0)
    assert worker_pool.rounds == 4, "each portion was given out twice, and shared out twice"
    assert verification.holds


async def test_a_key_that_one_machine_is_refused_stops_them_all(tmp_path: Path) -> None:
    async with shared(tmp_path, 400, 0.1) as (job, _):
        worker_pool = Machines(tmp_path, keys=["sk-or-v1-wrong"])
        summary = await run(job, worker_pool)
        asked = bill(tmp_path)
        finished = await run_job(load_job({**job, "run": {}, "limits": {"max_in_flight": 100}}))
        verification = verify_job(load_job(job))

    assert summary.stopped_by is Stop.REFUSED
    assert summary.exit_status == 5
    assert summary.rows.failed == 0
    assert summary.rows.ok == 200 - (summary.rows.not_attempted - 200) < 200
    assert worker_pool.rounds == [2], "no process is started again"
    assert finished.rows.ok == 400
    assert verification.holds, verification.findings
    assert asked.keys() < bill(tmp_path).keys()


@pytest.mark.parametrize(
    ("section", "place", "shown"),
    [
        ("output", "s3://name:hush@bucket/out", r"s3://\*\*\*@bucket/out .*AWS_ACCESS_KEY_ID"),
        ("output", "s3://bucket/out?access_key=name&secret_key=hush", "s3://bucket/out.*AWS_ACCESS_KEY_ID"),
        ("manifest", "az://account:hush@box/in", r"az://\*\*\*@box/in .*AZURE_CLIENT_ID"),
    ],
)
def test_a_key_in_a_path_is_refused_where_other_processes_get_it(section: str, place: str, shown: str) -> None:
    job = {"name": "told", "manifest": {"path": "in"}, "prompt": {"user": "x"}, "output": {"path": "out"}}
    with pytest.raises(JobError, match=rf"^{section}\.path: {shown}") as refused:
        share_here(load_job({**job, section: {"path": place}, "run": {"workers": 2}}))
    assert "hush" not in str(refused.value)
    assert share_here(load_job({**job, section: {"path": place}})) is None
