"""Scope: packets come out of the jitter buffer in order, at once where they can; what is missing is said in time."""

import random
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec_stream.jitter import (
    MAX_HELD_PACKETS,
    MAX_PATIENCE_S,
    MIN_PATIENCE_S,
    JitterBuffer,
    Missing,
    Ready,
)
from codec_stream.packets import AudioPacket
from tests.codec_stream.network import carried, rtp

CLOCK, TICKS = 8000, 160


def stream(count: int, sequence: int = 100, timestamp: int = 5000, ssrc: int = 7) -> list[AudioPacket]:
    return rtp([bytes(TICKS)] * count, TICKS, sequence=sequence, timestamp=timestamp, ssrc=ssrc)


def buffer() -> JitterBuffer:
    return JitterBuffer(CLOCK, lambda packet: len(packet.payload))


def packets(taken: Iterable[Ready | Missing]) -> list[AudioPacket]:
    return [item.packet for item in taken if isinstance(item, Ready)]


def pushed(jitter: JitterBuffer, packet: AudioPacket, now: float) -> list[Ready | Missing]:
    jitter.push(packet, now)
    return jitter.take(now)


def fed(jitter: JitterBuffer, arrivals: Iterable[tuple[float, AudioPacket]]) -> list[tuple[float, Ready | Missing]]:
    """Each item and when it came out, with `take` called whenever it is due."""
    out: list[tuple[float, Ready | Missing]] = []
    for arrived, packet in arrivals:
        while jitter.due_at is not None and jitter.due_at <= arrived:
            due_at = jitter.due_at
            out += [(due_at, item) for item in jitter.take(due_at)]
        out += [(arrived, item) for item in pushed(jitter, packet, arrived)]
    return out


@pytest.mark.parametrize("sequence", [0, 65530])
@pytest.mark.parametrize("timestamp", [0, 0xFFFFFFFF - 300])
def test_packets_in_order_pass_at_once_even_where_numbers_wrap_around(sequence: int, timestamp: int) -> None:
    jitter = buffer()
    for number, packet in enumerate(stream(20, sequence, timestamp)):
        assert pushed(jitter, packet, 0.02 * number) == [Ready(packet, TICKS, 0, 0.0)]
        assert jitter.due_at is None


def test_a_gap_is_waited_for_and_the_packet_that_fills_it_releases_the_rest() -> None:
    jitter, (first, second, third, fourth) = buffer(), stream(4)
    pushed(jitter, first, 0.0)
    assert pushed(jitter, third, 0.040) == []
    assert jitter.due_at == pytest.approx(0.040 + MIN_PATIENCE_S)
    assert pushed(jitter, fourth, 0.050) == []
    released = pushed(jitter, second, 0.055)
    assert packets(released) == [second, third, fourth]
    assert [item.waited_s for item in released if isinstance(item, Ready)] == pytest.approx([0, 0.015, 0.005])
    assert jitter.due_at is None
    assert jitter.counters.lost == 0


@pytest.mark.parametrize(("sequence", "timestamp"), [(100, 5000), (65534, 0xFFFFFFFF - 200)])
def test_a_packet_that_does_not_come_is_missing_when_patience_ends(sequence: int, timestamp: int) -> None:
    jitter, (first, _, _, fourth) = buffer(), stream(4, sequence, timestamp)
    pushed(jitter, first, 0.0)
    pushed(jitter, fourth, 0.060)
    assert jitter.due_at is not None
    assert jitter.take(jitter.due_at - 0.001) == []
    missing, ready = jitter.take(jitter.due_at)
    assert missing == Missing(packets=2, ticks=2 * TICKS)
    assert isinstance(ready, Ready) and ready.packet is fourth and ready.pause_ticks == 0
    assert jitter.due_at is None
    assert jitter.counters.lost == 2


def test_late_packets_duplicates_and_replays_are_counted_and_not_given_out() -> None:
    jitter, sent = buffer(), stream(30)
    for packet in sent[:10]:
        pushed(jitter, packet, 0.0)
    for packet in sent[11:20]:
        pushed(jitter, packet, 0.0)
    jitter.take(1.0)
    assert jitter.counters.lost == 1
    assert pushed(jitter, sent[10], 1.1) == []  # too late
    assert pushed(jitter, sent[10], 1.1) == []  # and once more
    for packet in sent[:20]:
        assert pushed(jitter, packet, 1.2) == []
    assert (jitter.counters.late, jitter.counters.duplicates) == (1, 21)
    pushed(jitter, sent[22], 1.3)
    assert pushed(jitter, sent[22], 1.3) == []  # while it is held
    assert jitter.counters.duplicates == 22
    assert packets(pushed(jitter, sent[20], 1.3)) == [sent[20]]
    assert packets(pushed(jitter, sent[21], 1.3)) == sent[21:23]


