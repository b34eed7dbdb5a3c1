"""By which name a host knows the state of a picture, and how it is asked whether that state has passed.

One text: its ETag where it gives one (RFC 9110, section 8.8.3), else its Last-Modified date (8.8.2).
The two cannot be taken for one another: an ETag holds quotes. What is neither, or longer than
`LONGEST`, is left out: it is kept with every row, and comes from strangers.
"""

from __future__ import annotations

import email.utils
import re
from collections.abc import Mapping

LONGEST = 200
"""Characters; real ones have 10 to 70."""

_ETAG = re.compile(r'(W/)?"[\x21\x23-\x7e]*"')


def version_in(headers: Mapping[str, str]) -> str | None:
    """Return what a response says of its picture's state; None where it says nothing of use."""
    etag, date = headers.get("ETag", "").strip(), headers.get("Last-Modified", "").strip()
    if len(etag) <= LONGEST and _ETAG.fullmatch(etag):
        return etag
    return date if len(date) <= LONGEST and date.isascii() and _is_date(date) else None


def asking_for_change(version: str | None) -> dict[str, str]:
    """Return the headers of a request that is answered 304 while the picture is in this state."""
    if version is None:
        return {}
    return {"If-None-Match" if '"' in version else "If-Modified-Since": version}


def _is_date(text: str) -> bool:
    try:
        email.utils.parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return False
    return text.isprintable() and '"' not in text
