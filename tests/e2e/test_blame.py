"""The cause that decided is named, whichever command meets it: not the price that could not be asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from parquill.doctor import examine
from parquill.emulator import Emulator, EmulatorSettings
from tests.e2e.forked import Ended, ran
from tests.e2e.kit import ROOT, Rehearsal, rehearsal, rows

CAUSES: dict[str, tuple[dict[str, Any], str]] = {
    "stopped server": ({"endpoint": "http://127.0.0.1:9/v1"}, "cannot be reached|nothing listens"),
    "misspelt model": ({"name": "google/gemma-3-4b-itt"}, "does not list|not a valid model|lists"),
    "no /v1": ({"endpoint": "ROOT"}, "/v1|404"),
}
PRICE = "name model.price"


@pytest.mark.parametrize("cause", CAUSES)
@pytest.mark.parametrize("command", ["run", "estimate", "doctor"])
async def test_each_command_names_the_cause_and_not_the_price(tmp_path: Path, command: str, cause: str) -> None:
    model, told = CAUSES[cause]
    async with rehearsal(tmp_path, sections={"budget": {"usd": "1"}}) as run:
        run.write(rows(2))
        if model.get("endpoint") == "ROOT":
            model = {"endpoint": run.emulator.base_url.removesuffix("/api/v1")}
        done = await run.command(command, model=model)
        said = " ".join((done.out + done.err).split())
        assert any(word in said for word in told.split("|")), said
        assert PRICE not in said
        assert command != "run" or (done.status, run.asked) == (2, 0)


async def test_a_missing_price_is_still_named_where_nothing_else_is_wrong(tmp_path: Path) -> None:
    async with Emulator(EmulatorSettings()) as other:
        run = Rehearsal(tmp_path, other, {"budget": {"usd": "1"}})
        run.write(rows(1))
        assert (await run.command("run")).status == 0  # the emulator tells its prices


async def keyless(run: Rehearsal, command: str) -> Ended:
    """Run a command with a job that names no variable of a key."""
    source = run.source()
    del source["model"]["api_key_env"]
    path = run.folder / "keyless.json"
    path.write_text(json.dumps(source))
    return await ran(command, str(path), folder=ROOT)


@pytest.mark.parametrize("command", ["run", "estimate", "doctor"])
async def test_no_command_asks_for_a_key_at_an_emulator_used_by_its_address(
    tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENROUTER_API_KEY", raising=False)
    async with rehearsal(tmp_path, sections={"budget": {"usd": "1"}}) as run:
        run.write(rows(2))
        done = await keyless(run, command)
    assert done.status == 0, done.err
    assert "API key" not in done.out + done.err
    assert "takes the key" not in done.out
    assert command != "run" or run.asked == 2


async def test_doctor_does_not_say_that_a_key_is_read_which_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-or-not-sent-anywhere")
    async with rehearsal(tmp_path, api_keys=("sk-or-the-only-one",)) as run:
        run.write(rows(1))
        done = await keyless(run, "doctor")
    assert "it is read from" not in done.out
    assert "none was sent" in " ".join(done.out.split())


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "private address": ("http://127.0.0.1/a.png", {}, "allow_private"),
    "name inside a network": ("http://nas.local/a.png", {}, "allow_private"),
    "host that is not allowed": ("http://a.example/a.png", {"allow_hosts": ["b.example"]}, "allow_hosts"),
    "host that is denied": ("http://a.example/a.png", {"deny_hosts": ["a.example"]}, "deny_hosts"),
    "port": ("http://a.example:8080/a.png", {"send": "inline"}, "allow_ports"),
    "path outside the root": ("../../a.png", {}, "root"),
    "bucket": ("s3://a-bucket/a.png", {}, "allow_buckets"),
    "metadata address": ("http://169.254.169.254/a.png", {}, ""),
}
SETTINGS = ("allow_private", "allow_hosts", "deny_hosts", "allow_ports", "root", "allow_buckets")


@pytest.mark.parametrize("cause", REFUSED)
async def test_run_and_doctor_name_the_one_setting_that_refused_a_picture(tmp_path: Path, cause: str) -> None:
    picture, images, setting = REFUSED[cause]
    sections = {"manifest": {"image_columns": ["picture"]}, "images": images}
    async with rehearsal(tmp_path, sections=sections) as run:
        run.write({**rows(3), "picture": [picture, None, picture]})
        doctor = await run.command("doctor")
        said = " ".join(doctor.out.split())
        assert "the job can run, but 2 of 3 rows have a picture that would be refused" in said
        assert (await run.command("run")).status == 3
        message = run.column("error_message")[0]
    named = {one for one in SETTINGS if f"images.{one}" in message}
    assert named == ({setting} if setting else set())
    assert not setting or f"images.{setting}" in said


async def test_doctor_says_nothing_of_refused_pictures_where_none_would_be(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, sections={"manifest": {"image_columns": ["picture"]}}) as run:
        run.write({**rows(2), "picture": ["https://a.example/a.png", None]})
        done = await run.command("doctor")
    assert "refused pictures" not in done.out
    assert "the job can run" in done.out


async def test_doctor_judges_a_stated_number_of_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parquill.doctor.refused_pictures.MOST_ROWS", 5)
    async with rehearsal(tmp_path, sections={"manifest": {"image_columns": ["picture"]}}) as run:
        run.write({**rows(9), "picture": ["http://127.0.0.1/a.png"] * 9})
        found = (await examine(run.job())).of("refused pictures")
    assert found is not None
    assert found.text.startswith("5 of the first 5 rows have a picture that would be refused: http://127.0.0.1/a.png")
