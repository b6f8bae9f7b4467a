"""Keeps what waits to go out on one connection, in order. Speech can be taken back until it is on the wire."""

from __future__ import annotations

import asyncio
from collections import deque

from realtime.session.messages import Close, FinishAudio, Send, SendAudio

Outgoing = Send | SendAudio | FinishAudio | Close

_MANY = 1024


class Outbox:
    """Keeps messages in their order.

    Those who fill it keep it short. The session holds the engine back, which bounds speech. Whoever reads from the
    client waits for `room` before the next message is taken, which bounds the answers.
    """

    def __init__(self) -> None:
        self._queue: deque[Outgoing] = deque()
        self._filled = asyncio.Event()
        self._roomy = asyncio.Event()
        self._roomy.set()

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, message: Outgoing) -> None:
        """Append a message."""
        self._queue.append(message)
        self._filled.set()
        if len(self._queue) >= _MANY:
            self._roomy.clear()

    def drop_audio(self, response_id: str) -> None:
        """Take back the speech of a response that has not gone out."""
        self._queue = deque(message for message in self._queue if _speech_of(message) != response_id)
        if len(self._queue) < _MANY:
            self._roomy.set()

    async def room(self) -> None:
        """Wait until few messages wait to go out."""
        await self._roomy.wait()

    async def get(self) -> Outgoing:
        """Remove the next message and return it, once there is one."""
        while not self._queue:
            self._filled.clear()
            await self._filled.wait()
        message = self._queue.popleft()
        if len(self._queue) < _MANY:
            self._roomy.set()
        return message


def _speech_of(message: Outgoing) -> str | None:
    """Return the id of the response whose speech a message is; None if it is none."""
    match message:
        case SendAudio():
            return message.event.response_id
        case FinishAudio():
            return message.response_id
    return None
