"""Hosts the calls of the benchmark of calls, in a process of its own, whose CPU time is what is measured.

`python -m realtime.bench.webrtc_host ours|stock RATE` answers the questions of `webrtc_messages`. *ours* is what the
server runs for a call: `Peer`, `Player`, `IncomingAudio`. *stock* is what a program on aiortc runs: an
`RTCPeerConnection` with a track that gives raw frames of 20 ms at RATE Hz, and a loop that takes the caller's frames,
which it does nothing with.
"""

from __future__ import annotations

import asyncio
import fractions
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import av
import psutil
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from codec_stream.incoming import IncomingAudio
from codec_stream.packets import AudioPacket, packet_encoder
from codec_stream.rate import SAMPLE_RATE
from realtime.bench.webrtc_loopback import LOOPBACK, use_loopback
from realtime.bench.webrtc_messages import AnswerOffers, Answers, Play, Played, Question, Reply, answer_questions
from realtime.bench.webrtc_sound import speech_like
from realtime.hearing.listening import Hearing, Stream
from realtime.hearing.process import HearingProcess
from realtime.rtc.peer import Peer, PeerConfig
from realtime.rtc.sdp import parse_offer
from realtime.shell.player import PACKET_S, Player

_SPEECH_S = 4.0
_LEAD_SAMPLES = SAMPLE_RATE
_PIECE_BYTES = SAMPLE_RATE // 5 * 2
"""Speech is given to the player in pieces of 200 ms and a second ahead, about as an engine gives it."""

_PATIENT = PeerConfig(addresses=(LOOPBACK,), connect_s=100.0, silence_s=60.0)


@dataclass
class Tally:
    """Counts over all calls of a host."""

    sent: int = 0
    heard: float = 0.0  # packets of 20 ms
    late_s: list[float] = field(default_factory=list)


class HostedCall(Protocol):
    """Hosts one call: `answer` it, `stay` in it, and `play` to it as often as is asked."""

    async def answer(self, offer: str) -> str:
        """Answer an offer (SDP), and return the SDP of the answer."""

    async def stay(self) -> None:
        """Stay until the call ends, or this is cancelled; then nothing of it is left."""

    async def play(self, speech: bytes, hearing: Hearing | None) -> None:
        """Play the speech again and again, silence if there is none, until cancelled.

        `hearing` looks for speech in what the caller says.
        """


