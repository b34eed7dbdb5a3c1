"""Production, rehearsed: a real Prefect server, worker and schedule; cancellations, kills, outages.

The endpoint is an emulator in the test's own process, so that both sides can be counted.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from parquill.emulator import Emulator, EmulatorSettings, Spread, iter_log
from tests.orchestration.server import RefusedError, Site, processes_of, site, until
from tests.orchestration.small_jobs import output_of, paid_twice_is_owned_up_to, small_job, verified

pytestmark = [pytest.mark.prefect_server, pytest.mark.timeout(900)]

NIGHTLY = "parquill-nightly/nightly-captions"
TAGGING = "parquill-batch/bulk-tagging"
IN_FLIGHT = 4


def commands() -> list[str]:
    """The commands of docs/deploy.md, its first block."""
    text = (Path(__file__).parents[2] / "docs" / "deploy.md").read_text(encoding="utf-8")
    block = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)[0]
    return [line for line in block.splitlines() if not line.startswith("export ")]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A clone with a server, a pool, the deployments, a worker and the automation: commands one to five."""
    with site(tmp_path_factory.mktemp("site")) as made:
        patience = made.clone / "automations.yaml"  # a test waits less long for a dead machine than people do
        patience.write_text(patience.read_text(encoding="utf-8").replace("within: 120", "within: 60"), encoding="utf-8")
        yield made


async def ready(here: Site) -> None:
    """Give the documented commands, once: server, pool, deployments, worker, automation."""
    server, pool, deploy, worker, automation, _ = commands()
    if "server" not in here.running:
        here.start("server", server.replace("4200", str(here.port)))
        await until(here.is_up, what="the server")
    if not here.ask("/work_pools/filter", {}):
        await here.run(pool)
        await here.run(deploy)
        await here.run(automation)
    if "worker" not in here.running:
        here.start("worker", worker, SOME_KEY="sk-or-v1-0123456789")


@contextlib.asynccontextmanager
async def slow_job(folder: Path, rows: int = 120) -> AsyncIterator[tuple[dict[str, Any], Emulator]]:
    """A job of a few seconds, against an emulator that keeps a bill."""
    settings = EmulatorSettings(latency=Spread(0.2), log_path=folder / "bill.jsonl")
    async with Emulator(settings) as emulator:
        model = {"endpoint": emulator.base_url, "api_key_env": "SOME_KEY"}
        yield small_job(folder, rows=rows, model=model, limits={"max_in_flight": IN_FLIGHT}), emulator


async def begun(emulator: Emulator, rows: int = 20) -> None:
    await until(lambda: emulator.stats().requests >= rows, what="the run's first rows")


def asked_twice(folder: Path) -> int:
    """How many requests went out beyond one for each row."""
    bodies = Counter(entry.body for entry in iter_log(folder / "bill.jsonl"))
    return sum(bodies.values()) - len(bodies)


def whole(folder: Path, job: dict[str, Any], *, deaths: int = 0) -> None:
    """Every row is answered, the books balance, and only what a process had in hand when it died was repeated."""
    assert set(output_of(job).column("status").to_pylist()) == {"ok"}
    assert verified(job).holds, verified(job).findings
    paid_twice_is_owned_up_to(job, asked_twice(folder), IN_FLIGHT, deaths=deaths)


async def test_six_documented_commands_lead_to_a_verified_table(here: Site) -> None:
    assert len(commands()) == 6
    await ready(here)
    said = await here.run(commands()[5])
    assert "Completed" in said
    assert "43 requests sent" in str(here.flow_runs(state_name="Completed"))
    proof = await here.run("parquill verify configs/caption.yaml --set model.endpoint=emulator")
    assert "verified 45 manifest rows" in proof


