"""Plays hostile callers for the benchmark of attacks.

One is connected and sends what it likes. The other finds the path and then never finishes the handshake.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import struct
from typing import Any

import pylibsrtp
from aioice import Candidate, Connection
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from realtime.bench.attacks_offers import post

_CONNECT_S = 20.0
_SSRC = 5
_TICKS = 960
_OPUS = re.compile(r"^a=rtpmap:(\d+) opus/48000", re.MULTILINE)


class Guest:
    """Plays a caller who is let in, with audio both ways and the channel for events."""

    def __init__(self) -> None:
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._transceiver = self._connection.addTransceiver("audio", direction="sendrecv")
        self._channel = self._connection.createDataChannel("oai-events")
        self._channel.on("message", self._told)
        self._greeted = asyncio.Event()
        self._sequence = 0

    @property
    def connected(self) -> bool:
        """Tell whether nobody has hung up."""
        return self._channel.readyState == "open" and self._connection.connectionState == "connected"

    @property
    def bytes_waiting(self) -> int:
        """Return how many bytes of events have not left."""
        return int(self._channel.bufferedAmount)

    async def connect(self, address: str) -> None:
        """Call the server, and return when the session has greeted. Raises ConnectionError if the call is not
        answered.
        """
        await self._connection.setLocalDescription(await self._connection.createOffer())
        answer = await post(address, self._connection.localDescription.sdp.encode())
        if answer.status != 201:
            raise ConnectionError(f"a caller is refused: {answer.told}")
        async with asyncio.timeout(_CONNECT_S):
            await self._connection.setRemoteDescription(RTCSessionDescription(answer.body, "answer"))
            self._transceiver.receiver._handle_rtp_packet = _unheard  # type: ignore[method-assign]
            await self._greeted.wait()
        found = _OPUS.search(answer.body)
        if found is None:
            raise ConnectionError("the answer has no Opus")
        self._payload_type = int(found[1])
        self._dtls = self._transceiver.sender.transport
        ice: Any = self._dtls.transport._connection
        self._path = ice._nominated[1]

    def sealed(self, payload: bytes) -> bytes:
        """Return the next RTP packet, encrypted with this caller's own keys."""
        self._sequence += 1
        ticks = self._sequence * _TICKS & 0xFFFFFFFF
        head = struct.pack("!BBHLL", 0x80, self._payload_type, self._sequence & 0xFFFF, ticks, _SSRC)
        return self.sealed_as_is(head + payload)

    def sealed_as_is(self, packet: bytes) -> bytes:
        """Encrypt any bytes as a packet; return nothing for those that SRTP itself refuses."""
        with contextlib.suppress(pylibsrtp.Error, ValueError):
            return bytes(self._dtls._tx_srtp.protect(packet))
        return b""

    def throw(self, datagram: bytes) -> None:
        """Send a datagram as it is."""
        if datagram:
            self._path.protocol.transport.sendto(datagram, self._path.remote_addr)

    def send(self, kind: str, **fields: Any) -> None:
        """Send an event on the channel."""
        self._channel.send(json.dumps({"type": kind, **fields}))

    def acknowledge_nothing(self) -> None:
        """Take what comes on the channel from now on, and acknowledge none of it."""
        assert self._connection.sctp is not None
        self._connection.sctp._send_sack = _nothing  # type: ignore[method-assign]

    async def hang_up(self) -> None:
        """End the call."""
        await self._connection.close()

    def _told(self, message: str) -> None:
        self._greeted.set()


class Unfinished:
    """Plays a caller whose checks pass, so that what it sends reaches the handshake, and who has no handshake to
    offer.
    """

    def __init__(self) -> None:
        self._ice = Connection(ice_controlling=True)

    @property
    def server(self) -> tuple[str, int]:
        """Return the address at which its call is taken, once it is connected."""
        return self._ice._nominated[1].remote_addr

    async def connect(self, address: str, offer: str) -> str:
        """Open a call with `offer` in its own name, find the path, and return what was answered."""
        await self._ice.gather_candidates()
        candidates = "".join(f"a=candidate:{found.to_sdp()}\r\n" for found in self._ice.local_candidates)
        bare = re.sub(r"^a=candidate:.*\r\n", "", offer, flags=re.MULTILINE)
        bare = re.sub(r"^a=ice-ufrag:.*\r\n", f"a=ice-ufrag:{self._ice.local_username}\r\n", bare, flags=re.MULTILINE)
        bare = re.sub(r"^a=ice-pwd:.*\r\n", f"a=ice-pwd:{self._ice.local_password}\r\n{candidates}", bare, flags=re.M)
        answer = await post(address, bare.encode())
        if answer.status == 201:
            self._ice.remote_username = _value(answer.body, "ice-ufrag")
            self._ice.remote_password = _value(answer.body, "ice-pwd")
            await self._ice.add_remote_candidate(Candidate.from_sdp(_value(answer.body, "candidate")))
            await self._ice.add_remote_candidate(None)
            async with asyncio.timeout(_CONNECT_S):
                await self._ice.connect()
        return answer.told

    async def throw(self, datagram: bytes) -> None:
        """Send a datagram as it is."""
        with contextlib.suppress(ConnectionError):
            await self._ice.send(datagram)

    async def leave(self) -> None:
        """Leave without a word."""
        await self._ice.close()


def _value(sdp: str, name: str) -> str:
    found = re.search(rf"^a={name}:(.*?)\r?$", sdp, re.MULTILINE)
    if found is None:
        raise ConnectionError(f"the answer has no {name}")
    return found[1]


async def _nothing() -> None:
    return


async def _unheard(packet: object, arrival_time_ms: int) -> None:
    return
