"""What waits to go out on one connection, in order; speech can be taken back until it is on the wire."""

from __future__ import annotations

import asyncio
from collections import deque

from realtime.session.messages import Close, Send, SendAudio

Outgoing = Send | SendAudio | Close


class Outbox:
    """A queue whose audio is counted in samples. Bounded by its filler, which asks `samples` and stops the stream."""

    def __init__(self) -> None:
        self._queue: deque[Outgoing] = deque()
        self._filled = asyncio.Event()
        self.samples = 0

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, message: Outgoing) -> None:
        """Append a message."""
        self._queue.append(message)
        if isinstance(message, SendAudio):
            self.samples += message.samples
        self._filled.set()

    def drop_audio(self, response_id: str) -> None:
        """Take back speech of a response that has not gone out."""
        kept: deque[Outgoing] = deque()
        for message in self._queue:
            if isinstance(message, SendAudio) and message.event.response_id == response_id:
                self.samples -= message.samples
            else:
                kept.append(message)
        self._queue = kept

    async def get(self) -> Outgoing:
        """The next message, waiting for one."""
        while not self._queue:
            self._filled.clear()
            await self._filled.wait()
        message = self._queue.popleft()
        if isinstance(message, SendAudio):
            self.samples -= message.samples
        return message
