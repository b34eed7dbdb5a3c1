"""The guarded fetcher: the only code that opens a URL found in a manifest.

* `addresses` — which IP addresses may be reached: pure.
* `urls` — which URLs may be opened or passed on: pure.
* `guard` — the resolver and socket factory that hold the address rules for every connection.
* `deadlines` — waiting at most so long.
* `hosts` — slots, pauses and a breaker for each host.
* `translated_errors` — what goes wrong, in words.
* `versions` — by which name a host knows the state of a picture.
* `session` — the session, hops, time-outs, byte counts and retries.

Invariant: no byte is sent to an address that `addresses.address_fault` refuses, whatever URL,
redirect or name's answer leads to it. The tests keep a canary on loopback to hold it.
"""

from parquill.fetch.deadlines import within
from parquill.fetch.hosts import Hosts
from parquill.fetch.session import (
    CONNECT_SECONDS,
    IDLE_SECONDS,
    TOTAL_SECONDS,
    Download,
    Fetcher,
    Lease,
)
from parquill.fetch.translated_errors import PassingError
from parquill.fetch.urls import UrlRules, check_port, check_url, judge_url, printable, shown, too_large

__all__ = [
    "CONNECT_SECONDS",
    "IDLE_SECONDS",
    "TOTAL_SECONDS",
    "Download",
    "Fetcher",
    "Hosts",
    "Lease",
    "PassingError",
    "UrlRules",
    "check_port",
    "check_url",
    "judge_url",
    "printable",
    "shown",
    "too_large",
    "within",
]
