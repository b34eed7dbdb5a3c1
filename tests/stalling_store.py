"""A store's server on raw sockets that accepts and does not answer, or answers as slowly as it can."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from parquill import store_calls

SIZE = 50_000
_DATED = b'ETag: "x"\r\nLast-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n\r\n'
_FOUND = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%b" % (SIZE, _DATED)
_PART = b"HTTP/1.1 206 Partial Content\r\nContent-Length: %d\r\nContent-Range: bytes 0-%d/%d\r\n%b" % (
    SIZE, SIZE - 1, SIZE, _DATED,
)  # fmt: skip
_ABOUT = (
    b'{"kind":"storage#object","name":"x.png","bucket":"pictures","size":"%d","generation":"1",'
    b'"updated":"2020-01-01T00:00:00Z","timeCreated":"2020-01-01T00:00:00Z"}'
) % SIZE
_ABOUT_REPLY = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
    len(_ABOUT), _ABOUT,
)  # fmt: skip

MODES = ("silent", "trickle", "stall", "slow body")
"""Answers nothing; a byte a second from the first; stops, or goes on at a byte a second, in the middle of the body."""


@dataclass
class StallingStore:
    """What the tests see of the server."""

    mode: str
    port: int
    requests: list[bytes] = field(default_factory=list)
    stuck: list[bytes] = field(default_factory=list)
    """Connections on which no more, or hardly more, will come."""
    ended: threading.Event = field(default_factory=threading.Event)

    def place(self, scheme: str, bucket: str = "pictures") -> str:
        """Where its objects lie, with what signs in."""
        host = f"127.0.0.1:{self.port}"
        if scheme == "az":
            return (
                f"az://acc:a2V5@{bucket}/?enable_tls=false&blob_storage_authority={host}&dfs_storage_authority={host}"
            )
        who = "k:s" if scheme == "s3" else "anonymous"
        return self.allowed(scheme, f"{who}@{bucket}")

    def allowed(self, scheme: str, bucket: str) -> str:
        """The same place as `images.allow_buckets` names it."""
        region = "&region=us-east-1" if scheme == "s3" else ""
        return f"{scheme}://{bucket}/?scheme=http&endpoint_override=127.0.0.1:{self.port}{region}"

    def serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            if self.mode == "silent":
                self._stay(connection, b"")
                return
            while head := self._head(connection):
                self.requests.append(head)
                if self.mode == "trickle":
                    self._stay(connection, _FOUND)
                    return
                if head.startswith(b"HEAD"):
                    connection.sendall(_FOUND)
                elif b"/storage/v1/" in head and b"alt=media" not in head:
                    connection.sendall(_ABOUT_REPLY)
                else:
                    connection.sendall(_PART + b"x" * 1000)
                    self._stay(connection, b"x" * 1000 if self.mode == "slow body" else b"")
                    return

    def _stay(self, connection: socket.socket, slowly: bytes) -> None:
        self.stuck.append(b"")
        for byte in slowly:
            if self.ended.wait(1.0):
                return
            connection.sendall(bytes([byte]))
        self.ended.wait()

    def _head(self, connection: socket.socket) -> bytes:
        head = b""
        while b"\r\n\r\n" not in head and (piece := connection.recv(65536)):
            head += piece
        return head


@contextlib.contextmanager
def stalling_store(mode: str) -> Iterator[StallingStore]:
    """Serve on loopback until the context ends."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
        store = StallingStore(mode, listening.getsockname()[1])

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    threading.Thread(target=store.serve, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield store
        finally:
            store.ended.set()
            listening.shutdown(socket.SHUT_RDWR)
    thread.join()
    end = time.monotonic() + 20
    while any(name.startswith("s3:") for name in [*store_calls._running]) and time.monotonic() < end:
        threading.Event().wait(0.01)  # they return, being cut off; until then pyarrow opens no place in S3