class OurCall:
    """Hosts a call as the server does, without a session."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._stream: Stream | None = None
        self._peer: Peer
        self._ears: IncomingAudio

    async def answer(self, offer: str) -> str:
        self._peer = await Peer.answering(parse_offer(offer), _PATIENT, self._on_audio, lambda text: None, lambda: None)
        self._ears = IncomingAudio(self._peer.incoming)
        return self._peer.answer

    async def stay(self) -> None:
        await self._peer.run()

    async def play(self, speech: bytes, hearing: Hearing | None) -> None:
        player = Player(packet_encoder(self._peer.encoding), self._peer, self._on_packet)
        given, waiting = 0, 0

        def keep_ahead(_response_id: str, samples: int) -> None:
            nonlocal given, waiting
            waiting -= samples
            while waiting < _LEAD_SAMPLES:
                piece = speech[given : given + _PIECE_BYTES]
                player.put("speech", piece)
                given = (given + len(piece)) % len(speech)
                waiting += len(piece) // 2

        if speech:
            keep_ahead("speech", 0)
        self._stream = hearing.open(lambda scores: None) if hearing is not None else None
        try:
            await player.run(keep_ahead)
        finally:
            if self._stream is not None:
                self._stream.close()
            self._stream = None

    def _on_audio(self, packet: AudioPacket, arrived: float) -> None:
        self._hear(self._ears.push(packet, arrived))

    def _on_packet(self, late_s: float) -> None:
        self._tally.sent += 1
        self._tally.late_s.append(late_s)
        self._hear(self._ears.poll(time.monotonic()))

    def _hear(self, pcm: bytes) -> None:
        if pcm:
            self._tally.heard += len(pcm) / 2 / SAMPLE_RATE / PACKET_S
            if self._stream is not None:
                self._stream.push(pcm)


class FrameTrack(MediaStreamTrack):
    """Gives raw frames of 20 ms, paced as aiortc's own `AudioStreamTrack` does it; none while nothing is played."""

    kind = "audio"

    def __init__(self, rate: int, tally: Tally) -> None:
        super().__init__()
        self._rate = rate
        self._tally = tally
        self._frame_bytes = 2 * round(rate * PACKET_S)
        self._speech = b""
        self._sent = self._sent_before = 0
        self._started = 0.0
        self._playing = asyncio.Event()

    def play(self, speech: bytes) -> None:
        """Play `speech` from now on; silence if it is empty."""
        self._speech = speech or bytes(self._frame_bytes)
        self._sent_before, self._started = self._sent, time.time()
        self._playing.set()

    def pause(self) -> None:
        """Give no more frames until something is played."""
        self._playing.clear()

    async def recv(self) -> av.AudioFrame:
        await self._playing.wait()
        due = self._started + (self._sent - self._sent_before) * PACKET_S
        await asyncio.sleep(due - time.time())
        self._tally.sent += 1
        self._tally.late_s.append(time.time() - due)
        begin = self._sent * self._frame_bytes % len(self._speech)
        frame = av.AudioFrame(format="s16", layout="mono", samples=self._frame_bytes // 2)
        frame.planes[0].update(self._speech[begin : begin + self._frame_bytes])
        frame.sample_rate = self._rate
        frame.pts = self._sent * self._frame_bytes // 2
        frame.time_base = fractions.Fraction(1, self._rate)
        self._sent += 1
        return frame


class StockCall:
    """Hosts a call as a program on aiortc does."""

    def __init__(self, rate: int, tally: Tally) -> None:
        self._tally = tally
        self._track = FrameTrack(rate, tally)
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._callers_track: asyncio.Future[MediaStreamTrack] = asyncio.get_running_loop().create_future()
        self._connection.on("track", self._callers_track.set_result)

    async def answer(self, offer: str) -> str:
        await self._connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        self._connection.addTrack(self._track)
        await self._connection.setLocalDescription(await self._connection.createAnswer())
        return str(self._connection.localDescription.sdp)

    async def stay(self) -> None:
        try:
            track = await self._callers_track
            while True:
                frame = await track.recv()
                assert isinstance(frame, av.AudioFrame)
                self._tally.heard += frame.samples / frame.sample_rate / PACKET_S
        except MediaStreamError:
            pass
        finally:
            await self._connection.close()

    async def play(self, speech: bytes, hearing: Hearing | None) -> None:
        self._track.play(speech)
        try:
            await asyncio.Event().wait()
        finally:
            self._track.pause()


class Host:
    """Hosts all calls of one side, whose speech is at `rate` Hz. They live in `tasks`, until `hang_up`."""

    def __init__(self, make_call: Callable[[Tally], HostedCall], rate: int, tasks: asyncio.TaskGroup) -> None:
        self._make_call = make_call
        self._tasks = tasks
        self._staying: list[asyncio.Task[None]] = []
        self._tally = Tally()
        self._calls: list[HostedCall] = []
        self._hearing = HearingProcess()
        self._listening: asyncio.Task[None] | None = None
        self._speech = speech_like(_SPEECH_S, rate)

    async def answer(self, question: Question) -> Reply:
        """Do what a question asks, and return the reply."""
        match question:
            case AnswerOffers():
                return Answers([await self._take(offer) for offer in question.sdp])
            case Play():
                return await self._play(question)
        raise ValueError(f"a host is not asked for {type(question).__name__}")

    def hang_up(self) -> None:
        """End all calls."""
        for task in (*self._staying, *filter(None, [self._listening])):
            task.cancel()

    async def _take(self, offer: str) -> str:
        call = self._make_call(self._tally)
        answer = await call.answer(offer)
        self._calls.append(call)
        self._staying.append(self._tasks.create_task(call.stay()))
        return answer

    async def _play(self, wish: Play) -> Played:
        speech = self._speech if wish.sound == "speech" else b""
        players: list[asyncio.Task[None]] = []
        if wish.detect and self._listening is None:
            self._listening = self._tasks.create_task(self._hearing.run())
        try:
            for call in self._calls:
                hearing = self._hearing if wish.detect else None
                players.append(self._tasks.create_task(call.play(speech, hearing)))
                await asyncio.sleep(PACKET_S / len(self._calls))  # so that the calls' packets do not go out in step
            while wish.detect and not self._hearing.ready:
                await asyncio.sleep(0.01)
            await asyncio.sleep(wish.warm_s)
            self._tally.sent, self._tally.heard = 0, 0.0
            self._tally.late_s.clear()
            heard_cpu = self._hearing_cpu_s()
            cpu, begun = time.process_time(), time.monotonic()
            await asyncio.sleep(wish.seconds)
            cpu, took = time.process_time() - cpu, time.monotonic() - begun
            heard_cpu = self._hearing_cpu_s() - heard_cpu
            late_us = [round(late * 1e6) for late in self._tally.late_s]
            return Played(cpu, heard_cpu, took, self._tally.sent, self._tally.heard, late_us)
        finally:
            for player in players:
                player.cancel()
            await asyncio.gather(*players, return_exceptions=True)

    def _hearing_cpu_s(self) -> float:
        """Return the CPU time of the process that hears, or 0 without one."""
        if self._hearing.pid is None:
            return 0.0
        spent = psutil.Process(self._hearing.pid).cpu_times()
        return float(spent.user + spent.system)


async def main(side: str, rate: int) -> None:
    """Host until standard input ends."""
    use_loopback()
    async with asyncio.TaskGroup() as tasks:
        if side == "ours":
            host = Host(OurCall, SAMPLE_RATE, tasks)
        else:
            host = Host(lambda tally: StockCall(rate, tally), rate, tasks)
        try:
            await answer_questions(host.answer)
        finally:
            host.hang_up()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
