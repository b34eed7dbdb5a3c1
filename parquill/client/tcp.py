"""Asks the operating system about a connection: bytes waiting, bytes confirmed.

Depends on the standard library alone. Where a system does not tell (no Linux, a Unix socket),
the functions say so instead of guessing. ADR 9 says what is concluded from their answers.
"""

from __future__ import annotations

import contextlib
import fcntl
import select
import socket
import sys
import termios

_CLOSED_OR_WAITING = select.POLLIN | getattr(select, "POLLRDHUP", 0)
_TELLS_UNCONFIRMED = sys.platform == "linux"
_GONE_AFTER_MS = 30_000
"""Milliseconds in which a living machine confirms what it was sent (TCP_USER_TIMEOUT); Linux waits some 15 minutes."""
_FOUR_BYTES = bytes(4)
_RTT_AT = 68
"""Where in Linux's `struct tcp_info` the round-trip time stands (`tcpi_rtt`, microseconds, 32 bits)."""
_LONGEST_ROUND_TRIP = 1.0
_SHORTEST_ROUND_TRIP = 0.002
_TIMES_AS_LONG = 4
"""What a round trip may take, at most, at least and of the one measured when the connection was made; in seconds."""


class SocketView:
    """Looks at the socket below a transport without reading from it; valid while that socket is open."""

    __slots__ = ("_confirms", "_fd", "_poll", "round_trip")

    def __init__(self, sock: socket.socket) -> None:
        """Take a connected socket."""
        self._fd = fd = sock.fileno()
        self._confirms = _TELLS_UNCONFIRMED and sock.family in (socket.AF_INET, socket.AF_INET6)
        self.round_trip = _longest_round_trip(sock) if self._confirms else 0.0
        """Seconds after which the network has confirmed what arrived."""
        self._poll = select.poll()
        self._poll.register(fd, _CLOSED_OR_WAITING)

    @property
    def is_silent(self) -> bool:
        """Whether nothing has arrived that is not read yet: no byte, no end, no reset."""
        return not self._poll.poll(0)

    def peek(self, size: int) -> bytes:
        """Return the bytes that wait to be read, at most `size`; empty where there are none, or its end waits."""
        sight = socket.socket(fileno=self._fd)
        try:
            with contextlib.suppress(OSError):
                return sight.recv(size, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            return b""
        finally:
            sight.detach()

    def unconfirmed(self) -> int | None:
        """Return how many bytes were handed to the system and are not confirmed (TCP's ACK) by the other side.

        None where this system does not tell. After a reset the number is 0, whatever was confirmed.
        """
        if not self._confirms:
            return None
        try:
            return int.from_bytes(fcntl.ioctl(self._fd, termios.TIOCOUTQ, _FOUR_BYTES), sys.byteorder)
        except OSError:
            return None


def _longest_round_trip(sock: socket.socket) -> float:
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)
    except OSError:
        return _LONGEST_ROUND_TRIP
    measured = int.from_bytes(info[_RTT_AT : _RTT_AT + 4], sys.byteorder) / 1e6
    return min(_LONGEST_ROUND_TRIP, max(_SHORTEST_ROUND_TRIP, _TIMES_AS_LONG * measured))


def notice_when_gone(sock: socket.socket) -> None:
    """Have the system end a connection whose other side confirms nothing any more; where it cannot, nothing changes."""
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    if option is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, option, _GONE_AFTER_MS)
