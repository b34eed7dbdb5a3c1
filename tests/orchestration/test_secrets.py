"""A key reaches the endpoint from where it is kept, and is found nowhere else afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.blocks.system import Secret as SecretBlock
from prefect.settings import PREFECT_HOME, PREFECT_SERVER_DATABASE_CONNECTION_URL

from flows.batch import batch
from parquill.emulator import Emulator, EmulatorSettings
from parquill.errors import JobError
from parquill.job import ModelSettings, load_job
from tasks.key import block_name, endpoint_key
from tests.orchestration.flow_runs import artifacts_of, end_of, logs_of
from tests.orchestration.small_jobs import small_job

CANARY = "sk-or-v1-canary-5e1f0a7b39"

pytestmark = pytest.mark.usefixtures("api")


def places(folder: Path) -> Iterator[Path]:
    """Every file that a run or the server may have written to."""
    database = Path(PREFECT_SERVER_DATABASE_CONNECTION_URL.value().removeprefix("sqlite+aiosqlite:///"))
    assert database.is_file()
    for root in (folder, Path(PREFECT_HOME.value()), database.parent):
        yield from (path for path in root.rglob("*") if path.is_file())


async def keep(where: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if where == "environment":
        monkeypatch.setenv("CANARY_KEY", CANARY)
    elif where == "file":
        (folder / "key").write_text(f"{CANARY}\n", encoding="utf-8")
        monkeypatch.setenv("CANARY_KEY_FILE", str(folder / "key"))
    else:
        await SecretBlock(value=CANARY).save("canary-key", overwrite=True)


@pytest.mark.parametrize("where", ["environment", "file", "block"])
async def test_a_key_is_sent_to_the_endpoint_and_written_nowhere(
    where: str,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    await keep(where, tmp_path_factory.mktemp("kept"), monkeypatch)
    async with Emulator(EmulatorSettings(api_keys=(CANARY,))) as emulator:
        job = small_job(tmp_path, model={"endpoint": emulator.base_url, "api_key_env": "CANARY_KEY"})
        state = await end_of(batch, job)

    assert state.is_completed(), state.message
    log = await logs_of(state, until=lambda text: "100 %" in text)
    assert CANARY not in log + str(capfd.readouterr()) + str(await artifacts_of(state))
    assert [path for path in places(tmp_path) if CANARY.encode() in path.read_bytes()] == []


async def test_a_job_given_as_an_object_is_shown_to_the_server_as_it_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUTE", CANARY)
    job = load_job(small_job(tmp_path, model={"endpoint": "emulator", "provider": {"order": ["${ROUTE}"]}}))
    state = await end_of(batch, job)

    assert state.is_completed(), state.message
    holding = [path for path in places(tmp_path) if b"${ROUTE}" in path.read_bytes()]
    assert any("parquill" not in str(path) for path in holding), "the server's database has the parameters"
    assert [path for path in places(tmp_path) if CANARY.encode() in path.read_bytes()] == []


async def test_a_revoked_key_fails_the_run_and_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY_KEY", CANARY)
    async with Emulator(EmulatorSettings(api_keys=("another",))) as emulator:
        job = small_job(tmp_path, model={"endpoint": emulator.base_url, "api_key_env": "CANARY_KEY"})
        state = await end_of(batch, job)

    assert state.is_failed()
    assert "key" in (state.message or "")
    assert [path for path in places(tmp_path) if CANARY.encode() in path.read_bytes()] == []


async def test_a_job_that_gives_its_endpoint_no_key_looks_for_none() -> None:
    await SecretBlock(value=CANARY).save("openrouter-api-key", overwrite=True)
    assert await endpoint_key(ModelSettings(endpoint="http://127.0.0.1:1/v1")) is None
    assert await endpoint_key(ModelSettings(endpoint="emulator")) is None


async def test_a_block_that_holds_no_key_is_named_and_not_shown() -> None:
    model = ModelSettings(endpoint="http://127.0.0.1:1/v1", api_key_env="ODD_KEY")
    await SecretBlock(value="two words").save(block_name(model), overwrite=True)
    with pytest.raises(JobError, match="the Prefect Secret block odd-key holds characters") as caught:
        await endpoint_key(model)
    assert "two words" not in str(caught.value)
