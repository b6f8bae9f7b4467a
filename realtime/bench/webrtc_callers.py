"""Plays the callers of the benchmark of calls, in a process of its own, as cheap as a caller can be.

`python -m realtime.bench.webrtc_callers` answers the questions of `webrtc_messages`. aiortc connects the calls and
keeps them alive; media bypasses it. What is said was encoded before. What comes is not decrypted: the time at which a
packet belongs is in its header, which SRTP leaves in clear. Missed packets are reported once a second, as any listener
does.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import re
import struct
from typing import Any

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from codec_stream.opus import PACKET_SAMPLES, OpusEncoder
from codec_stream.rate import SAMPLE_RATE
from realtime.bench.webrtc_loopback import use_loopback
from realtime.bench.webrtc_messages import (
    Connect,
    Connected,
    Heard,
    MakeOffers,
    Offers,
    Question,
    Reply,
    Sound,
    Talk,
    answer_questions,
)
from realtime.bench.webrtc_sound import speech_like
from realtime.rtc.reception import Reception
from realtime.rtc.rtcp import receiver_report, source_description
from realtime.rtc.rtp import OutgoingStream

PACKET_S = 0.02
_TICKS, _CLOCK_HZ = 960, 48000
_SPEECH_S = 4.0
_CONNECT_S = 100.0
_LONGER_S = 0.3
"""How much longer the callers talk than they measure, since the host may have begun later."""
_REPORT_S = 1.0
_REPORTED_LOSS = 0.02
_SRTP_HEADER = struct.Struct("!2xHLL")
_OPUS = re.compile(r"^a=rtpmap:(\d+) opus/48000", re.MULTILINE)


class Caller:
    """Plays one caller."""

    def __init__(self) -> None:
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._transceiver = self._connection.addTransceiver("audio", direction="sendrecv")
        self._connected = asyncio.Event()
        self._connection.on("connectionstatechange", self._state_changed)
        self._stream = OutgoingStream(0)
        self.arrivals: list[tuple[float, int]] | None = None
        """Records when packets came, and their timestamps; None while they are not recorded."""
        self._reception: Reception | None = None

    async def offer(self) -> str:
        """Return the SDP of the offer."""
        await self._connection.setLocalDescription(await self._connection.createOffer())
        return str(self._connection.localDescription.sdp)

    async def connect(self, answer: str) -> None:
        """Take the answer, and return when media can flow."""
        async with asyncio.timeout(_CONNECT_S):
            await self._connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
            await self._connected.wait()
        found = _OPUS.search(answer)
        if found is None:
            raise RuntimeError("the host's answer has no Opus")
        self._stream = OutgoingStream(int(found[1]))
        self._stream.ssrc = self._transceiver.sender._ssrc  # the one that the offer tells
        self._dtls = self._transceiver.sender.transport
        ice: Any = self._dtls.transport._connection
        for socket in ice._protocols:
            self._tap(socket)
        self._path = ice._nominated[1]

    def say(self, payload: bytes) -> None:
        """Send one packet, now."""
        packet = self._dtls._tx_srtp.protect(self._stream.packet(payload, _TICKS))
        self._path.protocol.transport.sendto(packet, self._path.remote_addr)

    def report(self, lossy: bool) -> None:
        """Report how well the host is heard; with `lossy`, that packets were missed."""
        if self._reception is None:
            return
        block = self._reception.report(asyncio.get_running_loop().time())
        if lossy:
            block = dataclasses.replace(block, lost_fraction=_REPORTED_LOSS)
        ssrc = self._stream.ssrc
        packet = self._dtls._tx_srtp.protect_rtcp(receiver_report(ssrc, [block]) + source_description(ssrc, "caller"))
        self._path.protocol.transport.sendto(packet, self._path.remote_addr)

    async def hang_up(self) -> None:
        """End the call."""
        await self._connection.close()

    def _state_changed(self) -> None:
        if self._connection.connectionState == "connected":
            self._connected.set()

    def _tap(self, socket: Any) -> None:
        """Take audio that comes on a socket, and leave all else to aiortc."""
        clock, receive = asyncio.get_running_loop().time, socket.datagram_received

        def received(data: bytes, source: tuple[str, int]) -> None:
            if len(data) < 12 or not 127 < data[0] < 192 or 192 <= data[1] <= 223:
                receive(data, source)
                return
            now, (sequence, timestamp, ssrc) = clock(), _SRTP_HEADER.unpack_from(data)
            if self._reception is None:
                self._reception = Reception(ssrc, _CLOCK_HZ)
            self._reception.arrived(sequence, timestamp, now)
            if self.arrivals is not None:
                self.arrivals.append((now, timestamp))

        socket.datagram_received = received


class Callers:
    """Plays all callers, in the groups in which they were connected."""

    def __init__(self) -> None:
        self._new: list[Caller] = []
        self._groups: list[list[Caller]] = []
        self._lossy: set[int] = set()
        self._payloads: dict[Sound, list[bytes]] = {
            "speech": _encoded(speech_like(_SPEECH_S, SAMPLE_RATE, seed=1)),
            "silence": _encoded(bytes(2 * PACKET_SAMPLES * 50)),
        }

    async def answer(self, question: Question) -> Reply:
        """Do what a question asks, and return the reply."""
        match question:
            case MakeOffers():
                self._new = [Caller() for _ in range(question.count)]
                return Offers([await caller.offer() for caller in self._new])
            case Connect():
                async with asyncio.TaskGroup() as tasks:
                    for caller, answer in zip(self._new, question.sdp, strict=True):
                        tasks.create_task(caller.connect(answer))
                self._groups.append(self._new)
                return Connected(len(self._groups) - 1)
            case Talk():
                return await self._talk(question)
        raise ValueError(f"callers are not asked for {type(question).__name__}")

    async def report(self) -> None:
        """Report to all hosts, until cancelled."""
        while True:
            await asyncio.sleep(_REPORT_S)
            for number, callers in enumerate(self._groups):
                for caller in callers:
                    caller.report(number in self._lossy)

    async def hang_up(self) -> None:
        """End all calls."""
        for group in self._groups:
            await asyncio.gather(*(caller.hang_up() for caller in group))

    async def _talk(self, wish: Talk) -> Heard:
        callers, payloads = self._groups[wish.group], self._payloads[wish.sound]
        clock = asyncio.get_running_loop().time
        if wish.lossy:
            self._lossy.add(wish.group)
        for caller in callers:
            caller.report(wish.lossy)
        begun = due = clock()
        listen_at = begun + wish.warm_s
        until = listen_at + wish.seconds
        over = until + _LONGER_S
        said, own_late_s = 0, list[float]()
        while due < over:
            if (ahead := due - clock()) > 0:
                await asyncio.sleep(ahead)
            if listen_at <= due < until:
                if not own_late_s:
                    _listen(callers)
                own_late_s.append(clock() - due)
            turn, index = divmod(said, len(callers))
            callers[index].say(payloads[(turn + index * 7) % len(payloads)])
            said += 1
            due = begun + said * PACKET_S / len(callers)
        self._lossy.discard(wish.group)
        late_s = [late for caller in callers for late in lateness(caller.arrivals or [])]
        for caller in callers:
            caller.arrivals = None
        return Heard(len(own_late_s), _microseconds(late_s), _microseconds(own_late_s))


def lateness(arrivals: list[tuple[float, int]]) -> list[float]:
    """Return how many seconds each packet came later than if all had come like the earliest of them."""
    if not arrivals:
        return []
    first = arrivals[0][1]
    delays = [at - ((timestamp - first + 2**31) % 2**32 - 2**31) / _CLOCK_HZ for at, timestamp in arrivals]
    earliest = min(delays)
    return [delay - earliest for delay in delays]


def _listen(callers: list[Caller]) -> None:
    for caller in callers:
        caller.arrivals = []


def _microseconds(seconds: list[float]) -> list[int]:
    return [round(value * 1e6) for value in seconds]


def _encoded(pcm: bytes) -> list[bytes]:
    encoder, size = OpusEncoder(), 2 * PACKET_SAMPLES
    return [encoder.encode(pcm[begin : begin + size]) for begin in range(0, len(pcm), size)]


async def main() -> None:
    """Call until standard input ends."""
    use_loopback()
    callers = Callers()
    reporting = asyncio.create_task(callers.report())
    try:
        await answer_questions(callers.answer)
    finally:
        reporting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reporting
        await callers.hang_up()


if __name__ == "__main__":
    asyncio.run(main())
