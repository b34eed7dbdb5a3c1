"""Pool of decoder processes: few, started when needed, replaced when they die.

Each worker is a plain subprocess on a socket pair, not a multiprocessing one: it re-imports no
main module, needs no fork of this process, and cannot keep it from exiting, since it ends when
its socket closes. A lane is a task with at most one worker; it takes files from one queue, so
that a dying worker harms only the file it held. That file is tried once more, in case the
worker was killed from outside; the second death is the file's own fault.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from parquill.errors import ErrorKind, RowError
from parquill.event_loop import Tasks
from parquill.images.sandbox.isolation import hide_process
from parquill.images.sandbox.messages import LENGTHS, Piece, pack_head, read_pieces

MOST_WORKERS = 8
MOST_REPLY = 256 * 2**20
"""Bytes: far above 400 pages. A decoder that was taken over could claim any size."""

_FOLDER = Path(__file__).parents[1]
_START = """
import sys, types
for name, folder in (("parquill", sys.argv[1]), ("parquill.images", sys.argv[2])):
    package = types.ModuleType(name)
    package.__path__ = [folder]
    sys.modules[name] = package
from parquill.images.sandbox.decoder_worker import main
main()
"""
"""Empty packages in place of ours: importing the real ones would load the whole of Parquill."""


@dataclass(slots=True, eq=False)
class _Task:
    op: str
    options: dict[str, Any]
    data: bytes | bytearray
    fault: ErrorKind
    reply: asyncio.Future[tuple[Piece, ...]]
    deaths: list[str] = field(default_factory=list)


class _DiedError(Exception):
    """The worker is gone; the text says how."""


class DecodePool:
    """Hands files to worker processes; `close` ends them. Used in one event loop."""

    def __init__(self, workers: int | None = None) -> None:
        self._most = workers or min(MOST_WORKERS, _cores())
        self._tasks: asyncio.Queue[_Task] = asyncio.Queue()
        self._waited_for: set[asyncio.Future[tuple[Piece, ...]]] = set()
        self._lanes = Tasks[None](self._give_up)
        self._idle = 0

    async def run(self, op: str, data: bytes | bytearray, fault: ErrorKind, **options: Any) -> tuple[Piece, ...]:
        """Return what a worker made of `data`.

        Raises `RowError`: the worker's own, or `fault` for a file that broke the decoder.
        """
        reply: asyncio.Future[tuple[Piece, ...]] = asyncio.get_running_loop().create_future()
        self._tasks.put_nowait(_Task(op, options, data, fault, reply))
        if self._tasks.qsize() > self._idle and len(self._lanes.running) < self._most:
            self._lanes.start(self._lane())
        self._waited_for.add(reply)
        try:
            return await reply
        finally:
            self._waited_for.discard(reply)

    async def close(self) -> None:
        """End every worker; callers that still wait for a file are cancelled."""
        for reply in self._waited_for:
            reply.cancel()
        self._lanes.cancel()
        await self._lanes.all_ended()

    def _give_up(self, fault: BaseException) -> None:
        """A lane failed, which none should: no file may wait for it for ever."""
        for reply in self._waited_for:
            if not reply.done():
                reply.set_exception(fault)

    async def _lane(self) -> None:
        worker: _Worker | None = None
        try:
            while True:
                self._idle += 1
                try:
                    task = await self._tasks.get()
                finally:
                    self._idle -= 1
                if task.reply.done():  # no caller waits any more
                    continue
                try:
                    if worker is not None and worker.ended:
                        worker.kill()
                        worker = None
                    worker = worker or _Worker()
                    await self._serve(worker, task)
                except Exception as error:  # no process could be started, or a fault of ours: not the file's
                    _reply(task, error)
                del task  # its bytes are free while the lane waits
        finally:
            if worker is not None:
                worker.kill()

    async def _serve(self, worker: _Worker, task: _Task) -> None:
        try:
            result = await worker.exchange(task)
        except RowError as error:
            _reply(task, error)
        except _DiedError as death:
            task.deaths.append(str(death))
            self._after_death(task)
        else:
            if not task.reply.done():
                task.reply.set_result(result)

    def _after_death(self, task: _Task) -> None:
        if len(task.deaths) < 2 and task.deaths[-1] != _TOO_LONG:
            self._tasks.put_nowait(task)
        else:
            _reply(task, RowError(task.fault, f"the file cannot be opened: {task.deaths[-1]}"))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _reply(task: _Task, error: Exception) -> None:
    if not task.reply.done():
        task.reply.set_exception(error)


_TOO_LONG = "decoding it takes too long"
_NO_REPLY = (OSError, ValueError, KeyError, TypeError, AttributeError)
"""The worker is gone, or says what no worker of ours says."""


class _Worker:
    """One process and the socket to it."""

    def __init__(self) -> None:
        hide_process()
        ours, theirs = socket.socketpair()
        with contextlib.ExitStack() as undo, theirs:
            undo.callback(ours.close)
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own code
                [sys.executable, "-I", "-c", _START, str(_FOLDER), str(_FOLDER / "images")],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={},
                start_new_session=True,
            )
            undo.pop_all()
        ours.setblocking(False)
        self._socket = ours

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    async def exchange(self, task: _Task) -> tuple[Piece, ...]:
        """Send one file, return what it became; raises its `RowError`, or `_DiedError`."""
        try:
            reply, payload = await self._converse(task)
            if "kind" not in reply:
                return read_pieces(reply["pieces"], payload)
            fault = RowError(ErrorKind(reply["kind"]), str(reply["message"]))
        except _NO_REPLY:
            raise _DiedError(await self._last_words()) from None
        raise fault

    async def _converse(self, task: _Task) -> tuple[dict[str, Any], bytearray]:
        loop = asyncio.get_running_loop()
        head = {"op": task.op, "options": task.options, "fault": task.fault}
        await loop.sock_sendall(self._socket, pack_head(head, len(task.data)))
        await loop.sock_sendall(self._socket, task.data)
        head_size, size = LENGTHS.unpack(await self._exactly(LENGTHS.size))
        if head_size + size > MOST_REPLY:
            raise ValueError("no reply is that large")
        return json.loads(await self._exactly(head_size)), await self._exactly(size)

    def kill(self) -> None:
        """End the process now."""
        self._process.kill()
        self._process.wait()
        self._socket.close()

    async def _exactly(self, size: int) -> bytearray:
        data = bytearray(size)
        view = memoryview(data)
        while view:
            count = await asyncio.get_running_loop().sock_recv_into(self._socket, view)
            if not count:
                raise ConnectionResetError("the worker closed its socket")
            view = view[count:]
        return data

    async def _last_words(self) -> str:
        self._process.kill()
        status = await asyncio.to_thread(self._process.wait)
        self._socket.close()
        if status == -signal.SIGALRM:
            return _TOO_LONG
        return f"the decoder crashed on it ({signal.Signals(-status).name if status < 0 else f'status {status}'})"
