"""Turns in an event loop."""

from __future__ import annotations

import asyncio

import pytest

from parquill.loops import others_first


async def test_others_go_on_before_who_lets_them() -> None:
    said: list[str] = []

    async def other() -> None:
        said.append("other")

    task = asyncio.create_task(other())
    await others_first()
    said.append("self")
    await task
    assert said == ["other", "self"]


async def test_who_is_cancelled_while_others_go_first_goes_on_to_where_it_waits_next() -> None:
    kept: list[str] = []

    async def row() -> None:
        await others_first()
        kept.append("what was received")
        await asyncio.sleep(0)
        kept.append("what comes after")

    task = asyncio.create_task(row())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert kept == ["what was received"]
