"""Scope: the pace of what is played: a packet every 20 ms, encoded as it leaves, holes where time was lost."""

import asyncio
import contextlib
import time
from array import array
from collections.abc import Callable

from realtime.shell.play_queue import PACKET_SAMPLES, SILENCE
from realtime.shell.player import PACKET_S, Player

TICKS = 960
REST = b"rest"
SPEECH = array("h", [1000] * PACKET_SAMPLES).tobytes()


class Plain:
    """Encodes PCM as itself, and counts."""

    clock_ticks = TICKS

    def __init__(self) -> None:
        self.encoded = self.rested = 0
        self.protected: list[bool] = []

    def encode(self, pcm: bytes) -> bytes:
        self.encoded += 1
        return pcm

    def protect(self, on: bool) -> None:
        self.protected.append(on)

    def rest(self) -> bytes:
        self.rested += 1
        return REST


class Wire:
    """Keeps what was sent, with the media time at which it was."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, bytes]] = []
        self.clock = 0
        self.lossy = True
        self.away = False

    def send_audio(self, payload: bytes, ticks: int) -> None:
        self.sent.append((self.clock, payload))
        self.clock += ticks

    def skip(self, ticks: int) -> None:
        self.clock += ticks


async def _run(player: Player, on_played: Callable[[str, int], None], until: Callable[[], bool]) -> float:
    """Let it play until something holds; how long that took."""
    playing, began = asyncio.create_task(player.run(on_played)), time.monotonic()
    async with asyncio.timeout(20):
        while not until():
            await asyncio.sleep(0.005)
    playing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await playing
    return time.monotonic() - began


async def test_packets_go_out_at_the_pace_of_the_clock_and_none_is_early() -> None:
    wire, late = Wire(), list[float]()
    player = Player(Plain(), wire, late.append)
    took = await _run(player, lambda *_: None, lambda: len(wire.sent) >= 25)
    assert len(wire.sent) <= took / PACKET_S + 1
    assert len(late) == len(wire.sent)
    assert min(late) >= 0
    assert [at for at, _ in wire.sent[:10]] == [n * TICKS for n in range(10)]


async def test_what_is_played_is_told_as_it_goes_out() -> None:
    wire, told = Wire(), list[tuple[str, int]]()
    player = Player(Plain(), wire, lambda _: None)
    player.put("a", SPEECH * 4)
    player.put("a", SPEECH[:200])
    player.finish("a")
    await _run(player, lambda owner, samples: told.append((owner, samples)), lambda: len(wire.sent) >= 8)
    assert told == [("a", PACKET_SAMPLES)] * 4 + [("a", 100)]
    assert [payload for _, payload in wire.sent[:4]] == [SPEECH] * 4


async def test_long_silence_is_encoded_once_and_sent_all_the_same() -> None:
    wire, encoder = Wire(), Plain()
    player = Player(encoder, wire, lambda _: None)
    await _run(player, lambda *_: None, lambda: len(wire.sent) >= 20)
    assert (encoder.encoded, encoder.rested) == (10, 1)
    assert [payload for _, payload in wire.sent] == [SILENCE] * 10 + [REST] * (len(wire.sent) - 10)


async def test_after_a_rest_speech_is_encoded_again_and_the_next_silence_rests_anew() -> None:
    wire, encoder = Wire(), Plain()
    player = Player(encoder, wire, lambda _: None)

    def speak_once() -> bool:
        if len(wire.sent) >= 12 and not spoken_at:
            spoken_at.append(len(wire.sent))
            player.put("a", SPEECH * 3)
            player.finish("a")
        return len(wire.sent) >= 40

    spoken_at: list[int] = []
    await _run(player, lambda *_: None, speak_once)
    assert [payload for _, payload in wire.sent].count(SPEECH) == 3
    assert encoder.rested == 2


async def test_packets_are_protected_while_the_line_may_lose_them() -> None:
    wire, encoder = Wire(), Plain()
    player = Player(encoder, wire, lambda _: None)
    player.put("a", SPEECH * 100)

    def heal_once() -> bool:
        wire.lossy = len(wire.sent) < 5
        return len(wire.sent) >= 10

    await _run(player, lambda *_: None, heal_once)
    assert encoder.protected == [True, False]


async def test_a_loop_that_stood_still_leaves_a_hole_and_no_burst() -> None:
    wire = Wire()
    player = Player(Plain(), wire, lambda _: None)

    def stand_still_once() -> bool:
        if len(wire.sent) == 3:
            time.sleep(0.5)
        return len(wire.sent) >= 8

    await _run(player, lambda *_: None, stand_still_once)
    steps = [after - before for (before, _), (after, _) in zip(wire.sent, wire.sent[1:], strict=False)]
    assert max(steps) >= 0.4 / PACKET_S * TICKS
    assert sum(step > TICKS for step in steps) == 1


async def test_speech_is_kept_for_a_listener_who_may_be_gone() -> None:
    wire, told = Wire(), list[int]()
    player = Player(Plain(), wire, lambda _: None)
    player.put("a", SPEECH * 10)

    def lose_and_find_again() -> bool:
        wire.away = 3 <= len(wire.sent) < 8
        return len(wire.sent) >= 12

    await _run(player, lambda _, samples: told.append(samples), lose_and_find_again)
    spoken = [payload == SPEECH for _, payload in wire.sent]
    assert 3 <= spoken.index(False) <= 5
    assert not all(spoken[3:8])
    assert spoken[-1]
    assert sum(told) == sum(spoken) * PACKET_SAMPLES


async def test_speech_taken_back_is_never_encoded() -> None:
    wire, encoder = Wire(), Plain()
    player = Player(encoder, wire, lambda _: None)
    player.put("a", SPEECH * 50)
    player.drop("a")
    await _run(player, lambda *_: None, lambda: len(wire.sent) >= 3)
    assert {payload for _, payload in wire.sent} == {SILENCE}
