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


def _heard(made: Call) -> tuple[list[int], IncomingStats]:
    """How many frames had been heard when each packet had arrived."""
    ears, heard, so_far = IncomingAudio(made.peer.incoming), [], 0
    for packet, arrived in zip(made.packets, made.arrivals, strict=True):
        so_far += len(ears.push(packet, arrived))
        heard.append(so_far // FRAME_BYTES)
    return heard, ears.stats


@pytest.mark.parametrize(("loss", "seed"), [(0.01, 1), (0.05, 2)])
async def test_no_more_is_lost_than_the_network_lost(loss: float, seed: int) -> None:
    made, _ = await _called(loss, seed)
    heard, stats = _heard(made)
    sent = _span(made)
    arrived = len({packet.sequence for packet in made.packets})
    lost_by_network = 1 - arrived / sent
    given_up = stats.lost / sent  # those that came too late among them
    assert given_up <= lost_by_network + 0.005 + 1 / sent
    assert stats.recovered + stats.concealed >= stats.lost - 1, "what is missing is made up"
    assert abs(heard[-1] - sent) <= 0.005 * sent + 6, "nothing is missing in time"


async def test_a_loss_delays_what_follows_for_less_than_a_second() -> None:
    made, _ = await _called(0.0, 3)
    at = len(made.packets) // 2
    usual, before = _heard(made)
    lost_at = made.arrivals[at]
    del made.packets[at], made.arrivals[at], usual[at]
    heard, after = _heard(made)
    assert after.lost == before.lost + 1
    waited = [
        arrived - lost_at for arrived, most, frames in zip(made.arrivals, usual, heard, strict=True) if frames < most
    ]
    assert waited, "those after it waited for it"
    assert max(waited) < 1.0
    assert heard[-1] == usual[-1]
