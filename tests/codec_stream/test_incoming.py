"""Scope: what is heard of a peer whatever the network and the peer do: lossy networks, stalls, garbage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from codec_stream.incoming import STALL_S, IncomingAudio
from codec_stream.packets import RTP_CLOCKS, AudioPacket, packet_decoder, packet_encoder
from tests.codec_stream.network import carried, heard_at, rtp
from tests.codec_stream.signals import level_db, voiced_sound

RATE, PACKET_BYTES = 24000, 960
TYPES = {111: "opus", 0: "PCMU", 8: "PCMA", 9: "G722"}
TYPE_OF = {encoding: payload_type for payload_type, encoding in TYPES.items()}
VOICE = voiced_sound(10 * RATE).tobytes()


def speech(encoding: str = "opus", count: int = 500, **start: int) -> list[AudioPacket]:
    encoder = packet_encoder(encoding)
    cut = [VOICE[at : at + PACKET_BYTES] for at in range(0, count * PACKET_BYTES, PACKET_BYTES)]
    return rtp([encoder.encode(pcm) for pcm in cut], encoder.clock_ticks, TYPE_OF[encoding], **start)


def decoded(packets: list[AudioPacket]) -> bytes:
    decoder = packet_decoder(TYPES[packets[0].payload_type])
    return b"".join(decoder.decode(packet.payload) for packet in packets)


def on_time(packets: list[AudioPacket], start: float = 0.0) -> list[tuple[float, AudioPacket]]:
    return [(start + 0.02 * number, packet) for number, packet in enumerate(packets)]


def together(heard: list[tuple[float, bytes]]) -> NDArray[np.int16]:
    return np.frombuffer(b"".join(pcm16 for _, pcm16 in heard), dtype="<i2")


def seconds(heard: list[tuple[float, bytes]]) -> float:
    return len(together(heard)) / RATE


@pytest.mark.parametrize("encoding", RTP_CLOCKS)
@pytest.mark.parametrize("start", [{}, {"sequence": 65500, "timestamp": 0xFFFFFFFF - 5000}])
def test_packets_on_time_are_heard_at_once_and_as_they_decode(encoding: str, start: dict[str, int]) -> None:
    audio, packets = IncomingAudio(TYPES), speech(encoding, 100, **start)
    for now, packet in on_time(packets):
        assert len(audio.push(packet, now)) == PACKET_BYTES
    again = IncomingAudio(TYPES)
    assert together(heard_at(again, on_time(packets))).tobytes() == decoded(packets)
    stats = again.stats
    assert (stats.received, stats.lost, stats.concealed, stats.delay_ms) == (100, 0, 0, 0.0)


@pytest.mark.parametrize("encoding", RTP_CLOCKS)
@pytest.mark.parametrize("loss", [0.01, 0.05])
@pytest.mark.parametrize("seed", range(3))
def test_over_a_lossy_network_hardly_more_is_made_up_than_was_lost(encoding: str, loss: float, seed: int) -> None:
    audio, packets = IncomingAudio(TYPES), speech(encoding)
    arrivals = carried(packets, loss, 0.050, 0.020, seed)
    heard = heard_at(audio, arrivals, until=arrivals[-1][0] + STALL_S)
    stats, sent = audio.stats, len(packets)
    lost = sent - len(arrivals)
    assert stats.received == len(arrivals)
    assert stats.lost <= lost + 0.005 * sent
    assert stats.recovered + stats.concealed == stats.lost
    assert stats.recovered > 0 or encoding != "opus"
    # Every frame from the first to arrive to the last is heard once: decoded, recovered or concealed.
    frames = max(packet.sequence for _, packet in arrivals) - arrivals[0][1].sequence + 1
    assert frames - 0.005 * sent <= round(seconds(heard) / 0.02, 3) <= frames


@pytest.mark.parametrize("loss", [0.01, 0.05])
def test_audio_lies_at_its_place_after_losses(loss: float) -> None:
    # Packets that keep their order, so that the first to arrive is the first sent.
    packets = speech("PCMU")
    heard = together(heard_at(IncomingAudio(TYPES), carried(packets, loss, 0.050, 0.0, 1)))
    whole = np.frombuffer(decoded(packets), dtype="<i2")[: len(heard)]
    assert level_db(heard.astype(int) - whole, whole) < -10


def test_the_delay_of_a_single_loss_is_gone_within_a_second() -> None:
    audio, packets = IncomingAudio(TYPES), speech()
    arrivals = [arrival for arrival in carried(packets, 0.0, 0.050, 0.002, 3) if arrival[1] is not packets[200]]
    delays = []
    for arrived, packet in arrivals:
        if audio.due_at is not None and audio.due_at < arrived:
            audio.poll(audio.due_at)
            delays.append((packet.sequence, audio.stats.delay_ms))
        audio.push(packet, arrived)
        delays.append((packet.sequence, audio.stats.delay_ms))
    assert 19.9 < max(delay for _, delay in delays) <= 120
    assert all(delay == 0 for number, delay in delays if number < 200 or number > 205)


def test_a_lost_packet_is_heard_as_the_next_one_repeats_it() -> None:
    packets = speech(count=60)
    decoder = packet_decoder("opus")
    which = next(n for n in range(30, 50) if decoder.repeats_previous(packets[n + 1].payload))
    expected = b"".join(decoder.decode(packet.payload) for packet in packets[:which])
    expected += decoder.recover(packets[which + 1].payload, 480)
    expected += b"".join(decoder.decode(packet.payload) for packet in packets[which + 1 :])
    audio = IncomingAudio(TYPES)
    arrivals = [(now, packet) for now, packet in on_time(packets) if packet is not packets[which]]
    assert together(heard_at(audio, arrivals)).tobytes() == expected
    assert (audio.stats.lost, audio.stats.recovered, audio.stats.concealed) == (1, 1, 0)


@pytest.mark.parametrize("encoding", RTP_CLOCKS)
def test_a_pause_of_the_sender_is_as_long_as_it_was_whether_silence_was_fed_in_it_or_not(encoding: str) -> None:
    for left_out in (3, 8, 9, 19, 25, 45):
        audio, packets = IncomingAudio(TYPES), speech(encoding, 100)
        spoken = [*packets[:20], *packets[20 + left_out :]]
        renumbered = [
            AudioPacket(packet.payload_type, number, packet.timestamp, packet.payload, packet.ssrc)
            for number, packet in enumerate(spoken)
        ]
        arrivals = [(0.02 * packets.index(packet), new) for packet, new in zip(spoken, renumbered, strict=True)]
        heard = heard_at(audio, arrivals)
        assert seconds(heard) == pytest.approx(2.0), left_out
        assert audio.stats.lost == audio.stats.concealed == 0
        if left_out > 10:
            pause = together(heard)[(20 + 6) * 480 : (20 + left_out) * 480]
            assert not pause.any()


def test_when_nothing_comes_silence_passes_in_real_time_and_starts_by_fading_out_what_was_heard() -> None:
    audio, packets = IncomingAudio(TYPES), speech(count=50)
    heard_at(audio, on_time(packets))
    last = 0.02 * 49
    fed = heard_at(audio, [], until=last + 3.0)
    assert min(time for time, _ in fed) == pytest.approx(last + STALL_S + 0.02)
    assert {len(pcm16) for _, pcm16 in fed} == {PACKET_BYTES}
    assert seconds(fed) == pytest.approx(3.0 - STALL_S, abs=0.021)
    sound = together(fed)
    assert level_db(sound[:480], np.frombuffer(decoded(packets), dtype="<i2")[-480:]) > -6
    assert level_db(sound[2390:2400], sound[:480]) < -25
    assert not sound[2400:].any()


def test_every_stall_starts_by_fading_out_what_was_heard() -> None:
    audio, packets = IncomingAudio(TYPES), speech(count=100)
    heard_at(audio, on_time(packets[:50]), until=2.0)
    heard_at(audio, on_time(packets[50:], start=2.0))
    fed = together(heard_at(audio, [], until=5.0))
    assert level_db(fed[:480], np.frombuffer(decoded(packets), dtype="<i2")[-480:]) > -6
    assert not fed[2400:].any()


def test_a_pause_that_the_timestamps_claim_is_a_second_at_most() -> None:
    audio, packets = IncomingAudio(TYPES), speech(count=300)
    claimed = [
        AudioPacket(111, p.sequence, p.timestamp + 30 * 48000 * (p.sequence > 200), p.payload, 7) for p in packets
    ]
    assert seconds(heard_at(audio, on_time(claimed))) == pytest.approx(7.0)


def test_a_stalled_burst_is_heard_whole_and_the_stream_goes_on_without_delay() -> None:
    audio, packets = IncomingAudio(TYPES), speech(count=300)
    arrivals = [(max(now, 3.0) if 1.0 <= now < 3.0 else now, packet) for now, packet in on_time(packets)]
    heard = heard_at(audio, arrivals)
    stall = 3.0 - 0.98 - STALL_S
    assert seconds(heard) == pytest.approx(6.0 + stall, abs=0.02)
    burst = b"".join(pcm16 for time, pcm16 in heard if time == 3.0)
    assert len(burst) >= 101 * PACKET_BYTES
    assert audio.stats.delay_ms == 0
    assert audio.stats.lost == audio.stats.late == 0


@pytest.mark.parametrize("stall", [5.0, 9.0])
def test_a_long_stall_is_heard_whole_and_what_comes_on_time_after_it_too(stall: float) -> None:
    audio, packets = IncomingAudio(TYPES), speech()
    heard_at(audio, [(max(now, stall) if now else now, packet) for now, packet in on_time(packets)])
    assert (audio.stats.excess, audio.stats.lost) == (0, 0)


def test_a_sender_that_is_faster_than_time_is_heard_for_as_long_as_passed_and_some_seconds() -> None:
    audio, (packet, *_) = IncomingAudio(TYPES), speech(count=1)
    longest = bytes([packet.payload[0] & 0xFC | 3, 6]) + 6 * packet.payload[1:]  # six frames of 20 ms in one packet
    flood = [(0.001 * number, packet) for number, packet in enumerate(rtp([longest] * 3000, 5760))]
    heard = seconds(heard_at(audio, flood))
    assert 3.0 + 4.8 < heard <= 3.0 + 5.0
    assert audio.stats.excess == 3000 - round(heard / 0.12)
    assert audio.stats.lost == audio.stats.concealed == 0
    # On time again it is heard again, and what was dropped left no gap.
    calm = rtp([longest] * 50, 5760, sequence=3000, timestamp=3000 * 5760)
    assert seconds(heard_at(audio, [(3.12 + 0.12 * number, packet) for number, packet in enumerate(calm)])) >= 5.88


def test_a_sender_cannot_save_up_minutes_to_be_heard_at_once() -> None:
    audio, (packet, *_) = IncomingAudio(TYPES), speech(count=1)
    first, *flood = rtp([packet.payload] * 3000, 960)
    heard_at(audio, [(0.0, first)], until=60.0)
    assert seconds(heard_at(audio, [(60.0, packet) for packet in flood])) == pytest.approx(10.0, abs=0.021)
    assert audio.stats.excess == pytest.approx(2500, abs=1)


def test_a_sender_cannot_save_up_minutes_to_be_made_up_at_once() -> None:
    audio, (packet, *_) = IncomingAudio(TYPES), speech(count=1)
    spoken = rtp([packet.payload] * 3000, 960)
    heard_at(audio, on_time(spoken))
    pauses = rtp([packet.payload] * 50, 48000, sequence=3000, timestamp=3000 * 960 + 47040)
    assert seconds(heard_at(audio, [(60.0, packet) for packet in pauses])) == pytest.approx(5.0 + 50 * 0.02)


def test_an_encoding_that_comes_back_goes_on_with_the_decoder_it_had() -> None:
    audio, packets, between = IncomingAudio(TYPES), speech(count=20), speech("PCMU", 1)[0]
    heard = heard_at(audio, [(0.02 * number, packet) for number, packet in enumerate([*packets[:10], between])])
    heard += heard_at(audio, on_time(packets[10:], 0.22))
    sound = together(heard).tobytes()
    assert sound[: 10 * PACKET_BYTES] + sound[11 * PACKET_BYTES :] == decoded(packets)


@pytest.mark.parametrize("outage", [0.1, 0.3, 1.0, 2.5])
def test_packets_lost_in_an_outage_are_not_made_up_on_top_of_the_silence_that_stood_for_them(outage: float) -> None:
    audio, packets = IncomingAudio(TYPES), speech(count=300)
    arrivals = [(now, packet) for now, packet in on_time(packets) if not 1.0 <= now < 1.0 + outage]
    assert seconds(heard_at(audio, arrivals)) == pytest.approx(6.0, abs=0.005)
    assert audio.stats.lost == round(outage / 0.02)


def test_silence_of_an_old_stall_does_not_shorten_later_pauses() -> None:
    audio, packets = IncomingAudio(TYPES), speech(count=300)
    stalled = [(max(now, 2.0) if 1.0 <= now < 2.0 else now, packet) for now, packet in on_time(packets)]
    without_loss = seconds(heard_at(audio, stalled))
    audio = IncomingAudio(TYPES)
    with_loss = seconds(heard_at(audio, [arrival for arrival in stalled if not 4.0 <= arrival[0] < 4.5]))
    assert audio.stats.lost == 25
    assert with_loss == pytest.approx(without_loss, abs=0.005)


def test_a_poll_that_comes_late_by_minutes_feeds_a_second() -> None:
    audio, (packet, *_) = IncomingAudio(TYPES), speech(count=1)
    audio.push(packet, 0.0)
    assert len(audio.poll(300.0)) == 2 * RATE
    assert audio.due_at == pytest.approx(300.02, abs=0.02)


@pytest.mark.parametrize("payload", [b"", b"\x03", b"\xff\x3f", b"\x01abc"])
def test_payloads_that_cannot_be_decoded_are_counted_and_concealed(payload: bytes) -> None:
    packets = speech(count=100)
    troubled = [
        AudioPacket(111, p.sequence, p.timestamp, payload if number in (40, 60, 61) else p.payload, 7)
        for number, p in enumerate(packets)
    ]
    audio = IncomingAudio(TYPES)
    heard = together(heard_at(audio, on_time(troubled)))
    stats = audio.stats
    assert (stats.undecodable, stats.concealed, stats.lost) == (3, 3, 0)
    assert len(heard) == 100 * 480
    assert level_db(heard[40 * 480 : 41 * 480], heard[39 * 480 : 40 * 480]) > -10


def test_a_packet_that_is_broken_behind_what_it_repeats_conceals_the_lost_one_before_it() -> None:
    first, broken = speech(count=1)[0], b"\x55\xff"  # two frames of one size, in an odd number of bytes
    arrivals = [(0.0, first), (0.04, AudioPacket(111, 2, 4800, broken, 7))]
    audio = IncomingAudio(TYPES)
    heard = heard_at(audio, arrivals, until=0.1)
    stats = audio.stats
    assert (stats.lost, stats.concealed, stats.recovered, stats.undecodable) == (1, 2, 0, 1)
    assert seconds(heard) <= 0.02 + 0.1


def test_a_gap_and_a_stall_that_are_seen_together_are_no_longer_than_the_time_that_passed() -> None:
    (first,) = speech(count=1)
    audio = IncomingAudio(TYPES)
    heard = [(0.0, audio.push(first, 0.0))]
    for number, arrived in ((3, 0.17), (4, 0.17), (5, 0.32)):  # nobody polls in between
        event = AudioPacket(101, number, first.timestamp + 19200, b"\x05", 7)
        heard.append((arrived, audio.push(event, arrived)))
    assert seconds(heard) <= 0.02 + 0.32


def test_empty_packets_between_the_others_take_no_time() -> None:
    # As an SFU sends them to probe the path: numbers of their own, the timestamp of the packet before.
    packets, probed = speech(count=50), []
    for number, packet in enumerate(packets):
        probed.append(AudioPacket(111, 2 * number, packet.timestamp, packet.payload, 7))
        probed.append(AudioPacket(111, 2 * number + 1, packet.timestamp, b"", 7))
    audio = IncomingAudio(TYPES)
    heard = heard_at(audio, [(0.01 * number, packet) for number, packet in enumerate(probed)])
    assert together(heard).tobytes() == decoded(packets)
    assert (audio.stats.undecodable, audio.stats.concealed) == (50, 0)


def test_payload_types_that_were_not_agreed_on_are_ignored_without_leaving_gaps() -> None:
    packets = speech(count=60)
    mixed = [
        AudioPacket(101, p.sequence, packets[20].timestamp, b"\x05\x0a\x00\xa0", 7) if 20 <= number < 25 else p
        for number, p in enumerate(packets)
    ]
    audio = IncomingAudio(TYPES)
    heard = heard_at(audio, on_time(mixed))
    assert (audio.stats.ignored, audio.stats.lost) == (5, 0)
    assert seconds(heard) == pytest.approx(1.2)
    foreign = [AudioPacket(96, number, 0, bytes(1000), 99) for number in range(5)]
    assert heard_at(audio, [(1.2, packet) for packet in foreign]) == []
    assert audio.stats.ignored == 10
    (following,) = speech(count=61)[60:]
    assert len(audio.push(following, 1.2)) == PACKET_BYTES


def test_before_the_first_packet_nothing_is_heard_and_nothing_is_due() -> None:
    audio = IncomingAudio(TYPES)
    assert audio.poll(100.0) == b""
    assert audio.push(AudioPacket(96, 1, 1, b"abc", 1), 101.0) == b""
    assert audio.due_at is None
    assert audio.stats.received == audio.stats.ignored == 1


def test_a_peer_may_change_its_encoding_and_its_ssrc() -> None:
    audio = IncomingAudio(TYPES)
    parts = [speech("PCMU", 50), speech("opus", 50, sequence=50, timestamp=99), speech("opus", 50, sequence=9, ssrc=8)]
    arrivals = [arrival for number, part in enumerate(parts) for arrival in on_time(part, float(number))]
    heard = heard_at(audio, arrivals)
    assert seconds(heard) == pytest.approx(3.0)
    assert (audio.stats.received, audio.stats.lost, audio.stats.late) == (150, 0, 0)


def test_what_waits_when_the_encoding_changes_is_heard_before_it() -> None:
    audio, (first, _, third) = IncomingAudio(TYPES), speech("PCMU", 3)
    audio.push(first, 0.0)
    assert audio.push(third, 0.04) == b""
    (changed,) = speech("opus", 1, sequence=3)
    assert len(audio.push(changed, 0.05)) == 3 * PACKET_BYTES  # the missing one, the one that waited, the new one
    assert audio.stats.lost == audio.stats.concealed == 1


def test_an_encoding_that_is_not_known_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="encoding is 'AMR'; use one of opus, PCMU, PCMA, G722"):
        IncomingAudio({96: "AMR"})


GOOD = {encoding: speech(encoding, 20) for encoding in RTP_CLOCKS}
payloads = st.one_of(
    st.binary(max_size=60),
    st.sampled_from([packet.payload for packets in GOOD.values() for packet in packets]),
)
strange = st.builds(
    AudioPacket,
    payload_type=st.sampled_from([111, 0, 8, 9, 101]),
    sequence=st.integers(0, 0xFFFF) | st.integers(0, 40),
    timestamp=st.integers(0, 0xFFFFFFFF) | st.integers(0, 40000),
    payload=payloads,
    ssrc=st.sampled_from([7, 7, 7, 8]),
)
steady = st.sampled_from([packet for packets in GOOD.values() for packet in packets])


def duration_s(packet: AudioPacket) -> float:
    """At most; what Opus holds is 120 ms, what the others hold is a byte for each 125 us."""
    return 0.120 if packet.payload_type == 111 else len(packet.payload) / 8000


@settings(max_examples=300, deadline=None)
@given(
    events=st.lists(st.tuples(st.sampled_from([0.0, 0.001, 0.02, 0.02, 0.15, 0.5, 3.0]), strange | steady), max_size=80)
)
def test_nothing_that_a_peer_sends_raises_or_makes_more_audio_than_time_and_packets_hold(
    events: list[tuple[float, AudioPacket]],
) -> None:
    audio, now, arrivals = IncomingAudio(TYPES), 5.0, []
    for wait, packet in events:
        now += wait
        arrivals.append((now, packet))
    heard = heard_at(audio, arrivals, until=now + 0.5)
    assert all(len(pcm16) % 2 == 0 for _, pcm16 in heard)
    passed = now + 0.5 - 5.0
    assert seconds(heard) <= passed + min(sum(duration_s(packet) for _, packet in arrivals), passed + 5.0) + 1e-6
    assert audio.stats.received == len(events)
