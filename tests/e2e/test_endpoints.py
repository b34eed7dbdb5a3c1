"""Runs with several endpoints at once: real servers with limits, keys and faults of their own."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from parquill.doctor import examine_each, render_diagnoses
from parquill.emulator import Emulator, EmulatorSettings, Misbehaviour, Spread, iter_log
from parquill.errors import JobError, Stop
from parquill.estimation import estimate_job
from parquill.observers import Stoppable, Watched
from tests.e2e.gateway import Gateway, Said, gateway
from tests.e2e.kit import KEY_NAME, Rehearsal, rehearsal, rows, until
from tests.portions.forked_pool import run_shared

REFUSED = Said(401, {"error": {"message": "User not found.", "code": 401}})
NO_MODEL = Said(404, {"error": {"message": "The model `tiny` does not exist", "code": "model_not_found"}})
UNUSED = "http://127.0.0.1:9/v1"
PRICE = {"prompt": "0.000001", "completion": "0.000002"}


@asynccontextmanager
async def several(
    folder: Path, *servers: dict[str, Any], **sections: Any
) -> AsyncIterator[tuple[Rehearsal, list[Emulator]]]:
    """A job with as many emulators; `servers` are their settings, and `endpoint` what the job says of each."""
    async with contextlib.AsyncExitStack() as stack:
        emulators, named = [], []
        for number, one in enumerate(servers):
            told = {"api_key_env": KEY_NAME, **one.pop("endpoint", {})}
            settings = EmulatorSettings(**{"log_path": folder / f"bill{number}.jsonl", **one})
            folder.mkdir(parents=True, exist_ok=True)
            emulators.append(await stack.enter_async_context(Emulator(settings)))
            named.append({"base_url": emulators[-1].base_url, **told})
        yield listed(folder, emulators[0], named, sections), emulators


class Listed(Rehearsal):
    """A job whose `model.endpoints` are given."""

    def source(self, **sections: Any) -> dict[str, Any]:
        job = super().source(**sections)
        if "endpoints" in job["model"]:
            job["model"] = {key: one for key, one in job["model"].items() if key not in {"endpoint", "api_key_env"}}
        return job


def listed(folder: Path, emulator: Any, endpoints: list[dict[str, Any]], sections: dict[str, Any]) -> Listed:
    model = {"endpoints": endpoints, **sections.pop("model", {})}
    return Listed(folder, emulator, {"model": model, **sections})


@asynccontextmanager
async def gateways(
    folder: Path, *replies: Callable[[str], Said], **sections: Any
) -> AsyncIterator[tuple[Listed, list[Gateway]]]:
    """A job with as many gateways, that reply so."""
    async with contextlib.AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(gateway(reply)) for reply in replies]
        endpoints = [{"base_url": one.url} for one in servers]
        model = {"price": PRICE, **sections.pop("model", {})}
        yield listed(folder, SimpleNamespace(base_url=UNUSED), endpoints, {"model": model, **sections}), servers


def asked(emulators: list[Emulator]) -> list[int]:
    return [one.stats().requests for one in emulators]


def bills(folder: Path, count: int) -> list[Any]:
    paths = [folder / f"bill{number}.jsonl" for number in range(count)]
    return [entry for path in paths if path.exists() for entry in iter_log(path)]


async def test_every_row_is_answered_once_and_each_server_gets_its_weight(tmp_path: Path) -> None:
    limits = {"limits": {"max_in_flight": 100}}
    servers = [{"latency": Spread(0.05), "endpoint": {"weight": weight, **limits}} for weight in (3, 1)]
    async with several(tmp_path, *servers) as (run, emulators):
        run.write(rows(80))
        summary = await run.run()
        assert (summary.rows.ok, summary.requests, summary.exit_status) == (80, 80, 0)
        assert asked(emulators) == [60, 20]
        assert run.column("id") == rows(80)["id"]
        assert summary.cost_pico == sum(one.stats().billed_pico for one in emulators)
        await run.must_hold()
        assert (await run.run()).requests == 0


async def test_another_list_of_endpoints_asks_no_row_again(tmp_path: Path) -> None:
    async with several(tmp_path, {}, {}, {}) as (run, emulators):
        run.write(rows(30))
        await run.run()
        fingerprints, before = run.column("fingerprint"), asked(emulators)
        endpoints = run.source()["model"]["endpoints"]
        for fewer in (endpoints[:1], list(reversed(endpoints)), [{**one, "weight": 7} for one in endpoints[1:]]):
            assert (await run.run(model={"endpoints": fewer})).requests == 0
        alone = {"endpoint": emulators[1].base_url, "api_key_env": KEY_NAME, "endpoints": None}
        assert (await Rehearsal.run(Rehearsal(run.folder, emulators[0], {"model": alone}))).requests == 0
        assert (run.column("fingerprint"), asked(emulators)) == (fingerprints, before)
        await run.must_hold()


async def test_each_servers_limit_holds_without_one_429(tmp_path: Path) -> None:
    """A server counts in every window of a minute, as strictly as any; its own log says what came when."""
    rates = (600, 1200)
    servers = [
        {"requests_per_minute": rate, "window": "sliding", "endpoint": {"limits": {"requests_per_minute": rate}}}
        for rate in rates
    ]
    async with several(tmp_path, *servers) as (run, emulators):
        run.write(rows(60))
        summary = await run.run()
        assert summary.rows.ok == 60
        assert [one.stats().rate_limited for one in emulators] == [0, 0]
        shares = asked(emulators)
        assert sum(shares) == 60
        assert shares[1] == pytest.approx(2 * shares[0], rel=0.25), "the pace of each is kept, and used"


async def test_a_server_that_dies_and_comes_back_costs_no_row(tmp_path: Path) -> None:
    state = {"down": False}

    def shaky(_: str) -> Said:
        return Said(502, "<html>Bad Gateway</html>") if state["down"] else Said(seconds=0.005)

    replies = shaky, lambda _: Said(seconds=0.005)
    async with gateways(tmp_path, *replies, limits={"max_in_flight": 2}) as (run, (first, _)):
        run.write(rows(600))

        @asynccontextmanager
        async def attach(_: Stoppable, watch: Watched) -> AsyncIterator[None]:
            async def breaks() -> None:
                await until(lambda: watch.state().done >= 100)
                state["down"] = True
                await until(lambda: watch.state().done >= 200)
                at = len(first.texts)
                assert first.url in (watch.state().message or "")
                await until(lambda: watch.state().done >= 300)
                assert len(first.texts) <= at + 1, "it rests: its share goes to the other"
                state["down"] = False

            breaking = asyncio.create_task(breaks())
            yield
            await breaking

        summary = await run.run(attach=attach)
        assert (summary.rows.ok, summary.exit_status) == (600, 0)
        assert max(run.column("attempts")) <= 3
        await run.must_hold()


@pytest.mark.parametrize("said", [REFUSED, NO_MODEL], ids=["a bad key", "no such model"])
async def test_an_endpoint_that_refuses_is_left_out_with_its_words_and_the_run_goes_on(
    said: Said, tmp_path: Path
) -> None:
    replies = lambda _: said, lambda _: Said(seconds=0.002)
    async with gateways(tmp_path, *replies, limits={"max_in_flight": 4}) as (run, (bad, _)):
        run.write(rows(120))
        summary = await run.run()
        assert (summary.rows.ok, summary.rows.failed, summary.exit_status) == (120, 0, 0)
        assert 10 <= len(bad.texts) <= 10 + 4 * 4
        (notice,) = [one for one in summary.notices if bad.url in one]
        assert "left out" in notice
        assert said.body["error"]["message"] in notice
        assert sum(run.column("attempts")) == summary.requests == 120 + len(bad.texts)
        await run.must_hold()


@pytest.mark.parametrize("count", [1, 4, 200])
async def test_a_run_is_refused_only_when_no_endpoint_is_left(count: int, tmp_path: Path) -> None:
    replies = lambda _: REFUSED, lambda _: NO_MODEL
    async with gateways(tmp_path, *replies, limits={"max_in_flight": 4}) as (run, (first, second)):
        run.write(rows(count))
        summary = await run.run()
        assert (summary.stopped_by, summary.exit_status) == (Stop.REFUSED, 5)
        assert (summary.rows.failed, summary.rows.not_attempted) == (0, count)
        for one, words in ((first, "User not found."), (second, "does not exist")):
            assert one.url in (summary.stop_message or "")
            assert words in (summary.stop_message or "")
        await run.must_hold()
        assert len(first.texts) + len(second.texts) <= 40


@pytest.mark.parametrize("bad", [[0], [30], [57, 58, 59], [5, 25, 45]])
async def test_a_row_that_every_endpoint_refuses_for_its_content_fails_alone(bad: list[int], tmp_path: Path) -> None:
    texts = {rows(60)["text"][number] for number in bad}
    terms = Said(403, {"error": {"message": "The request is prohibited by the Terms Of Service.", "code": 403}})

    def reply(text: str) -> Said:
        return terms if text in texts else Said()

    replies = reply, reply
    async with gateways(tmp_path, *replies, limits={"max_in_flight": 4}) as (run, _):
        run.write(rows(60))
        summary = await run.run()
        assert (summary.exit_status, summary.rows.ok, summary.rows.failed) == (3, 60 - len(bad), len(bad))
        assert {run.column("error_kind")[number] for number in bad} == {"refused"}
        assert not any("left out" in one for one in summary.notices)
        await run.must_hold()


async def test_a_row_that_one_endpoint_refuses_is_answered_by_another(tmp_path: Path) -> None:
    texts = {rows(40)["text"][number] for number in (3, 17)}
    no = Said(403, {"error": {"message": "Not here.", "code": 403}})
    replies = lambda text: no if text in texts else Said(), lambda _: Said()
    async with gateways(tmp_path, *replies, limits={"max_in_flight": 1}) as (run, _):
        run.write(rows(40))
        assert (await run.run()).rows.ok == 40


async def test_a_slow_endpoint_does_not_hold_back_a_fast_one(tmp_path: Path) -> None:
    replies = lambda _: Said(seconds=0.4), lambda _: Said(seconds=0.005)
    async with gateways(tmp_path, *replies, limits={"max_in_flight": 2}) as (run, (slow, fast)):
        run.write(rows(150))
        assert (await run.run()).rows.ok == 150
        assert len(slow.texts) < 0.2 * len(fast.texts)


@pytest.mark.parametrize("seed", [1, 2])
async def test_the_budget_of_all_is_never_passed_by_the_sum_of_the_servers_own_bills(seed: int, tmp_path: Path) -> None:
    storm = {Misbehaviour.SERVER_ERROR: 0.1, Misbehaviour.RESET_LATE: 0.1, Misbehaviour.ERROR_IN_200: 0.1}
    prices = [Decimal("0.00000002"), Decimal("0.00000008")]
    servers = [{"misbehaviour": storm, "seed": seed, "prompt_price": one, "completion_price": one} for one in prices]
    budget = {"usd": "0.0002"}
    async with several(tmp_path, *servers, budget=budget) as (run, emulators):
        run.write(rows(300))
        summary = await run.run()
        assert summary.stopped_by is Stop.BUDGET
        billed = sum(one.stats().billed_pico for one in emulators)
        assert billed <= summary.cost_pico <= Decimal(budget["usd"]) * 10**12
        assert summary.cost_pico > 0.7 * 2e8, "it is used"
        assert min(asked(emulators)) > 0
        await run.must_hold()
        assert (await run.run()).requests == 0


async def test_a_run_that_was_killed_goes_on_and_pays_only_what_was_under_way_twice(tmp_path: Path) -> None:
    servers = [{"latency": Spread(0.03)}, {"latency": Spread(0.05)}]
    async with several(tmp_path, *servers, limits={"max_in_flight": 4}) as (run, emulators):
        run.write(rows(120))
        process = run.fork("run", "--quiet")
        await until(lambda: sum(asked(emulators)) >= 30)
        process.kill()
        await process.ended()
        summary = await run.run()
        assert (summary.rows.ok, summary.exit_status) == (120, 0)
        doubts = await run.doubts()
        assert sum(asked(emulators)) - 120 <= doubts <= 8 + 40
        assert max(Counter(entry.body for entry in bills(run.folder, 2)).values()) <= 1 + doubts
        await run.must_hold()


async def test_requests_of_the_day_are_counted_by_endpoint_across_commands(tmp_path: Path) -> None:
    day = [{"endpoint": {"limits": {"requests_per_day": most}}} for most in (10, 25)]
    async with several(tmp_path, *day) as (run, emulators):
        run.write(rows(60))
        first = await run.run()
        assert (first.stopped_by, first.exit_status, asked(emulators)) == (Stop.DAILY_LIMIT, 4, [10, 25])
        assert (await run.run()).requests == 0, "what was sent is known to the next command"
        more = run.source()["model"]["endpoints"]
        more[0]["limits"] = {"requests_per_day": 15}
        again = await run.run(model={"endpoints": more})
        assert (again.requests, asked(emulators)) == (5, [15, 25])


async def test_a_second_key_goes_on_where_the_days_limit_of_the_first_is_used_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECOND_KEY", "sk-or-v1-the-second-key-0123456789")
    limits = {"limits": {"requests_per_day": 20}}
    async with rehearsal(tmp_path, sections=limits) as alone:
        alone.write(rows(50))
        assert (await alone.run()).stopped_by is Stop.DAILY_LIMIT
        names = [{"base_url": alone.emulator.base_url, "api_key_env": name} for name in (KEY_NAME, "SECOND_KEY")]
        both = listed(tmp_path, alone.emulator, names, dict(limits))
        summary = await both.run()
        assert (summary.requests, summary.stopped_by) == (20, Stop.DAILY_LIMIT)


async def test_several_processes_keep_each_endpoints_limits_together(tmp_path: Path) -> None:
    servers = [{"max_concurrent": most, "endpoint": {"limits": {"max_in_flight": most}}} for most in (2, 4)]
    async with several(tmp_path, *servers, run={"workers": 2}) as (run, emulators):
        run.write(rows(80))
        assert (await run_shared(run.job())).rows.ok == 80
        for one, most in zip(emulators, (2, 4), strict=True):
            assert one.stats().rate_limited == 0
            assert 0 < one.stats().peak_concurrent <= most
        await run.must_hold()


async def test_an_emulator_and_a_real_endpoint_never_stand_in_one_run(tmp_path: Path) -> None:
    async with gateway(lambda _: Said()) as real, rehearsal(tmp_path) as other:
        names = [{"base_url": real.url}, {"base_url": other.emulator.base_url, "api_key_env": KEY_NAME}]
        run = listed(tmp_path, other.emulator, names, {"model": {"price": PRICE}})
        run.write(rows(10))
        with pytest.raises(JobError, match=r"is an emulator and .* is none"):
            await run.run()
        assert (real.texts, other.asked) == ([], 0)


async def test_an_endpoint_without_a_price_takes_no_part_in_a_run_with_a_budget(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as up:
        gone = {"base_url": "http://127.0.0.1:9/v1"}
        names = [gone, {"base_url": up.emulator.base_url, "api_key_env": KEY_NAME}]
        run = listed(tmp_path, up.emulator, names, {"budget": {"usd": "1"}})
        run.write(rows(20))
        summary = await run.run()
        assert summary.rows.ok == 20
        assert any("127.0.0.1:9" in one and "without a price" in one for one in summary.notices)


async def test_attempts_tell_which_endpoint_they_went_to(tmp_path: Path) -> None:
    async with several(tmp_path, {}, {}, output={"keep_attempts": True}) as (run, emulators):
        run.write(rows(20))
        await run.run()
        table = pq.read_table(run.folder / "out.parquill" / "attempts")
        told = Counter(table.column("endpoint").to_pylist())
        assert told == {one.base_url: one.stats().requests for one in emulators}


async def test_the_estimate_takes_the_limits_of_all_together(tmp_path: Path) -> None:
    limits = [{"endpoint": {"limits": {"requests_per_minute": rate}}} for rate in (30, 90)]
    async with several(tmp_path, *limits) as (run, emulators):
        run.write(rows(60))
        found = await estimate_job(run.job())
        assert found.seconds == pytest.approx(30, rel=0.01)
        assert "2 endpoints together" in found.pace
        assert asked(emulators) == [0, 0]


async def test_doctor_looks_at_each_endpoint(tmp_path: Path) -> None:
    async with several(tmp_path, {}, {"api_keys": ("another",)}) as (run, emulators):
        run.write(rows(5))
        diagnoses = await examine_each(run.job())
        assert [one.base_url for one in diagnoses] == [one.base_url for one in emulators]
        assert [one.can_run for one in diagnoses] == [True, False]
        shown = StringIO()
        assert render_diagnoses(diagnoses, Console(file=shown, width=120)) == 0
        assert "1 of 2 endpoints work: the job can run" in shown.getvalue()
