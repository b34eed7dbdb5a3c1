"""Refusals: what else was answered decides whether a row or the run was refused."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from parquill.errors import ErrorKind, Stop
from parquill.planning import RunOptions
from tests.e2e.gateway import USAGE, Said, gateway
from tests.e2e.kit import rehearsal, rows

PINNED = {"detail": "Server is pinned to '/models/tiny'; requested 'google/gemma-3-4b-it'."}
NGINX = "<html><head><title>405 Not Allowed</title></head><body><h1>405 Not Allowed</h1></body></html>"
BLOCKED = "<html><body><h1>Sorry, you have been blocked</h1><p>Ray ID: 8f3a2b1c9d</p></body></html>"
TERMS = {
    "error": {"message": "The request is prohibited due to a violation of provider Terms Of Service.", "code": 403}
}
GONE = {"error": {"message": "Received 404 status code when fetching image", "code": 404}}
PRICE = {"price": {"prompt": "0.000001", "completion": "0.000002"}}


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (Said(400, PINNED), "Server is pinned to"),
        (Said(400, {"message": "Either x-portkey-config or x-portkey-provider header is required"}), "x-portkey"),
        (Said(405, NGINX), "405 Not Allowed"),
        (Said(407, "Proxy authentication required"), "Proxy authentication required"),
        (Said(400, "Client sent an HTTP request to an HTTPS server."), "HTTPS server"),
        (Said(401, {"error": {"message": "User not found.", "code": 401}}), "User not found."),
        (Said(200, {"error": {"message": "Model offline", "code": 404}}), "Model offline"),
    ],
    ids=["pinned", "header", "405", "407", "tls", "401", "in a 200"],
)
@pytest.mark.parametrize("count", [1, 3, 300])
async def test_a_run_whose_first_rows_are_refused_alike_stops_and_fails_no_row(
    said: Said, words: str, count: int, tmp_path: Path
) -> None:
    async with gateway(lambda _: said) as other, rehearsal(tmp_path, sections={"model": other.model()}) as run:
        run.write(rows(count))
        summary = await run.run()
        assert (summary.stopped_by, summary.exit_status, summary.rows.failed) == (Stop.REFUSED, 5, 0)
        assert summary.rows.not_attempted == count
        assert words in (summary.stop_message or "")
        assert other.url in (summary.stop_message or "")
        assert min(count, 10) <= len(other.texts) <= 10 + 64
        assert sum(run.column("attempts")) == len(other.texts) == summary.requests, "what was sent still counts"
        await run.must_hold()


async def test_what_the_first_refused_rows_cost_stays_in_the_books(tmp_path: Path) -> None:
    billed = {**PINNED, "usage": USAGE}
    async with (
        gateway(lambda _: Said(400, billed)) as other,
        rehearsal(tmp_path, sections={"model": other.model(**PRICE)}) as run,
    ):
        run.write(rows(30))
        summary = await run.run()
        assert summary.cost_pico == len(other.texts) * 18 * 10**6
        costs = [cost for cost in run.column("cost_usd") if cost]
        assert sum(costs) == Decimal(len(other.texts)) * Decimal("0.000018")
        assert set(run.column("status")) == {"not_attempted"}
        await run.must_hold()


@pytest.mark.parametrize("body", [BLOCKED, TERMS], ids=["a firewall", "terms"])
@pytest.mark.parametrize("bad", [[0], [30], [59], [57, 58, 59], [5, 25, 45]])
async def test_a_row_that_is_refused_for_its_own_content_is_asked_twice_and_fails_alone(
    body: Any, bad: list[int], tmp_path: Path
) -> None:
    texts = {rows(60)["text"][number] for number in bad}
    sections: dict[str, Any] = {"limits": {"max_in_flight": 4}}
    async with (
        gateway(lambda text: Said(403, body) if text in texts else Said()) as other,
        rehearsal(tmp_path, sections={"model": other.model(), **sections}) as run,
    ):
        run.write(rows(60))
        summary = await run.run()
        assert (summary.exit_status, summary.rows.ok, summary.rows.failed) == (3, 60 - len(bad), len(bad))
        for number in bad:
            assert run.column("error_kind")[number] == "refused"
            assert run.column("attempts")[number] == 2
        assert set(other.texts[-len(bad) :]) == texts, "they are asked again when no other row is left"
        assert (await run.run()).requests == 0, "the next run leaves them"
        again = await run.run(RunOptions(retry=frozenset({ErrorKind.REFUSED})))
        assert again.requests > 0
        await run.must_hold()


async def test_a_refusal_that_has_passed_by_the_end_is_no_error(tmp_path: Path) -> None:
    seen: list[str] = []

    def reply(text: str) -> Said:
        seen.append(text)
        return Said(404, GONE) if text == rows(40)["text"][7] and seen.count(text) == 1 else Said()

    async with gateway(reply) as other, rehearsal(tmp_path, sections={"model": other.model()}) as run:
        run.write(rows(40))
        assert (await run.run()).rows.ok == 40
        assert run.column("attempts")[7] == 2
        await run.must_hold()


@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_a_run_that_is_refused_after_answers_stops_and_fails_no_row(status: int, tmp_path: Path) -> None:
    asked = 0

    def reply(_: str) -> Said:
        nonlocal asked
        asked += 1
        return Said() if asked <= 40 else Said(status, {"error": {"message": "No longer for you", "code": status}})

    async with gateway(reply) as other, rehearsal(tmp_path, sections={"model": other.model()}) as run:
        run.write(rows(200))
        summary = await run.run()
        assert (summary.stopped_by, summary.exit_status, summary.rows.failed, summary.rows.ok) == (
            Stop.REFUSED,
            5,
            0,
            40,
        )
        assert len(other.texts) <= 40 + 10 + 64
        assert "No longer for you" in (summary.stop_message or "")
        await run.must_hold()


async def test_a_dead_key_fails_none_of_the_last_rows(tmp_path: Path) -> None:
    asked = 0

    def reply(_: str) -> Said:
        nonlocal asked
        asked += 1
        return Said() if asked <= 45 else Said(401, {"error": {"message": "User not found.", "code": 401}})

    async with gateway(reply) as other, rehearsal(tmp_path, sections={"model": other.model()}) as run:
        run.write(rows(50))
        summary = await run.run()
        assert (summary.exit_status, summary.rows.ok, summary.rows.failed) == (5, 45, 0)
        one_left = await run.run(RunOptions(limit=46))
        assert (one_left.exit_status, one_left.rows.failed) == (5, 0)


async def test_a_third_of_the_rows_refused_at_once_does_not_stop_a_run_whose_answers_are_slow(tmp_path: Path) -> None:
    texts = set(rows(300)["text"][::3])
    async with (
        gateway(lambda text: Said(403, TERMS) if text in texts else Said(seconds=0.3)) as other,
        rehearsal(tmp_path, sections={"model": other.model()}) as run,
    ):
        run.write(rows(300))
        summary = await run.run()
        assert (summary.exit_status, summary.rows.ok, summary.rows.failed) == (3, 200, 100)
        assert len(other.texts) <= 300 + 20, "it is known by then whose fault it is"
        await run.must_hold()


async def test_a_request_of_a_wrong_form_is_not_sent_again_as_it_is(tmp_path: Path) -> None:
    bad = rows(50)["text"][20]
    wrong = {"error": {"message": "field required", "code": 422}}
    async with (
        gateway(lambda text: Said(422, wrong) if text == bad else Said()) as other,
        rehearsal(tmp_path, sections={"model": other.model()}) as run,
    ):
        run.write(rows(50))
        assert (await run.run()).rows.failed == 1
        assert (run.column("error_kind")[20], other.texts.count(bad)) == ("bad_request", 1)


async def test_two_rows_with_two_different_refusals_fail_each_with_its_own(tmp_path: Path) -> None:
    first, second = rows(2)["text"]
    async with (
        gateway(lambda text: Said(403, TERMS) if text == first else Said(404, GONE)) as other,
        rehearsal(tmp_path, sections={"model": other.model()}) as run,
    ):
        run.write(rows(2))
        assert (await run.run()).exit_status == 3
        assert run.column("error_kind") == ["refused", "refused"]
        assert other.texts.count(second) == 2


async def test_equal_rows_share_the_end_of_a_refused_one(tmp_path: Path) -> None:
    bad = rows(30)["text"][3]
    async with (
        gateway(lambda text: Said(403, TERMS) if text == bad else Said()) as other,
        rehearsal(tmp_path, sections={"model": other.model(), "output": {"rows_per_part": 7}}) as run,
    ):
        run.write({"id": [*rows(30)["id"], "x", "y"], "text": [*rows(30)["text"], bad, bad]})
        summary = await run.run()
        assert (summary.rows.ok, summary.rows.failed) == (29, 3)
        assert other.texts.count(bad) == 2
        await run.must_hold()
