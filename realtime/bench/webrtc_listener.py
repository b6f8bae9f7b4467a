"""Listens to a server over WebRTC: asks for speech on the data channel and hears it as packets.

aiortc connects; its receiver, which decodes in a thread behind a jitter buffer of its own, is left out: a packet counts
when it arrives.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.rtp import RtpPacket

from codec_stream.opus import OpusDecoder
from realtime.bench.webrtc_loopback import use_loopback

_CONNECT_S = 15.0
_ANSWER_S = 60.0
_SILENT_PEAK = 8
"""A packet whose samples stay within this (of 32768) is silence. The server sends silence where there is nothing to
play; within speech there is always some noise."""

_LAST_PACKETS_S = 0.06
"""How long packets may still arrive after the event that says they were the last."""


class Unspoken(Exception):
    """Says that the server did not speak."""


class Listener:
    """Listens on one call; it is made by `listener`."""

    def __init__(self, connection: RTCPeerConnection) -> None:
        self._connection = connection
        self._receiver = connection.addTransceiver("audio", direction="recvonly").receiver
        self._channel = connection.createDataChannel("oai-events")
        self._channel.on("message", self._told)
        self._decoder = OpusDecoder()
        self._greeted = asyncio.Event()
        self._pieces: asyncio.Queue[bytes | Unspoken | None] = asyncio.Queue()
        self._response_id = ""

    async def connect(self, address: str) -> None:
        """Call the server, and return when the session has greeted. Raises Unspoken if the call is refused."""
        await self._connection.setLocalDescription(await self._connection.createOffer())
        answer = await asyncio.to_thread(_answer, address, self._connection.localDescription.sdp)
        async with asyncio.timeout(_CONNECT_S):
            await self._connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
            self._receiver._handle_rtp_packet = self._packet_came  # type: ignore[method-assign]
            await self._greeted.wait()

    async def say(self, text: str, stop: asyncio.Event) -> AsyncIterator[bytes]:
        """Ask for a text, and yield the PCM of each packet with speech in it, as it arrives.

        Once `stop` is set the speech is taken back. Raises Unspoken.
        """
        self._pieces = asyncio.Queue()
        self._response_id, asked = "", False
        words = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        self._send("conversation.item.create", item=words)
        self._send("response.create")
        while True:
            async with asyncio.timeout(_ANSWER_S):
                piece = await self._pieces.get()
            if isinstance(piece, Unspoken):
                raise piece
            if piece is None:
                return
            yield piece
            if stop.is_set() and not asked:
                asked = True
                self._send("response.cancel")
                self._send("output_audio_buffer.clear")

    def _send(self, kind: str, **fields: Any) -> None:
        self._channel.send(json.dumps({"type": kind, **fields}))

    def _told(self, message: str) -> None:
        event = json.loads(message)
        match event["type"]:
            case "session.created":
                self._greeted.set()
            case "response.created":
                self._response_id = event["response"]["id"]
            case "response.done" if event["response"]["status"] == "failed":
                self._pieces.put_nowait(Unspoken("the response failed"))
            case "output_audio_buffer.stopped" | "output_audio_buffer.cleared":
                if event["response_id"] == self._response_id:
                    asyncio.get_running_loop().call_later(_LAST_PACKETS_S, self._pieces.put_nowait, None)

    async def _packet_came(self, packet: RtpPacket, arrival_time_ms: int) -> None:
        pcm = self._decoder.decode(packet.payload)
        if int(np.abs(np.frombuffer(pcm, dtype="<i2").astype(np.int32)).max()) > _SILENT_PEAK:
            self._pieces.put_nowait(pcm)


@contextlib.asynccontextmanager
async def listener(address: str) -> AsyncIterator[Listener]:
    """Call a server of this machine, and give the listener; leaving hangs up."""
    use_loopback()
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    try:
        listening = Listener(connection)
        await listening.connect(address)
        yield listening
    finally:
        await connection.close()


def _answer(address: str, offer: str) -> str:
    connection = http.client.HTTPConnection(address, timeout=_CONNECT_S)
    try:
        connection.request("POST", "/v1/realtime/calls", offer, {"Content-Type": "application/sdp"})
        answer = connection.getresponse()
        body = answer.read().decode()
        if answer.status != 201:
            raise Unspoken(f"HTTP {answer.status}: {body}")
        return body
    finally:
        connection.close()