def test_a_replay_from_long_ago_between_live_packets_changes_nothing() -> None:
    jitter, sent = buffer(), stream(1000)
    out = []
    for number, packet in enumerate(sent):
        out += pushed(jitter, packet, 0.02 * number)
        if number >= 500:
            out += pushed(jitter, sent[number - 400], 0.02 * number)
    assert packets(out) == sent
    assert len(out) == len(sent)


def test_patience_grows_with_the_spread_of_delays_and_falls_within_a_second() -> None:
    jitter, sent = buffer(), stream(300)

    def patience_at(number: int, now: float) -> float:
        """Of the gap that opens when packet `number` is left out."""
        assert pushed(jitter, sent[number + 1], now) == []
        assert jitter.due_at is not None
        patience = jitter.due_at - now
        pushed(jitter, sent[number], now)
        return patience

    for number in range(50):
        pushed(jitter, sent[number], 0.02 * number)
    assert patience_at(50, 1.02) == pytest.approx(MIN_PATIENCE_S, abs=0.001)
    pushed(jitter, sent[52], 1.04 + 0.07)  # 70 ms late
    assert patience_at(53, 1.12) == pytest.approx(0.070, abs=0.025)
    for number in range(55, 110):
        pushed(jitter, sent[number], 0.02 * number)
    assert patience_at(110, 2.22) == pytest.approx(MIN_PATIENCE_S, abs=0.001)
    pushed(jitter, sent[112], 2.8)  # a stall
    assert patience_at(113, 2.8) == pytest.approx(MAX_PATIENCE_S)


def test_a_packet_that_came_too_late_makes_the_next_gap_be_waited_for_longer() -> None:
    jitter, sent = buffer(), stream(60)
    for number in [*range(20), *range(21, 25)]:
        pushed(jitter, sent[number], 0.02 * number)
    assert pushed(jitter, sent[20], 0.02 * 20 + 0.090) == []
    assert jitter.counters.late == 1
    for number in range(25, 30):
        pushed(jitter, sent[number], 0.02 * number)
    assert pushed(jitter, sent[31], 0.62) == []
    assert packets(pushed(jitter, sent[30], 0.60 + 0.080)) == [sent[30], sent[31]]
    assert jitter.counters.lost == 1


def test_events_whose_timestamp_stands_still_do_not_count_as_late() -> None:
    jitter, sent = buffer(), stream(40)
    for number in range(20):
        audio = number < 10 or number >= 17
        packet = sent[number] if audio else AudioPacket(101, sent[number].sequence, sent[10].timestamp, b"", 7)
        pushed(jitter, packet, 0.02 * number)
    assert pushed(jitter, sent[21], 0.42) == []
    assert jitter.due_at == pytest.approx(0.42 + MIN_PATIENCE_S)


@pytest.mark.parametrize("seed", range(3))
def test_after_a_single_loss_the_next_packets_pass_at_once_again(seed: int) -> None:
    sent = stream(200)
    arrivals = [arrival for arrival in carried(sent, 0.0, 0.05, 0.0, seed) if arrival[1] is not sent[100]]
    waits = {
        item.packet.sequence - 100: item.waited_s for _, item in fed(buffer(), arrivals) if isinstance(item, Ready)
    }
    assert waits[101] == pytest.approx(MIN_PATIENCE_S, abs=0.001)
    assert all(wait == 0 for number, wait in waits.items() if number < 100 or number > 102)


@pytest.mark.parametrize("seed", range(5))
def test_reordered_packets_are_not_given_up(seed: int) -> None:
    sent = stream(1500)
    jitter = buffer()
    arrivals = carried(sent, 0.0, 0.05, 0.02, seed)
    assert sum(packet.sequence > after.sequence for (_, packet), (_, after) in pairwise(arrivals)) > 100
    out = fed(jitter, arrivals)
    assert jitter.counters.lost <= 0.005 * len(sent)
    sequences = [item.packet.sequence for _, item in out if isinstance(item, Ready)]
    assert sequences == sorted(sequences)


def test_a_jump_of_the_timestamp_alone_is_a_pause() -> None:
    jitter, sent = buffer(), stream(40)
    pushed(jitter, sent[0], 0.0)
    later = AudioPacket(111, sent[1].sequence, sent[20].timestamp, bytes(TICKS), 7)
    (ready,) = pushed(jitter, later, 0.4)
    assert isinstance(ready, Ready) and ready.pause_ticks == 19 * TICKS


def test_packets_without_audio_take_their_number_and_leave_the_time_to_the_next() -> None:
    jitter, sent = buffer(), stream(5)
    pushed(jitter, sent[0], 0.0)
    event = AudioPacket(101, sent[1].sequence, sent[1].timestamp, b"", 7)
    assert pushed(jitter, event, 0.02) == [Ready(event, 0, 0, 0.0)]
    (ready,) = pushed(jitter, sent[2], 0.04)
    assert isinstance(ready, Ready) and ready.pause_ticks == TICKS


