"""The endpoints of a run: for each its client and what it says of itself, and what holds for all of them.

A job with one `model.endpoint` has a list of one. The decision is docs/adr/0013.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from parquill.client import Transport
from parquill.clock import Clock
from parquill.endpoint.facts import EndpointFacts, look_up
from parquill.errors import JobError
from parquill.job import Job, Secret, read_api_key
from parquill.prices import of_several

Keys = Secret | Mapping[str, Secret] | None
"""A job's key; of several endpoints their keys, by the variable that `api_key_env` names. None: in the environment."""


Connect = Callable[[Job, Secret | None, Path | None, str | None], AbstractAsyncContextManager[tuple[Transport, str]]]
"""Opens a client to the endpoint of a job that has one, as `run_dependencies.Connect` does."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint of a run."""

    job: Job
    """The job as it is there."""
    client: Transport
    facts: EndpointFacts
    weight: float = 1.0
    left_out: str = ""
    """Why nothing is sent to it in this run; empty where it takes part."""

    @property
    def name(self) -> str:
        """The endpoint as it stands in messages: its address, and its key's variable where it has one."""
        named = self.job.model.api_key_env if "api_key_env" in self.job.model.model_fields_set else ""
        return f"{self.facts.base_url} ({named})" if named else self.facts.base_url

    @property
    def mark(self) -> str:
        """Name the endpoint and its key's variable in the ledger, without a secret: their digest."""
        named = f"{self.job.endpoint_as_shown}\n{self.job.model.api_key_env}"
        return hashlib.blake2b(named.encode(), digest_size=8).hexdigest()

    async def is_there(self, *, seconds: float) -> bool:
        """Say whether the endpoint replies, without a completion."""
        return await self.client.is_there("/key" if self.facts.openrouter else "/models", seconds=seconds)


def keys_of(job: Job, keys: Keys) -> tuple[Secret | None, ...]:
    """Return the keys of a job's endpoints; raises `JobError` where one is needed and there is none."""
    return tuple(key_of(one, keys) for one in job.each)


def key_of(job: Job, keys: Keys) -> Secret | None:
    """Return the key of a job with one endpoint; raises `JobError` where it needs one and has none."""
    given = keys.get(job.model.api_key_env) if isinstance(keys, Mapping) else keys
    return given or read_api_key(job.model)


@contextlib.asynccontextmanager
async def connected(
    job: Job, secrets: Sequence[Secret | None], connect: Connect, log: Path | None, *, where: str | None, clock: Clock
) -> AsyncIterator[tuple[Endpoint, ...]]:
    """Open clients to all endpoints of a job, and ask what they say of themselves.

    Args:
        job: the run's own.
        secrets: the keys of its endpoints.
        connect: opens one client.
        log: where an embedded emulator writes its bill.
        where: the base URL of an emulator that another process of the run serves.
        clock: for how long is waited for what they say, and how old prices are.

    Raises:
        JobError: for endpoints that cannot stand in one run.
    """
    jobs = job.each
    async with contextlib.AsyncExitStack() as stack:

        async def one_of(at: Job, key: Secret | None) -> Endpoint:
            client, base_url = await stack.enter_async_context(connect(at, key, log, where))
            return Endpoint(at, client, EndpointFacts(base_url, None, None))

        opened = [await one_of(at, key) for at, key in zip(jobs, secrets, strict=True)]
        facts = await asyncio.gather(*(look_up(one.client, one.facts.base_url, one.job, clock) for one in opened))
        weights = [one.weight for one in job.model.endpoints] if job.model.endpoints is not None else [1.0]
        found = [
            dataclasses.replace(one, facts=told, weight=weight)
            for one, told, weight in zip(opened, facts, weights, strict=True)
        ]
        yield tuple(found) if len(found) == 1 else _taking_part(found, job)


def _taking_part(endpoints: Sequence[Endpoint], job: Job) -> tuple[Endpoint, ...]:
    """Say of each endpoint whether it takes part; raises `JobError` where realms would be mixed."""
    reached = [one for one in endpoints if one.facts.reachable]
    emulated = [one for one in reached if one.facts.emulated]
    if emulated and len(emulated) < len(reached):
        real = next(one for one in reached if not one.facts.emulated)
        raise JobError(
            f"model.endpoints: {emulated[0].facts.base_url} is an emulator and {real.facts.base_url} is none: "
            "simulated answers never stand beside real ones. Name only emulators, or none"
        )

    def why(one: Endpoint) -> str:
        if job.budget.usd is not None and one.facts.price is None:
            told = one.facts.why_unpriced or f"no price is known for {job.model.name} at {one.facts.base_url}"
            return f"with budget.usd nothing is sent to an endpoint without a price: {told}"
        if emulated and not one.facts.reachable:
            return "it cannot be reached, so it is not known whether it is an emulator as the others are"
        return ""

    taking = tuple(dataclasses.replace(one, left_out=why(one)) for one in endpoints)
    return taking if any(not one.left_out for one in taking) else tuple(endpoints)


def facts_of(endpoints: Sequence[Endpoint]) -> EndpointFacts:
    """Return what holds for a row before it is known to which endpoint it goes."""
    if len(endpoints) == 1:
        return endpoints[0].facts
    taking = [one for one in endpoints if not one.left_out]
    every = [one.facts for one in taking]
    priced = [one for one in taking if one.facts.price is not None]
    prices = [one.facts.price for one in priced if one.facts.price is not None]
    parameters = [one.parameters for one in every]
    known = [names for names in parameters if names is not None]
    return EndpointFacts(
        base_url=", ".join(one.facts.base_url for one in endpoints),
        price=of_several(prices, [one.weight for one in priced]) if prices else None,
        parameters=frozenset.intersection(*known) if len(known) == len(parameters) else None,
        emulated=any(one.emulated for one in every),
        reachable=any(one.reachable for one in every),
        openrouter=all(one.openrouter for one in every),
        notices=(
            *dict.fromkeys(notice for one in every for notice in one.notices),
            *(f"{one.name} is left out: {one.left_out}" for one in endpoints if one.left_out),
        ),
        why_unpriced=next((one.why_unpriced for one in every if one.why_unpriced), ""),
    )
