"""Scope: calls between aiortc, as the client, and our peer, in one process."""

from __future__ import annotations

import asyncio
import contextlib
import fractions
import math
import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field

import av
import numpy
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCDataChannel,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.codecs.opus import OpusEncoder
from aiortc.rtp import RtpPacket

from codec_stream.packets import AudioPacket
from realtime.rtc.connection import EVENTS_LABEL
from realtime.rtc.peer import Peer, PeerConfig
from realtime.rtc.sdp import parse_offer
from tests.rtc.relay import Relay

LOOPBACK = ("127.0.0.1",)


def config(connect_s: float = 8.0, silence_s: float = 8.0) -> PeerConfig:
    return PeerConfig(addresses=LOOPBACK, connect_s=connect_s, silence_s=silence_s)


def opus_tone(packets: int, hz: float = 440.0) -> Iterator[bytes]:
    """Opus payloads of 20 ms of a tone, by aiortc's encoder."""
    encoder = OpusEncoder()
    for index in range(packets):
        at = numpy.arange(index * 960, (index + 1) * 960) / 48000
        samples = (numpy.sin(2 * math.pi * hz * at) * 12000).astype(numpy.int16)
        frame = av.AudioFrame.from_ndarray(numpy.repeat(samples, 2).reshape(1, -1), format="s16", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48000, index * 960, fractions.Fraction(1, 48000)
        payloads, _ = encoder.encode(frame)
        yield from payloads


class PacketTrack(MediaStreamTrack):
    """Sends ready payloads, one each 20 ms, and then nothing."""

    kind = "audio"

    def __init__(self, payloads: Iterator[bytes], ticks: int = 960, clock_rate: int = 48000) -> None:
        super().__init__()
        self._payloads = payloads
        self._ticks, self._clock_rate = ticks, clock_rate
        self._sent = 0
        self._began: float | None = None

    async def recv(self) -> av.Packet:  # type: ignore[override]
        now = asyncio.get_running_loop().time()
        self._began = now if self._began is None else self._began
        await asyncio.sleep(max(0.0, self._began + 0.02 * self._sent - now))
        payload = next(self._payloads, None)
        if payload is None:
            await asyncio.Event().wait()
        packet = av.Packet(payload)
        packet.pts, packet.time_base = self._sent * self._ticks, fractions.Fraction(1, self._clock_rate)
        self._sent += 1
        return packet


@dataclass
class Call:
    """One call; what came on either side is listed."""

    client: RTCPeerConnection
    channel: RTCDataChannel | None
    peer: Peer
    running: asyncio.Task[str]
    packets: list[AudioPacket] = field(default_factory=list)
    arrivals: list[float] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    client_packets: list[RtpPacket] = field(default_factory=list)
    client_messages: list[str | bytes] = field(default_factory=list)

    async def inject(self, rtp: bytes) -> None:
        """Send anything as the client, protected by its keys."""
        await self.dtls._send_rtp(rtp)

    @property
    def dtls(self):  # type: ignore[no-untyped-def]
        return self.client.sctp.transport if self.client.sctp is not None else self.client.getSenders()[0].transport

    def vanish(self) -> None:
        """The client's process is gone: its sockets say nothing any more, not even goodbye."""
        for protocol in self.dtls.transport._connection._protocols:
            protocol.datagram_received = lambda data, addr: None
            protocol.transport.sendto = lambda data, addr: None


@contextlib.asynccontextmanager
async def call(
    track: MediaStreamTrack | None = None,
    *,
    audio: bool = True,
    channel: str | None = "oai-events",
    codecs: tuple[str, ...] = (),
    direction: str = "sendrecv",
    settings: PeerConfig | None = None,
    relay: Relay | None = None,
    change_offer: Callable[[str], str] = str,
    on_message: Callable[[Call, str], None] | None = None,
    opens: bool = True,
) -> AsyncIterator[Call]:
    """A call, open unless `opens` says that it will not. It ends with the block, if it has not before."""
    client = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    if audio:
        transceiver = client.addTransceiver(track if track is not None else "audio", direction=direction)
        if codecs:
            known = RTCRtpSender.getCapabilities("audio").codecs
            transceiver.setCodecPreferences([c for name in codecs for c in known if c.mimeType == f"audio/{name}"])
    data = client.createDataChannel(channel) if channel is not None else None
    made: list[Call] = []
    if data is not None:
        data.on("message", lambda message: made[0].client_messages.append(message))
    await client.setLocalDescription(await client.createOffer())
    offer = change_offer(client.localDescription.sdp)
    offer = relay.offer(offer) if relay is not None else offer

    def audio_came(packet: AudioPacket, now: float) -> None:
        made[0].packets.append(packet)
        made[0].arrivals.append(now)

    def message_came(text: str) -> None:
        made[0].messages.append(text)
        if on_message is not None:
            on_message(made[0], text)

    peer = await Peer.answering(
        parse_offer(offer), settings or config(), audio_came, message_came, lambda: made[0].opened.set()
    )
    made.append(Call(client, data, peer, asyncio.create_task(peer.run())))
    answer = relay.answer(peer.answer) if relay is not None else peer.answer
    try:
        await client.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        for receiver in client.getReceivers():
            _tap(receiver, made[0].client_packets)
        if opens:
            await until(lambda: made[0].opened.is_set() or made[0].running.done())
            assert made[0].opened.is_set(), made[0].running.result()
            await until(lambda: made[0].running.done() or (client.connectionState == "connected" and _is_open(data)))
        yield made[0]
    finally:
        peer.close()
        await made[0].running
        await client.close()


def _is_open(channel: RTCDataChannel | None) -> bool:
    return channel is None or channel.label != EVENTS_LABEL or channel.readyState == "open"


def _tap(receiver, packets: list[RtpPacket]) -> None:  # type: ignore[no-untyped-def]
    handle = receiver._handle_rtp_packet

    async def tapped(packet: RtpPacket, arrival_time_ms: int) -> None:
        packets.append(packet)
        await handle(packet, arrival_time_ms=arrival_time_ms)

    receiver._handle_rtp_packet = tapped


async def until(condition: Callable[[], bool], timeout_s: float = 15.0) -> None:
    """Wait for what other tasks bring about."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.005)


def held() -> tuple[int, int]:
    """Tasks and descriptors in use."""
    return len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd"))
