"""Scope: what a listener hears next where the server plays: order, start, running dry, taking back, to the sample."""

from array import array

import pytest

from realtime.shell.play_queue import PACKET_SAMPLES, SILENCE, Packet, PlayQueue

MS = 24
"""Samples of a millisecond."""


def pcm(samples: int, value: int = 1000) -> bytes:
    return array("h", [value] * samples).tobytes()


def heard(packets: list[Packet], response_id: str) -> int:
    return sum(samples for packet in packets for owner, samples in packet.played if owner == response_id)


def take(queue: PlayQueue, packets: int) -> list[Packet]:
    taken = [queue.take() for _ in range(packets)]
    assert all(len(packet.pcm) == len(SILENCE) for packet in taken)
    return taken


def test_nothing_to_say_is_silence() -> None:
    assert PlayQueue().take() == Packet(SILENCE)


def test_speech_starts_once_enough_of_it_is_there() -> None:
    queue = PlayQueue()
    queue.put("a", pcm(40 * MS))
    assert queue.take() == Packet(SILENCE)
    queue.put("a", pcm(40 * MS))
    assert queue.take() == Packet(pcm(PACKET_SAMPLES), (("a", PACKET_SAMPLES),))


def test_a_short_response_starts_when_it_is_whole() -> None:
    queue = PlayQueue()
    queue.put("a", pcm(10 * MS))
    queue.finish("a")
    assert queue.take() == Packet(pcm(10 * MS) + bytes(2 * 10 * MS), (("a", 10 * MS),))
    assert queue.take() == Packet(SILENCE)


def test_every_sample_is_played_once_and_in_order() -> None:
    queue, said = PlayQueue(), array("h", range(1, 9601))
    for at in range(0, 9600, 700):
        queue.put("a", said[at : at + 700].tobytes())
    queue.finish("a")
    packets = take(queue, 20)
    assert b"".join(packet.pcm for packet in packets) == said.tobytes()
    assert heard(packets, "a") == 9600


def test_the_next_response_follows_without_a_hole() -> None:
    queue = PlayQueue()
    queue.put("a", pcm(70 * MS, 1))
    queue.put("b", pcm(70 * MS, 2))
    queue.finish("a")
    queue.finish("b")
    packets = take(queue, 7)
    assert b"".join(packet.pcm for packet in packets) == pcm(70 * MS, 1) + pcm(70 * MS, 2)
    assert packets[3].played == (("a", 10 * MS), ("b", 10 * MS))


def test_a_later_response_waits_until_the_one_before_is_whole() -> None:
    queue = PlayQueue()
    queue.put("a", pcm(60 * MS, 1))
    queue.put("b", pcm(60 * MS, 2))
    packets = take(queue, 6)
    assert (heard(packets, "a"), heard(packets, "b")) == (60 * MS, 0)
    queue.finish("a")
    assert heard(take(queue, 1), "b") == PACKET_SAMPLES


def test_a_response_that_runs_dry_waits_for_as_much_again() -> None:
    queue = PlayQueue()
    queue.put("a", pcm(70 * MS))
    assert heard(take(queue, 6), "a") == 70 * MS
    queue.put("a", pcm(40 * MS))
    assert heard(take(queue, 3), "a") == 0
    queue.put("a", pcm(40 * MS))
    assert heard(take(queue, 6), "a") == 80 * MS


def test_what_is_taken_back_fades_out_within_five_milliseconds_and_is_not_counted_as_heard() -> None:
    queue = PlayQueue()
    queue.put("a", pcm(200 * MS, 12000))
    queue.take()
    queue.drop("a")
    packet = queue.take()
    samples = array("h", packet.pcm)
    assert packet.played == ()
    assert samples[0] == 12000
    assert list(samples) == sorted(samples, reverse=True)
    assert not any(samples[5 * MS :])
    assert queue.take() == Packet(SILENCE)


def test_taking_back_what_was_not_heard_yet_leaves_no_trace() -> None:
    queue = PlayQueue()
    queue.put("a", pcm(60 * MS, 1))
    queue.put("b", pcm(60 * MS, 2))
    queue.take()
    queue.drop("b")
    queue.finish("a")
    assert b"".join(packet.pcm for packet in take(queue, 2)) == pcm(40 * MS, 1)
    assert queue.take() == Packet(SILENCE)


@pytest.mark.parametrize("moves", ["finish", "drop"])
def test_a_response_that_never_gave_speech_can_be_ended(moves: str) -> None:
    queue = PlayQueue()
    getattr(queue, moves)("a")
    assert queue.take() == Packet(SILENCE)