async def test_a_schedule_makes_runs_and_a_worker_takes_them(here: Site) -> None:
    await ready(here)
    planned = await until(lambda: here.flow_runs(state_name="Scheduled", auto_scheduled=True), what="a plan")
    assert {run["expected_start_time"][11:16] for run in planned} <= {"20:00", "21:00"}, "22:00 in Berlin"

    config = yaml.safe_load((here.clone / "prefect.yaml").read_text(encoding="utf-8"))
    nightly = config["deployments"][0]
    nightly["name"] = "every-minute"
    nightly["schedules"][0]["cron"] = "* * * * *"
    nightly["parameters"]["overrides"] = {"model.endpoint": "emulator", "output.path": "out/every-minute"}
    (here.clone / "minute.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    await here.run("prefect --no-prompt deploy --prefect-file minute.yaml -n every-minute")
    deployment = here.deployment("parquill-nightly/every-minute")["id"]

    def done() -> list[dict[str, Any]] | None:
        return here.flow_runs(deployment_id=deployment, state_type="COMPLETED", auto_scheduled=True)

    run = (await until(done, what="a scheduled run's end"))[0]
    await here.run("prefect deployment delete parquill-nightly/every-minute")
    assert "44 of 45 rows answered" in run["state"]["message"]


async def test_a_wrong_parameter_is_refused_when_the_run_is_created(here: Site, tmp_path: Path) -> None:
    await ready(here)
    wrong = small_job(tmp_path, budget={"usd": "10", "colour": "red"})
    for deployment, parameters in ((NIGHTLY, {"job": wrong}), (TAGGING, {"job": wrong}), (NIGHTLY, {"first": "soon"})):
        with pytest.raises(RefusedError) as refused:
            here.create_run(deployment, **parameters)
        assert refused.value.status == 409


async def test_a_cancelled_run_drains_and_the_next_one_goes_on(here: Site, tmp_path: Path) -> None:
    await ready(here)
    async with slow_job(tmp_path, rows=1200) as (job, emulator):
        run = here.create_run(TAGGING, job=job)
        await begun(emulator)
        await here.run(f"prefect flow-run cancel {run}")
        assert (await here.end_of(run))["type"] == "CANCELLED"
        await until(lambda: not processes_of(run), what="the process's end")
        received = output_of(job).column("status").to_pylist().count("ok")
        assert received == emulator.stats().requests, "what was in flight had its time"
        assert received < 1200, "the command takes its time, the run a minute"
        rest = here.create_run(TAGGING, job=job, overrides={"limits.max_in_flight": 100})
        assert (await here.end_of(rest))["type"] == "COMPLETED"
    whole(tmp_path, job)


async def test_a_killed_flow_process_is_crashed_and_the_next_run_pays_only_for_what_was_in_flight(
    here: Site, tmp_path: Path
) -> None:
    await ready(here)
    async with slow_job(tmp_path) as (job, emulator):
        run = here.create_run(TAGGING, job=job)
        await begun(emulator)
        for process in processes_of(run):
            os.kill(process, signal.SIGKILL)
        assert (await here.end_of(run))["type"] == "CRASHED"
        assert (await here.end_of(here.create_run(TAGGING, job=job)))["type"] == "COMPLETED"
    whole(tmp_path, job, deaths=1)


async def test_a_server_that_is_away_does_not_stop_the_work(here: Site, tmp_path: Path) -> None:
    await ready(here)
    async with slow_job(tmp_path) as (job, emulator):
        run = here.create_run(TAGGING, job=job)
        await begun(emulator)
        here.kill("server")
        await until(lambda: emulator.stats().requests == 120, what="the rest of the rows")
        await until(lambda: list(tmp_path.glob("out/*.parquet")), what="the part")
        await ready(here)
        state = await here.end_of(run)
    whole(tmp_path, job)
    assert state["type"] == "COMPLETED", state


async def test_a_run_outlives_its_worker(here: Site, tmp_path: Path) -> None:
    await ready(here)
    async with slow_job(tmp_path) as (job, emulator):
        run = here.create_run(TAGGING, job=job)
        await begun(emulator)
        here.kill("worker")
        state = await here.end_of(run)
        assert state["type"] == "COMPLETED", state
    whole(tmp_path, job)


async def test_a_run_whose_machine_died_is_found_out_and_the_next_one_goes_on(here: Site, tmp_path: Path) -> None:
    await ready(here)
    async with slow_job(tmp_path) as (job, emulator):
        run = here.create_run(TAGGING, job=job)
        await begun(emulator)
        here.kill("worker")
        for process in processes_of(run):
            os.kill(process, signal.SIGKILL)
        await ready(here)
        following = here.create_run(TAGGING, job=job)
        assert (await here.end_of(run))["type"] == "CRASHED"
        assert (await here.end_of(following))["type"] == "COMPLETED"
    whole(tmp_path, job, deaths=1)


async def test_a_flow_that_is_run_by_hand_drains_on_sigterm(here: Site, tmp_path: Path) -> None:
    await ready(here)
    async with slow_job(tmp_path) as (job, emulator):
        (tmp_path / "job.yaml").write_text(yaml.safe_dump(job), encoding="utf-8")
        command = f"python -m flows.batch {tmp_path / 'job.yaml'}"
        by_hand = here.start("by-hand", command, SOME_KEY="sk-or-v1-0123456789")
        await begun(emulator)
        by_hand.terminate()
        assert await until(by_hand.poll, what="its end") == 143, here.log("by-hand")
        received = output_of(job).column("status").to_pylist().count("ok")
        assert received == emulator.stats().requests < 120
        assert "told to end" in here.log("by-hand")
        await here.run(command, SOME_KEY="sk-or-v1-0123456789")
    whole(tmp_path, job)


async def test_one_process_serves_a_flow_as_documented(here: Site) -> None:
    await ready(here)
    text = (here.clone / "docs" / "deploy.md").read_text(encoding="utf-8")
    script = next(block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "serve(" in block)
    (here.clone / "serve.py").write_text(script.replace('"nightly-captions"', '"served"'), encoding="utf-8")
    here.start("served", "python serve.py")
    await until(lambda: "Your flow 'parquill-nightly' is being served" in here.log("served"), what="the service")
    overrides = {"model.endpoint": "emulator", "output.path": "out/served"}
    state = await here.end_of(here.create_run("parquill-nightly/served", overrides=overrides))
    assert state["type"] == "COMPLETED"
    assert "44 of 45 rows answered" in state["message"]
