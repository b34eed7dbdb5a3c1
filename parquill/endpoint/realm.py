"""Realms: answers of the embedded emulator and answers of a real endpoint are never taken for each other.

A realm is "emulator", or the empty string for every real endpoint. Parts, archive entries and runs carry it.
"""

from __future__ import annotations

EMULATOR = "emulator"
"""The emulator's realm, and the provider's name in each of its replies."""


def realm_of(*, emulated: bool) -> str:
    """Return the realm whose answers a run takes over."""
    return EMULATOR if emulated else ""


def is_emulated(provider: str | None) -> bool:
    """Whether an answer came from the emulator, by the provider that it names."""
    return provider == EMULATOR
