"""Flows run as a test runs them, and what the API has of a run afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast
from uuid import UUID

from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.client.schemas.objects import Artifact, State
from prefect.client.schemas.sorting import LogSort

from parquill.clock import SystemClock


async def end_of(flow: Flow[..., Any], *arguments: Any, **named: Any) -> State[Any]:
    """Run a flow to its end and return the state that it ended in."""
    return await cast(Awaitable[State[Any]], flow(*arguments, **named, return_state=True))


def run_id(state: State[Any]) -> UUID:
    assert state.state_details.flow_run_id is not None
    return state.state_details.flow_run_id


async def artifacts_of(state: State[Any]) -> dict[str, Artifact]:
    """A run's artifacts by key."""
    async with get_client() as client:
        wanted = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id(state)]))
        return {str(one.key): one for one in await client.read_artifacts(artifact_filter=wanted)}


async def logs_of(state: State[Any], *, until: Callable[[str], bool]) -> str:
    """A run's log as the server has it, once it holds what the test waits for: it comes in batches."""
    text = ""
    async for text in _growing_log(run_id(state)):
        if until(text):
            break
    return text


async def _growing_log(flow_run: UUID) -> AsyncIterator[str]:
    wanted = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[flow_run]))
    async with get_client() as client:
        while True:
            await SystemClock().sleep(0.1)
            found = await client.read_logs(wanted, limit=200, sort=LogSort.TIMESTAMP_ASC)
            yield "\n".join(one.message for one in found)
