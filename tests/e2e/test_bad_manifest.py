"""A manifest of which a tenth is dead or hostile: every row accounted for, no token for the dead, no canary sings."""

from __future__ import annotations

import asyncio
import collections
import hashlib
import io
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image

from parquill.clock import SystemClock
from parquill.emulator import iter_log
from tests.e2e.kit import Ended, Rehearsal, rehearsal, words
from tests.hostile_files import HOSTILE, JPEG
from tests.web import SERVER, Answer, Web, reply, web_server

DEAD, FAILING, SLOW, SILENT = "127.0.0.3", "127.0.0.4", "127.0.0.5", "127.0.0.6"
"""Hosts of their own: a dead one is given up as a whole, and must not take the good pictures with it."""

UNREACHABLE, REFUSED, INVALID, BAD = "image_unreachable", "image_refused", "image_invalid", "bad_row"


@dataclass(frozen=True)
class Bad:
    """A picture that cannot be had: where it is said to be, and as what its row must fail."""

    url: str
    kind: str


async def dripping(writer: asyncio.StreamWriter) -> None:
    """A byte now and then, for ever."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await SystemClock().sleep(0.5)


async def silent(writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(bytes(1 << 20))
        await writer.drain()


def small(number: int) -> bytes:
    file = io.BytesIO()
    Image.effect_noise((160 + number, 120), 60).convert("RGB").save(file, "JPEG")
    return file.getvalue()


def quick(web: Web) -> list[Bad]:
    """What is found out at once: refused unopened, gone, or no picture."""
    answers: dict[str, tuple[Answer, str]] = {
        "/gone": (reply(410), UNREACHABLE),
        "/forbidden": (reply(403), UNREACHABLE),
        "/inside": (reply(302, Location=f"http://127.0.0.1:{web.port}/"), REFUSED),
        "/metadata": (reply(301, Location="http://169.254.169.254/latest/meta-data/"), REFUSED),
        "/round": (reply(302, Location="/round"), UNREACHABLE),
        "/packed": (reply(200, JPEG, Content_Encoding="gzip"), REFUSED),
        "/huge": (b"HTTP/1.1 200 OK\r\nContent-Length: 30000000\r\n\r\n", REFUSED),
        "/page": (reply(200, b"<!DOCTYPE html><html>Sign in</html>", Content_Type="image/jpeg"), INVALID),
        "/empty": (reply(200, b"", Content_Type="image/jpeg"), INVALID),
        "/half": (reply(200, JPEG[: len(JPEG) // 2]), INVALID),
    }
    for name in ("a PNG of 400 megapixels in 50 kB", "an SVG", "a PNG of broken data", "a GIF with a huge frame"):
        make, kind = HOSTILE[name]
        answers[f"/{name.replace(' ', '-')}"] = (reply(200, make()), kind.value)
    web.answers |= {path: answer for path, (answer, _) in answers.items()}
    inside = ("127.0.0.1", "[::1]", "localhost", "10.0.0.1", "169.254.169.254", "[::ffff:127.0.0.1]", "0x7f.1")
    return [
        *(Bad(web.url(path), kind) for path, (_, kind) in answers.items()),
        Bad(web.url("/nothing-here"), UNREACHABLE),
        *(Bad(web.url("/x", host), REFUSED) for host in inside),
        Bad(f"http://anna:secret@{SERVER}:{web.port}/x", REFUSED),
        Bad(f"http://{SERVER}:22/", REFUSED),
        Bad("file:///etc/passwd", REFUSED),
        Bad("../../etc/passwd", REFUSED),
        Bad("not-there.jpg", UNREACHABLE),
        Bad("data:image/png;base64", BAD),
        Bad("data:image/png;base64,AAAA", INVALID),
    ]


def patient(web: Web) -> list[Bad]:
    """What takes tries and time to be given up."""
    web.answers |= {"/failing": reply(503), "/drips": dripping, "/silent": silent, "/endless": endless}
    return [
        Bad(f"http://{DEAD}:{web.port}/x", UNREACHABLE),
        Bad(web.url("/failing", FAILING), UNREACHABLE),
        Bad(web.url("/drips", SLOW), UNREACHABLE),
        Bad(web.url("/silent", SILENT), UNREACHABLE),
        Bad(web.url("/endless"), REFUSED),
    ]


@dataclass(frozen=True)
class Manifest:
    """Rows of which one in so many is bad; the good ones share a few pictures."""

    cells: Sequence[str]
    bad: dict[int, Bad]

    @classmethod
    def of(cls, web: Web, count: int, bad: Sequence[Bad], *, one_in: int) -> Manifest:
        for number in range(20):
            web.answers[f"/good/{number}"] = reply(200, small(number))
        faults = itertools.cycle(bad)
        chosen = {row: next(faults) for row in range(0, count, one_in)}
        return cls(list(cls._cells(web, count, chosen)), chosen)

    @staticmethod
    def _cells(web: Web, count: int, bad: dict[int, Bad]) -> Iterator[str]:
        for row in range(count):
            yield bad[row].url if row in bad else web.url(f"/good/{row % 20}?row={row}")

    def table(self) -> pa.Table:
        count = len(self.cells)
        ids = [f"r{row}" for row in range(count)]
        return pa.table({"id": ids, "text": [words(row) for row in range(count)], "picture": self.cells})


async def ask(folder: Path, count: int, kinds: Callable[[Web], list[Bad]], *, one_in: int) -> None:
    async with web_server(FAILING, SLOW, SILENT) as web:
        manifest = Manifest.of(web, count, kinds(web), one_in=one_in)
        served = [f"{host}/32" for host in (SERVER, DEAD, FAILING, SLOW, SILENT)]
        sections = {
            "manifest": {"image_columns": ["picture"], "keep_columns": []},
            "images": {"send": "inline", "allow_private": served, "allow_ports": [web.port]},
        }
        async with rehearsal(folder, sections=sections) as asked:
            asked.write(manifest.table())
            ended = await asked.command("run", "--json", "--quiet")
            judge_rows(asked, ended, manifest)
            judge_bill(asked, manifest)
            await asked.must_hold()
        assert web.canary == []


def judge_rows(asked: Rehearsal, ended: Ended, manifest: Manifest) -> None:
    """Every row stands in its place, the bad ones with their kind, at no cost."""
    assert ended.status == 3, ended.err
    count, bad = len(manifest.cells), manifest.bad
    assert ended.json["rows"] | {"ok": count - len(bad), "failed": len(bad), "not_attempted": 0} == ended.json["rows"]
    output = asked.table().to_pylist()
    assert [row["id"] for row in output] == [f"r{row}" for row in range(count)]
    kinds = {row: (one["error_kind"], one["error_message"]) for row, one in enumerate(output) if one["error_kind"]}
    assert {row: kind for row, (kind, _) in kinds.items()} == {row: fault.kind for row, fault in bad.items()}, [
        (bad[row].url, found) for row, found in kinds.items() if row in bad and bad[row].kind != found[0]
    ]
    assert all(message and "secret" not in message for _, message in kinds.values())
    for row, one in enumerate(output):
        spent = (one["attempts"], one["prompt_tokens"], one["completion_tokens"], one["cost_usd"])
        assert (spent == (0, 0, 0, 0)) == (row in bad)
        assert (one["images"] is None) == (row in bad)


def judge_bill(asked: Rehearsal, manifest: Manifest) -> None:
    """The other side's log: one request for each good row, not one for a bad one."""
    log = collections.Counter(entry.text for entry in iter_log(asked.folder / "bill.jsonl"))
    good = {_name(row) for row in range(len(manifest.cells)) if row not in manifest.bad}
    assert log.keys() <= good
    assert not log.keys() & {_name(row) for row in manifest.bad}
    assert log.total() == asked.asked == len(manifest.cells) - len(manifest.bad)


def _name(row: int) -> str:
    """What the emulator's log calls a row's text."""
    return hashlib.sha256(words(row).encode()).hexdigest()[:8]


async def test_no_token_is_spent_on_a_picture_that_cannot_be_had(tmp_path: Path) -> None:
    await ask(tmp_path, 90, quick, one_in=3)


@pytest.mark.chaos
@pytest.mark.timeout(600)
async def test_of_five_thousand_rows_a_tenth_is_dead_slow_or_hostile(tmp_path: Path) -> None:
    def every_kind(web: Web) -> list[Bad]:
        return [*quick(web), *patient(web)]

    await ask(tmp_path, 5_000, every_kind, one_in=10)
