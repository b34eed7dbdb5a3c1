"""What every seed is held against: the endpoint's own log, the ledger and the table that users read."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq

from tests.simulation.whole.endpoint import answer_to
from tests.simulation.whole.lives import Ended
from tests.simulation.whole.plans import Plan

QUARTER = 900


class Seen:
    """What a seed left behind."""

    def __init__(self, plan: Plan, folder: Path, ended: list[Ended]) -> None:
        self.plan, self.ended = plan, ended
        events = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        self.events = events
        self.sent = [one for one in events if one["event"] == "sent"]
        self.capped = [one for one in self.sent if not one["well"]]
        """Sent while the job's caps stood: not by the last processes, which have none."""
        with sqlite3.connect(folder / "out.parquill" / "ledger.sqlite") as db:
            self.booked = dict(db.execute("SELECT quarter, sum(pico) FROM spend GROUP BY quarter"))
            self.requests = db.execute("SELECT sum(requests) FROM spend").fetchone()[0] or 0
        db.close()
        self.table = pq.read_table(folder / "out", use_threads=False).sort_by("id").to_pylist()
        self.order = pq.read_table(folder / "out", use_threads=False).column("id").to_pylist()


def broken(plan: Plan, folder: Path, ended: list[Ended]) -> list[str]:
    """Return every guarantee that a seed broke, in words; none where all held."""
    faults = [f"life {number}: {one.fault}" for number, one in enumerate(ended) if one.fault is not None]
    faults += [
        f"life {number}: the books or the table do not match" for number, one in enumerate(ended) if not one.holds
    ]
    if faults:
        return faults
    seen = Seen(plan, folder, ended)
    checks = (_rows, _paid_once, _run_budget, _day_caps, _rates, _booked, _time_to_end)
    return [fault for check in checks for fault in check(seen)]


def _rows(seen: Seen) -> Iterator[str]:
    """One row for each row, in order, and in the end every one with its own answer."""
    texts = seen.plan.texts
    if seen.order != list(range(len(texts))):
        yield f"rows out of place: {seen.order}"
        return
    for row, text in zip(seen.table, texts, strict=True):
        if row["text"] != text or row["status"] != "ok" or row["answer"] != answer_to(text):
            yield f"row {row['id']}: {row['status']} {row['error_kind']}: {row['answer']!r} for {text!r}"


def _paid_once(seen: Seen) -> Iterator[str]:
    """What is durably answered is never sent again."""
    answered: set[str] = set()
    for event in seen.events:
        if event["event"] == "durable":
            if event["text"] in answered:
                yield f"answered twice: {event['text']!r}"
            answered.add(event["text"])
        elif event["event"] == "sent" and answer_to(event["text"]) in answered:
            yield f"life {event['life']}: sent again though it was answered: {event['text']!r}"


def _run_budget(seen: Seen) -> Iterator[str]:
    budget = seen.plan.sections["budget"]
    if budget.get("per") == "run" and "usd" in budget:
        cap, billed = _pico(budget["usd"]), sum(one["billed"] for one in seen.capped)
        if billed > cap:
            yield f"the run was billed {billed} of {cap}"


def _day_caps(seen: Seen) -> Iterator[str]:
    """Of each day by the machine's clock and, where that was set back, of all sent under that date or a later one."""
    budget, limits = seen.plan.sections["budget"], seen.plan.sections["limits"]
    caps = []
    if budget.get("per") == "day" and "usd" in budget:
        caps.append((budget["timezone"], "billed", _pico(budget["usd"])))
    if "requests_per_day" in limits:
        caps.append(("UTC", None, limits["requests_per_day"]))
    for zone, amount, cap in caps:
        days: Counter[dt.date] = Counter()
        for one in seen.capped:
            day = _date(one["wall"], zone)
            days[day] += one[amount] if amount else 1
            so_far = sum(count for date, count in days.items() if date >= day)
            if so_far > cap:
                yield f"life {one['life']}: {so_far} of {cap} ({amount or 'requests'}) by {day} in {zone}"


def _rates(seen: Seen) -> Iterator[str]:
    limits = seen.plan.sections["limits"]
    by_life: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for one in seen.sent:
        by_life[one["life"]].append(one)
    for life, sent in by_life.items():
        if max(one["flying"] for one in sent) > limits["max_in_flight"]:
            yield f"life {life}: more than {limits['max_in_flight']} in flight"
        rate = limits.get("requests_per_minute")
        times = [one["at"] for one in sent]
        if rate is not None and any(b - a < 60.0 for a, b in zip(times, times[rate:], strict=False)):
            yield f"life {life}: more than {rate} requests within a minute"


def _booked(seen: Seen) -> Iterator[str]:
    """What was booked is what was billed, or more; in each quarter hour, and exactly where all was told."""
    billed: Counter[int] = Counter()
    for one in seen.sent:
        billed[int(one["wall"] // QUARTER)] += one["billed"]
    for quarter, pico in sorted(billed.items()):
        if seen.booked.get(quarter, 0) < pico:
            when = dt.datetime.fromtimestamp(quarter * QUARTER, dt.UTC)
            yield f"booked {seen.booked.get(quarter, 0)} in the quarter hour of {when}, billed {pico}"
    total, owed = sum(seen.booked.values()), sum(billed.values())
    if not any(one.killed for one in seen.ended) and all(one["told"] for one in seen.sent) and total != owed:
        yield f"everything was told: {owed}, and {total} was booked"
    if seen.requests < len(seen.sent):
        yield f"{len(seen.sent)} requests were sent, {seen.requests} were booked"


def _time_to_end(seen: Seen) -> Iterator[str]:
    """No request is sent that can only be cut off."""
    deadline = seen.plan.sections["retry"]["deadline_seconds"]
    for one in seen.sent:
        if one["seconds"] < min(1.0, deadline / 10) - 1e-6:
            yield f"life {one['life']}: sent with {one['seconds']:.3f} s left: {one['text']!r}"


def _pico(usd: str) -> int:
    return int(Decimal(usd) * 10**12)


def _date(wall: float, name: str) -> dt.date:
    """The date whose midnight the zone's clocks have reached: looked up by going through the last day's minutes."""
    zone = ZoneInfo(name)
    minute = int(wall // 60) * 60
    return max(
        dt.datetime.fromtimestamp(t, zone).date() for t in itertools.chain(range(minute - 7200, minute, 60), [wall])
    )
