"""Makes the offers of the benchmark of attacks from a real one, and sends them to a server."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

from aiortc import RTCConfiguration, RTCPeerConnection

_ANSWER_S = 30.0
_CANDIDATE = re.compile(r"^a=candidate:.*\r\n", re.MULTILINE)
_MOST_CHANGES = 6


@dataclass(frozen=True)
class Answer:
    """Holds what the server answered; status 0 says that the connection was cut without an answer."""

    status: int
    body: str

    @property
    def told(self) -> str:
        """Return the status, and the code of the error if there is one."""
        if not self.status:
            return "cut off"
        if self.status < 400:
            return str(self.status)
        try:
            return f"{self.status} {json.loads(self.body)['error']['code']}"
        except (ValueError, KeyError):
            return str(self.status)


class _Exchange(asyncio.Protocol):
    """Keeps what comes until the connection is over. An answer may come, and the connection end, before all is sent."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.over = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.received += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.over.set()


async def post(address: str, offer: bytes) -> Answer:
    """Send an offer on a connection of its own, and return the answer. Raises TimeoutError."""
    host, _, port = address.rpartition(":")
    head = (
        f"POST /v1/realtime/calls HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n"
        f"Content-Type: application/sdp\r\nContent-Length: {len(offer)}\r\n\r\n"
    )
    async with asyncio.timeout(_ANSWER_S):
        transport, exchange = await asyncio.get_running_loop().create_connection(_Exchange, host, int(port))
        try:
            transport.write(head.encode() + offer)
            await exchange.over.wait()
        finally:
            transport.close()
    answered, _, body = bytes(exchange.received).partition(b"\r\n\r\n")
    status = answered.split(maxsplit=2)[1:2]
    return Answer(int(status[0]) if status else 0, body.decode(errors="replace"))


async def real_offer() -> str:
    """Return an offer as aiortc makes it, for a caller that listens and has the channel for events. The caller is
    gone.
    """
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    try:
        connection.addTransceiver("audio", direction="recvonly")
        connection.createDataChannel("oai-events")
        await connection.setLocalDescription(await connection.createOffer())
        return str(connection.localDescription.sdp)
    finally:
        await connection.close()


def with_candidates(offer: str, count: int) -> str:
    """Return the offer with `count` candidates in its first section, each 50 to 60 bytes, and no others."""
    lines = "".join(
        f"a=candidate:{index} 1 udp {2130706431 - index} 10.{index >> 16 & 255}.{index >> 8 & 255}.{index & 255}"
        f" {1024 + index % 60000} typ host\r\n"
        for index in range(count)
    )
    session, audio, *rest = re.split(r"(?=^m=)", _CANDIDATE.sub("", offer), flags=re.MULTILINE)
    return session + audio + lines + "".join(rest)


def mutated(offer: str, seed: int) -> Iterator[str]:
    """Yield the offer again and again with a few lines lost, doubled, moved, cut or damaged."""
    chance = random.Random(seed)
    while True:
        lines = offer.splitlines()
        for _ in range(chance.randint(1, _MOST_CHANGES)):
            at = chance.randrange(len(lines))
            line = lines[at]
            match chance.randrange(5):
                case 0 if len(lines) > 1:
                    del lines[at]
                case 1:
                    lines.insert(at, line)
                case 2:
                    lines.insert(chance.randrange(len(lines)), lines.pop(at))
                case 3:
                    lines[at] = line[: chance.randrange(len(line) + 1)]
                case _:
                    where = chance.randrange(len(line) + 1)
                    lines[at] = line[:where] + chr(chance.randrange(32, 0x2FF)) + line[where + 1 :]
        yield "\r\n".join(lines) + "\r\n"
