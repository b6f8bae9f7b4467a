"""A WebSocket beside a WebRTC call: it gets every event of the call, and what it sends counts like the caller's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from protocol.client_events import ClientEvent
from protocol.encodings import BadMessage
from protocol.server_events import ServerEvent
from realtime.transports.call import Wire

_MANY_EVENTS = 1024


class Sideband:
    """Somebody who listens in. Events wait for it up to a bound; one that does not take them is dropped."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[ServerEvent | None] = asyncio.Queue(_MANY_EVENTS + 1)

    def put(self, event: ServerEvent) -> None:
        """The next event of the call."""
        if self._events.qsize() < _MANY_EVENTS:
            self._events.put_nowait(event)
        else:
            self.end()

    def end(self) -> None:
        """There are no more."""
        if not self._events.full():
            self._events.put_nowait(None)

    async def relay(self, wire: Wire, take: Callable[[ClientEvent | BadMessage], None]) -> None:
        """Send the call's events to `wire` and give what comes from there to `take`, until either is over."""
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(_send(self._waiting(), wire))
            receiving = tasks.create_task(_receive(wire, take))
            await asyncio.wait([sending, receiving], return_when=asyncio.FIRST_COMPLETED)
            sending.cancel()
            receiving.cancel()

    async def _waiting(self) -> AsyncIterator[ServerEvent]:
        while (event := await self._events.get()) is not None:
            yield event


async def _send(events: AsyncIterator[ServerEvent], wire: Wire) -> None:
    try:
        async for event in events:
            await wire.send(event)
        await wire.close(1000, "The call is over.")
    except ConnectionError:
        return


async def _receive(wire: Wire, take: Callable[[ClientEvent | BadMessage], None]) -> None:
    async for message in wire.incoming():
        take(message)
