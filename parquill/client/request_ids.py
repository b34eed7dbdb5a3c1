"""Checks which request a reply answers, by the ids in it.

Each request carries an `X-Request-Id` of ours. Servers that know the header repeat it in their
reply's header or put it into the id of the answer (vLLM); one that repeats another request's id
sent another request's reply. Servers that do not know it give each answer an id of their own:
where those differ from reply to reply, one that comes twice on a connection is the same reply.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from parquill.client.errors import ForeignReplyError

HEADER = "X-Request-Id"
_ANSWER_ID = re.compile(rb'"id"\s*:\s*"([^"\\]{8,200})"')
_LOOKED_THROUGH = 400
"""Bytes of a reply in which its id is looked for: it is the first key, or close to it."""
_ENOUGH = 20
"""Ids in a row, each unlike the one before, after which a server is taken to give every answer its own."""


class RequestIds:
    """Gives out ids for requests and compares those in replies; one for a client."""

    __slots__ = ("_count", "_differed", "_last", "_prefix", "_repeat")

    def __init__(self, prefix: str) -> None:
        """Take what all ids begin with: unlikely enough to stand in no reply by chance."""
        self._prefix = prefix.encode()
        self._count = 0
        self._last = b""
        self._differed = 0
        self._repeat = False

    def new(self) -> bytes:
        """Return the next request's id; all have the same length."""
        self._count += 1
        return b"%b-%08x" % (self._prefix, self._count)

    def check(self, sent: bytes, headers: Mapping[str, str], content: bytes) -> None:
        """Raise `ForeignReplyError` where the reply names another request of ours."""
        named = headers.get(HEADER)
        header = named.encode("utf-8", "replace") if named else b""
        if (self._prefix in header and sent not in header) or (self._prefix in content and sent not in content):
            raise ForeignReplyError("the reply names another request than the one it was sent for")

    def check_new(self, before: bytes, content: bytes) -> bytes:
        """Return the answer's id. Raises `ForeignReplyError` where the connection's last reply had the same.

        `before` is that reply's id. Its equal says something only while no id of this server ever came twice in a row.
        """
        at = content.find(b'"id"', 0, _LOOKED_THROUGH)
        found = _ANSWER_ID.search(content, at, _LOOKED_THROUGH) if at >= 0 else None
        answer_id = found[1] if found else b""
        if not answer_id:
            return b""
        if answer_id == before and self._differed >= _ENOUGH and not self._repeat:
            raise ForeignReplyError("the reply before came again: both hold the same generation id")
        if answer_id == self._last:
            self._repeat = True
        else:
            self._differed += 1
        self._last = answer_id
        return answer_id