def test_a_timestamp_that_goes_back_is_no_pause() -> None:
    jitter, sent = buffer(), stream(5)
    pushed(jitter, sent[3], 0.0)
    back = AudioPacket(111, sent[4].sequence, 0, bytes(TICKS), 7)
    assert pushed(jitter, back, 0.02) == [Ready(back, TICKS, 0, 0.0)]


@pytest.mark.parametrize(("ssrc", "sequence"), [(8, 103), (8, 40000), (7, 40000), (7, 30)])
def test_a_new_stream_starts_with_its_first_packet_once_the_second_confirms_it(ssrc: int, sequence: int) -> None:
    jitter, old = buffer(), stream(400)
    for packet in old[:300]:
        pushed(jitter, packet, 0.0)
    assert pushed(jitter, old[301], 0.0) == []
    first, second, third = stream(3, sequence, 999999, ssrc)
    assert pushed(jitter, first, 0.01) == []
    taken = pushed(jitter, second, 0.03)
    assert taken[0] == Missing(1, TICKS)
    assert packets(taken) == [old[301], first, second]
    assert [item.pause_ticks for item in taken if isinstance(item, Ready)] == [0, 0, 0]
    assert packets(pushed(jitter, third, 0.05)) == [third]
    assert jitter.ssrc == ssrc
    (fifth,) = stream(5, sequence, 999999, ssrc)[4:]
    assert pushed(jitter, fifth, 0.09) == []
    # The old stream's timestamps say nothing of this one's delays.
    assert jitter.due_at == pytest.approx(0.09 + MIN_PATIENCE_S)


def test_one_stray_packet_of_another_stream_is_dropped() -> None:
    jitter, sent = buffer(), stream(10)
    (stray,) = stream(1, 40000, 0, 9)
    pushed(jitter, sent[0], 0.0)
    assert pushed(jitter, stray, 0.01) == []
    assert [packets(pushed(jitter, packet, 0.02)) for packet in sent[1:]] == [[packet] for packet in sent[1:]]
    assert jitter.counters.late == 1


def test_a_burst_behind_a_gap_is_held_up_to_a_bound() -> None:
    jitter, sent = buffer(), stream(MAX_HELD_PACKETS + 10)
    pushed(jitter, sent[0], 0.0)
    out = [item for packet in sent[2:] for item in pushed(jitter, packet, 0.001)]
    assert packets(out) == sent[2:]
    assert out[0] == Missing(1, TICKS)


def test_packets_that_nobody_takes_do_not_pile_up() -> None:
    jitter, sent = buffer(), stream(5 * MAX_HELD_PACKETS)
    for packet in sent:
        jitter.push(packet, 0.0)
    assert packets(jitter.take(0.0)) == sent[: MAX_HELD_PACKETS + 1]


def test_flush_gives_out_everything_without_waiting() -> None:
    jitter, sent = buffer(), stream(10)
    for number in (0, 2, 5, 6, 9):
        pushed(jitter, sent[number], 0.0)
    flushed = jitter.flush(0.0)
    assert packets(flushed) == [sent[number] for number in (2, 5, 6, 9)]
    assert [item.packets for item in flushed if isinstance(item, Missing)] == [1, 2, 2]


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 10**6), loss=st.floats(0, 0.3), spread_s=st.floats(0, 0.2), sequence=st.integers(0, 0xFFFF))
def test_whatever_the_network_does_packets_come_once_in_order_and_gaps_add_up(
    seed: int, loss: float, spread_s: float, sequence: int
) -> None:
    jitter, sent = buffer(), stream(80, sequence, random.Random(seed).randrange(1 << 32))
    arrivals = carried(sent, loss, 0.05, spread_s, seed)
    out = fed(jitter, arrivals)
    out += [(99.0, item) for item in jitter.flush(99.0)]
    numbers = [(item.packet.sequence - sequence) & 0xFFFF for _, item in out if isinstance(item, Ready)]
    assert numbers == sorted(set(numbers))
    if numbers:
        missing = sum(item.packets for _, item in out if isinstance(item, Missing))
        ticks = sum(item.ticks for _, item in out if isinstance(item, Missing))
        assert numbers[-1] - numbers[0] + 1 == len(numbers) + missing
        assert ticks == missing * TICKS
        assert jitter.counters.lost == missing
        assert len(arrivals) == len(numbers) + jitter.counters.late + jitter.counters.duplicates
    for (_, item), (_, following) in pairwise(out):
        assert isinstance(item, Ready) or isinstance(following, Ready)
    waits = [item.waited_s for _, item in out if isinstance(item, Ready)]
    assert jitter.due_at is None and (not waits or min(waits) >= 0)
