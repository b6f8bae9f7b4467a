"""Joins a WebSocket to a WebRTC call: it gets every event of the call, and its own events count like the caller's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from protocol.client_events import ClientEvent
from protocol.encodings import BadMessage
from protocol.server_events import ServerEvent
from realtime.shell.shell import Wire

_MANY_EVENTS = 1024
_OVER = (1000, "The call is over.")
_TOO_SLOW = (1013, "Events were not taken fast enough; join the call again.")


class Sideband:
    """Relays a call's events to somebody who takes part beside the caller.

    Events wait up to a bound; a client that does not take them in time is disconnected.
    """

    def __init__(self) -> None:
        self._events: asyncio.Queue[ServerEvent | None] = asyncio.Queue(_MANY_EVENTS + 1)
        self._farewell: tuple[int, str] | None = None

    def put(self, event: ServerEvent) -> None:
        """Queue the next event of the call."""
        if self._events.qsize() < _MANY_EVENTS:
            self._events.put_nowait(event)
        else:
            self._end(_TOO_SLOW)

    def end(self) -> None:
        """End the sideband, since the call is over."""
        self._end(_OVER)

    def _end(self, farewell: tuple[int, str]) -> None:
        if self._farewell is None:
            self._farewell = farewell
            self._events.put_nowait(None)

    async def relay(self, wire: Wire, take: Callable[[ClientEvent | BadMessage], Awaitable[None]]) -> None:
        """Send the call's events to `wire`, and give what comes from there to `take`, until either is over."""
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(self._send(wire))
            receiving = tasks.create_task(_receive(wire, take))
            await asyncio.wait([sending, receiving], return_when=asyncio.FIRST_COMPLETED)
            sending.cancel()
            receiving.cancel()

    async def _send(self, wire: Wire) -> None:
        try:
            while (event := await self._events.get()) is not None:
                await wire.send(event)
            await wire.close(*(self._farewell or _OVER))
        except ConnectionError:
            return


async def _receive(wire: Wire, take: Callable[[ClientEvent | BadMessage], Awaitable[None]]) -> None:
    async for message in wire.incoming():
        await take(message)
