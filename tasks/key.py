"""Reads the endpoint's key: environment, file, or a Prefect Secret block.

A key is never a parameter, a result or part of a job: the server stores and shows these. It is
looked up where the requests are made, and lives as long as the task that makes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from prefect.blocks.system import Secret as SecretBlock

from parquill.job import Job, ModelSettings, Secret, api_key, find_api_key, wants_api_key

if TYPE_CHECKING:
    from parquill.endpoint import Keys


def block_name(model: ModelSettings) -> str:
    """Return the name of the block that may hold the key: OPENROUTER_API_KEY -> openrouter-api-key."""
    return model.api_key_env.lower().replace("_", "-")


async def endpoint_keys(job: Job) -> Keys:
    """Return the key of the job's endpoint, or those of its endpoints, where they are not in the environment.

    Raises `JobError` as `endpoint_key` does.
    """
    if job.model.endpoints is None:
        return await endpoint_key(job.model)
    found = {one.model.api_key_env: await endpoint_key(one.model) for one in job.each if wants_api_key(one.model)}
    return {name: key for name, key in found.items() if key is not None}


async def endpoint_key(model: ModelSettings) -> Secret | None:
    """Return the key that the job's endpoint is given, or None where none is found.

    Raises `JobError` for a file or a value that cannot be a key.
    """
    key, name = find_api_key(model), block_name(model)
    if key is not None or not wants_api_key(model):
        return key
    try:
        block = cast(SecretBlock[str], await SecretBlock.aload(name))
    except ValueError:  # there is no such block
        return None
    return api_key(block.get().strip(), f"the Prefect Secret block {name}")
