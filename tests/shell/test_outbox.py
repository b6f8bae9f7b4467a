"""Scope: what waits for one connection: in order, speech counted and taken back, and room again once little waits."""

import asyncio

import pytest

from protocol.objects import PcmFormat
from protocol.server_events import AudioDelta, InputCleared
from realtime.session.messages import FinishAudio, Send, SendAudio
from realtime.shell.outbox import Outbox

MANY = 1024


def _speech(response_id: str, samples: int = 10) -> SendAudio:
    delta = AudioDelta(event_id="event_1", response_id=response_id, item_id="item_1", delta=bytes(2 * samples))
    return SendAudio(delta, samples, PcmFormat())


def _told(number: int = 0) -> Send:
    return Send(InputCleared(event_id=f"event_{number}"))


async def _taken(outbox: Outbox) -> list[object]:
    return [await outbox.get() for _ in range(len(outbox))]


async def test_messages_go_out_in_the_order_they_came() -> None:
    outbox = Outbox()
    messages = [_told(1), _speech("r"), _told(2), FinishAudio("r", "event_1")]
    for message in messages:
        outbox.put(message)
    assert len(outbox) == 4
    assert await _taken(outbox) == messages
    assert len(outbox) == 0


async def test_whoever_asks_too_early_gets_the_next_message() -> None:
    outbox = Outbox()
    asked = asyncio.create_task(outbox.get())
    await asyncio.sleep(0)
    assert not asked.done()
    outbox.put(_told())
    assert await asked == _told()


async def test_speech_of_a_response_is_taken_back_with_its_end_and_nothing_else_is() -> None:
    outbox = Outbox()
    for message in (_speech("a"), _told(), FinishAudio("a", "event_1"), _speech("b"), FinishAudio("b", "event_1")):
        outbox.put(message)
    outbox.drop_audio("a")
    assert await _taken(outbox) == [_told(), _speech("b"), FinishAudio("b", "event_1")]


async def test_there_is_no_room_while_many_wait_and_room_again_once_one_goes_out() -> None:
    outbox = Outbox()
    for number in range(MANY):
        outbox.put(_told(number))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(outbox.room(), 0.01)
    await outbox.get()
    await asyncio.wait_for(outbox.room(), 5.0)


async def test_one_message_out_of_many_more_makes_no_room() -> None:
    outbox = Outbox()
    for number in range(MANY + 1):
        outbox.put(_told(number))
    await outbox.get()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(outbox.room(), 0.01)


@pytest.mark.parametrize("told", [0, MANY])
async def test_taking_speech_back_makes_room_where_little_is_left(told: int) -> None:
    outbox = Outbox()
    for number in range(told):
        outbox.put(_told(number))
    for _ in range(MANY - told):
        outbox.put(_speech("a"))
    outbox.drop_audio("a")
    assert len(outbox) == told
    if told:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(outbox.room(), 0.01)
    else:
        await asyncio.wait_for(outbox.room(), 5.0)
