"""Which IP addresses a manifest may reach: pure, and the last word on every connection.

`address_fault` says what is wrong with an address, or None for one on the public internet.
`ipaddress.is_global` alone is not enough: it calls multicast, 6to4, NAT64 and the old site-local
range global (python/cpython's table follows IANA's "globally reachable" column, which answers
another question). So an address must be global, must not lie in `NEVER`, and the IPv4 address
that a transition mechanism hides inside an IPv6 one is judged by the same rules.

`host_address` reads a URL's host as an address in the one usual spelling. Every other spelling
that some resolver would take for an address (`127.1`, `0x7f000001`, `2130706433`, `0177.0.0.1`)
is an `AddressSpellingError`: nobody publishes pictures under such a name.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

PRIVATE: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "::1/128", "fc00::/7")
)
"""What `images.allow_private: true` opens: loopback, RFC 1918, carrier-grade NAT, unique local.

Link-local stays closed even then: no picture lives there, but cloud machines keep their
credentials at 169.254.169.254 and fd00:ec2::254.
"""

METADATA: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in ("169.254.0.0/16", "fe80::/10", "fd00:ec2::/32", "100.100.100.200/32", "168.63.129.16/32")
)
"""Where machines in a cloud find their credentials (AWS, GCP, Azure, Alibaba): never opened."""

NEVER: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "192.0.0.0/24",  # IETF protocol assignments; .8, .9, .10 and .170 count as global
        "192.88.99.0/24",  # 6to4 relay anycast, deprecated by RFC 7526
        "224.0.0.0/4",  # multicast
        "ff00::/8",
        "fec0::/10",  # site-local, deprecated by RFC 3879 but still routed in places
        "64:ff9b:1::/48",  # local-use NAT64, RFC 8215: its IPv4 part has no fixed place
        "5f00::/16",  # segment routing, RFC 9602
        "3fff::/20",  # documentation, RFC 9637
        "2001::/23",  # IETF protocol assignments, among them Teredo and ORCHID
        "::/96",  # "IPv4-compatible", deprecated by RFC 4291
    )
)

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_ISATAP = re.compile(r":0?[02]00:5efe:|:0000:5efe:")


class AddressSpellingError(ValueError):
    """A host that is an address, but not in its usual spelling."""


def address_fault(address: Address, opened: Sequence[Network] = ()) -> str | None:
    """Return what `address` is that a manifest may not reach, in words, or None for a fine one.

    `opened` are networks that the user opened beyond the public internet.
    """
    if any(address in network for network in METADATA):
        return "a link-local or cloud metadata address"
    if any(address in network for network in opened):
        return None
    inner = next(_hidden_ipv4(address), None)
    if inner is not None:
        fault = address_fault(inner, opened)
        return fault and f"a way to {inner}, {fault}"
    if address.is_loopback:
        return "an address of this machine itself"
    if address.is_multicast:
        return "a multicast address"
    if any(address in network for network in NEVER) or address.is_reserved or address.is_unspecified:
        return "a reserved address"
    return None if address.is_global else "an address that is not on the public internet"


def _hidden_ipv4(address: Address) -> Iterator[ipaddress.IPv4Address]:
    """Yield the IPv4 address that a mapped, NAT64, 6to4, Teredo or ISATAP address leads to."""
    if isinstance(address, ipaddress.IPv4Address):
        return
    low = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    if address.ipv4_mapped is not None or address in _NAT64 or _ISATAP.search(address.exploded):
        yield low
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield address.teredo[1]


def host_address(host: str) -> Address | None:
    """Return the address a URL's host (without brackets) spells, or None for a name.

    Raises `AddressSpellingError` for zone ids and for every spelling of an IPv4 address but the
    usual one. A host whose last label is a number is an address (WHATWG URL, "ends in a number").
    """
    if ":" in host:
        if "%" in host:
            raise AddressSpellingError("an address with a zone names a network of this machine")
        try:
            return ipaddress.IPv6Address(host)
        except ValueError:
            raise AddressSpellingError("it is no IPv6 address") from None
    last = host.removesuffix(".").rpartition(".")[2]
    if not re.fullmatch(r"[0-9]+|0[xX][0-9a-fA-F]*", last):
        return None
    try:
        return ipaddress.IPv4Address(host)
    except ValueError:
        raise AddressSpellingError("write an IPv4 address as four decimal numbers") from None
