"""Opens the rows' pictures while the run asks. When the run stops, it drops what is still on its way.

Guarantee: a run that stops waits for no host and no store. Nothing was sent for such a row.
"""

from __future__ import annotations

import asyncio

from parquill.asking.conversation_state import Parts
from parquill.event_loop import Tasks
from parquill.images import ImageLoader, PictureValue
from parquill.limits import RunGate


class Attachments:
    """Opens pictures and documents while the gate is open; used in one event loop."""

    def __init__(self, images: ImageLoader, gate: RunGate) -> None:
        self._images, self._gate = images, gate
        self._tasks = Tasks[Parts](lambda fault: None)  # each fault is raised where its parts are awaited

    async def parts(self, pictures: tuple[PictureValue, ...], documents: tuple[PictureValue, ...]) -> Parts:
        """Return a row's pictures and documents as they are sent.

        Raises:
            RowError: for those that cannot be sent.
            GateClosed: the run has stopped.
        """
        if not documents:
            now = self._images.parts_now(pictures)
            if now is not None:
                return now
        if (closed := self._gate.closed) is not None:
            raise closed
        opened = self._tasks.start(self._opened(pictures, documents))
        try:
            return await opened
        except asyncio.CancelledError:
            if opened.cancelled() and (closed := self._gate.closed) is not None and not _is_cancelled():
                raise closed from None
            raise

    def leave(self) -> None:
        """Wait for nothing that is being opened: the gate has closed."""
        self._tasks.cancel()

    async def _opened(self, pictures: tuple[PictureValue, ...], documents: tuple[PictureValue, ...]) -> Parts:
        parts: Parts = await self._images.parts(pictures)
        if documents:
            parts = (*parts, *await self._images.document_parts(documents))
        return parts


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
