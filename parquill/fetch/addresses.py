"""Checks which IP addresses a manifest may reach: pure, decides for every connection.

`address_fault` says what is wrong with an address, or None for one on the public internet.
`ipaddress.is_global` alone is not enough: it calls multicast, 6to4, NAT64 and the old site-local
range global (python/cpython's table follows IANA's "globally reachable" column, which answers
another question). So an address must be global and must not lie in `NEVER`; and where an IPv6 address
carries an IPv4 one for some transition mechanism, both are judged by these rules: nothing says whether this
machine's network uses the mechanism, or takes the address as it is.

`host_address` reads a URL's host as an address in the one usual spelling. Every other spelling
that some resolver would take for an address (`127.1`, `0x7f000001`, `2130706433`, `0177.0.0.1`)
is an `AddressSpellingError`: no one publishes pictures under such a name.
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
credentials at 169.254.169.254, and at addresses inside the private ranges (`METADATA`).
"""

METADATA: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "169.254.0.0/16",
        "fe80::/10",
        "168.63.129.16/32",  # Azure
        "100.100.100.200/32",  # Alibaba
        "fd00:100::100:200/128",
        "192.0.0.192/32",  # Oracle
        "fd00:c1::a9fe:a9fe/128",
        "fd00:ec2::/32",  # Amazon
        "fd20:ce::254/128",  # Google
        "fd00:42::42/128",  # Scaleway
        "fd00:a9fe:a9fe::/48",  # Linode, OpenStack
    )
)
"""Where machines in a cloud find their credentials: never opened."""

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

_OPENS = " (images.allow_private opens it)"

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_ISATAP, _ISATAP_BITS = 0x0000_5EFE, 0xFCFF_FFFF
"""What stands before the IPv4 address (RFC 5214, section 6.1), less the two bits that may be set."""


class AddressSpellingError(ValueError):
    """A host that is an address, but not in its usual spelling."""


def address_fault(address: Address, opened: Sequence[Network] = ()) -> str | None:
    """Return what `address` is that a manifest may not reach, in words, or None for a fine one.

    `opened` are networks that the user opened beyond the public internet.
    """
    fault = None if _is_another_spelling(address) else _own_fault(address, opened)
    if fault is not None:
        return fault
    for inner in _hidden_ipv4(address):
        if (fault := address_fault(inner, opened)) is not None:
            return f"a way to {inner}, {fault}"
    return None


def _is_another_spelling(address: Address) -> bool:
    """Whether an IPv6 address is nothing but an IPv4 one: mapped, or behind the network's own NAT64."""
    return isinstance(address, ipaddress.IPv6Address) and (address.ipv4_mapped is not None or address in _NAT64)


def _own_fault(address: Address, opened: Sequence[Network]) -> str | None:
    """What is wrong with an address as it is, whatever it carries."""
    if any(address in network for network in METADATA):
        return "a link-local or cloud metadata address (never opened, whatever the job says)"
    if any(address in network for network in opened):
        return None
    if address.is_loopback:
        return f"an address of this machine itself{_OPENS}"
    if address.is_multicast:
        return "a multicast address"
    if any(address in network for network in NEVER) or address.is_reserved or address.is_unspecified:
        return "a reserved address"
    if address.is_global:
        return None
    may_open = any(address in network for network in PRIVATE)
    return f"an address that is not on the public internet{_OPENS if may_open else ''}"


def _hidden_ipv4(address: Address) -> Iterator[ipaddress.IPv4Address]:
    """Yield the IPv4 addresses that a mapped, NAT64, 6to4, Teredo or ISATAP address may lead to."""
    if isinstance(address, ipaddress.IPv4Address):
        return
    low = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    is_isatap = (int(address) >> 32) & _ISATAP_BITS == _ISATAP
    if _is_another_spelling(address) or is_isatap:
        yield low
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo


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
