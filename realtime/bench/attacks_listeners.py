"""Plays the honest callers of `voiced bench attacks`, in a process of its own: they are spoken to all the time.

`python -m realtime.bench.attacks_listeners ADDRESS COUNT TEXT` says "ready" when COUNT calls are being spoken to, has
TEXT spoken again and again until its standard input ends, and then says what each heard.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
from aiortc import RTCConfiguration, RTCPeerConnection
from aiortc.rtp import RtpPacket

from realtime.bench.attacks_companion import say, told
from realtime.bench.webrtc_listener import Listener, Unspoken
from realtime.bench.webrtc_loopback import use_loopback


class Arrival(msgspec.Struct, frozen=True, array_like=True):
    """Records one packet: when it came, by the clock that all processes of a machine share, and its header."""

    at: float
    timestamp: int
    sequence: int


class Heard(msgspec.Struct):
    """Records what one listener heard. `failed` counts responses that did not end as they should."""

    arrivals: list[Arrival] = []
    responses: int = 0
    failed: int = 0


class _Witness(Listener):
    """Listens, and writes down what arrives."""

    def __init__(self, connection: RTCPeerConnection) -> None:
        super().__init__(connection)
        self.heard = Heard()

    async def _packet_came(self, packet: RtpPacket, arrival_time_ms: int) -> None:
        self.heard.arrivals.append(Arrival(time.monotonic(), packet.timestamp, packet.sequence_number))
        await super()._packet_came(packet, arrival_time_ms)

    async def listen(self, text: str, speaking: asyncio.Event) -> None:
        """Have the text spoken again and again until cancelled. `speaking` is set once there is speech."""
        while True:
            try:
                async for _ in self.say(text, asyncio.Event()):
                    speaking.set()
                self.heard.responses += 1
            except (Unspoken, TimeoutError):
                self.heard.failed += 1


@asynccontextmanager
async def _witness(address: str) -> AsyncIterator[_Witness]:
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    try:
        witness = _Witness(connection)
        await witness.connect(address)
        yield witness
    finally:
        await connection.close()


async def main(address: str, count: int, text: str) -> None:
    """Listen until a line says that it is enough."""
    use_loopback()
    async with AsyncExitStack() as calls:
        witnesses = [await calls.enter_async_context(_witness(address)) for _ in range(count)]
        async with asyncio.TaskGroup() as tasks:
            speaking = [asyncio.Event() for _ in witnesses]
            pairs = zip(witnesses, speaking, strict=True)
            listening = [tasks.create_task(witness.listen(text, spoken)) for witness, spoken in pairs]
            for spoken in speaking:
                await spoken.wait()
            say("ready")
            await told()
            for task in listening:
                task.cancel()
        say([witness.heard for witness in witnesses])


if __name__ == "__main__":
    _address, _count, _text = sys.argv[1:]
    asyncio.run(main(_address, int(_count), _text))
