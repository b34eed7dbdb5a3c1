"""Guards every connection: no socket is opened to an address that a manifest may not reach.

Two places, because aiohttp asks no resolver for literal addresses, and because a name's answer
may change between the look-up and the connection:

* `GuardedResolver` looks a name up and refuses it when *any* of its addresses is refused;
* `guarded_socket` is the connector's `socket_factory`: it sees the address that is really
  connected to, for every hop, whatever was looked up.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from parquill.fetch.addresses import Network, address_fault

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""(host, port) -> the addresses of the name; raises `OSError` where there is none."""


class AddressRefusedError(Exception):
    """A connection that the guard did not make, and why. No OSError: aiohttp would wrap those."""


class NameNotFoundError(OSError):
    """No address for a host name. `passing` tells a resolver's hiccup from a name that is not there."""

    def __init__(self, host: str, *, passing: bool) -> None:
        super().__init__(f"no address for the name {host}")
        self.passing = passing


async def system_resolve(host: str, port: int) -> Sequence[str]:
    """Look `host` up as the system does."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise NameNotFoundError(host, passing=error.errno == socket.EAI_AGAIN) from error
    return [str(sockaddr[0]) for _, _, _, _, sockaddr in found]


class GuardedResolver(AbstractResolver):
    """Hands the connector a name's addresses only when all of them may be reached."""

    def __init__(self, resolve: Resolve, opened: Sequence[Network]) -> None:
        self._resolve = resolve
        self._opened = opened

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return every address of `host`; raise `AddressRefusedError` when one is refused."""
        texts = list(dict.fromkeys(await self._resolve(host, port)))
        if not texts:
            raise NameNotFoundError(host, passing=False)
        addresses = [ipaddress.ip_address(text.partition("%")[0]) for text in texts]
        for address in addresses:
            if fault := address_fault(address, self._opened):
                raise AddressRefusedError(f"{host} leads to {address}, {fault}")
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=socket.AF_INET if address.version == 4 else socket.AF_INET6,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
            if family in (socket.AF_UNSPEC, socket.AF_INET if address.version == 4 else socket.AF_INET6)
        ]

    async def close(self) -> None:
        """Nothing is held."""


def guarded_socket(opened: Sequence[Network]) -> Callable[[tuple[Any, ...]], socket.socket]:
    """Return a `socket_factory` that makes sockets for allowed addresses only."""

    def make(info: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, sockaddr = info
        address = ipaddress.ip_address(str(sockaddr[0]).partition("%")[0])
        if fault := address_fault(address, opened):
            raise AddressRefusedError(f"{address} is {fault}")
        return socket.socket(family, kind, protocol)

    return make
