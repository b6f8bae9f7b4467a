"""Scope: a simulated network for RTP audio: seeded loss and delay, and a clock that polls whenever something is due."""

import random
from collections.abc import Sequence

from codec_stream.incoming import IncomingAudio
from codec_stream.packets import AudioPacket


def rtp(
    payloads: Sequence[bytes], ticks: int, payload_type: int = 111, sequence: int = 0, timestamp: int = 0, ssrc: int = 7
) -> list[AudioPacket]:
    """One packet for each payload, `ticks` apart."""
    return [
        AudioPacket(
            payload_type, (sequence + number) & 0xFFFF, (timestamp + number * ticks) & 0xFFFFFFFF, payload, ssrc
        )
        for number, payload in enumerate(payloads)
    ]


def carried(
    packets: Sequence[AudioPacket], loss: float, delay_s: float, spread_s: float, seed: int
) -> list[tuple[float, AudioPacket]]:
    """When each packet arrives, in that order, sent every 20 ms; `spread_s` is the deviation of the delays."""
    chance = random.Random(seed)
    arrivals = [
        (number * 0.020 + max(chance.gauss(delay_s, spread_s), 0.001), packet)
        for number, packet in enumerate(packets)
        if chance.random() >= loss
    ]
    return sorted(arrivals, key=lambda arrival: arrival[0])


def heard_at(
    audio: IncomingAudio, arrivals: Sequence[tuple[float, AudioPacket]], until: float = 0.0
) -> list[tuple[float, bytes]]:
    """What comes out and when, polled whenever it is due, up to the last arrival or `until`."""
    heard: list[tuple[float, bytes]] = []

    def poll_before(time: float) -> None:
        while audio.due_at is not None and audio.due_at <= time:
            due_at = audio.due_at
            heard.append((due_at, audio.poll(due_at)))
            assert audio.due_at is None or audio.due_at > due_at

    for arrived, packet in arrivals:
        poll_before(arrived)
        heard.append((arrived, audio.push(packet, arrived)))
    poll_before(until)
    return [(time, pcm16) for time, pcm16 in heard if pcm16]
