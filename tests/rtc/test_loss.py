"""Scope: what is heard of a caller over a network that loses and delays: aiortc calls through the relay."""

import asyncio

import pytest

from codec_stream.incoming import IncomingAudio, IncomingStats
from tests.rtc.calls import Call, PacketTrack, call, opus_tone, until
from tests.rtc.relay import Relay

SECONDS = 8
FRAMES = SECONDS * 50
FRAME_BYTES = 960


async def _called(loss: float, seed: int) -> tuple[Call, Relay]:
    """A caller who spoke for some seconds, 50 ± 20 ms away."""
    relay = await Relay.open(delay_s=0.03, jitter_s=0.04, seed=seed)
    try:
        async with call(PacketTrack(opus_tone(FRAMES + 50)), relay=relay) as made:
            relay.loss, relay.passed, relay.dropped = loss, 0, 0
            made.packets.clear()
            made.arrivals.clear()
            async with asyncio.timeout(SECONDS * 4):
                await until(lambda: bool(made.packets), SECONDS)
                await until(lambda: _span(made) >= FRAMES, SECONDS * 4)
    finally:
        relay.close()
    return made, relay


def _span(made: Call) -> int:
    """How many packets were sent from the first to the last of those that came."""
    first = made.packets[0].sequence
    places = [(packet.sequence - first + 0x8000) % 0x10000 for packet in made.packets]
    return max(places) - min(places) + 1


def _heard(made: Call) -> tuple[int, IncomingStats, list[float]]:
    """Frames that were heard of what arrived, as it arrived; and the delay after each packet."""
    ears, heard, delays = IncomingAudio(made.peer.incoming), 0, []
    for packet, arrived in zip(made.packets, made.arrivals, strict=True):
        heard += len(ears.push(packet, arrived))
        delays.append(ears.stats.delay_ms)
    return heard // FRAME_BYTES, ears.stats, delays


@pytest.mark.parametrize(("loss", "seed"), [(0.01, 1), (0.05, 2)])
async def test_no_more_is_lost_than_the_network_lost(loss: float, seed: int) -> None:
    made, _ = await _called(loss, seed)
    heard, stats, _ = _heard(made)
    sent = _span(made)
    arrived = len({packet.sequence for packet in made.packets})
    lost_by_network = 1 - arrived / sent
    given_up = stats.lost / sent  # those that came too late among them
    assert given_up <= lost_by_network + 0.005
    assert stats.recovered + stats.concealed >= stats.lost - 1, "what is missing is made up"
    assert abs(heard - sent) <= 0.005 * sent + 6, "nothing is missing in time"


async def test_a_loss_delays_what_follows_for_less_than_a_second() -> None:
    made, _ = await _called(0.0, 3)
    at = len(made.packets) // 2
    _, before, usual = _heard(made)
    lost_at = made.arrivals[at]
    del made.packets[at], made.arrivals[at], usual[at]
    _, after, delays = _heard(made)
    assert after.lost == before.lost + 1
    changed = [
        arrived - lost_at
        for arrived, usually, now in zip(made.arrivals, usual, delays, strict=True)
        if abs(usually - now) > 1
    ]
    assert changed, "the packets after it waited for it"
    assert max(changed) < 1.0
    assert max(delays) < 140
