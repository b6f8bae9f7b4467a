"""Scope: real speech on a real WebSocket: turns found by the server's own detector, announced and committed."""

from typing import Any

import numpy as np
import pytest

from tests.hearing import sounds
from tests.serving.wire import Service, wire

pytestmark = pytest.mark.asyncio(loop_scope="session")

TURN = [
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
]


async def test_two_sentences_are_two_turns_where_they_were_said(resting: Service) -> None:
    question, yes = sounds.clip("question"), sounds.clip("yes")
    said = np.concatenate([sounds.silence(1.0), question, sounds.silence(1.0), yes, sounds.silence(1.0)])
    audio = sounds.pcm(said + 0.0003 * sounds.noise("pink", len(said)))
    detection = {"type": "server_vad", "prefix_padding_ms": 0, "silence_duration_ms": 500}
    async with wire(resting, binary=True) as client:
        session = {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}
        await client.ask("session.update", "session.updated", session=session)
        for at in range(0, len(audio), 1920):  # 40 ms at a time
            await client.send("input_audio_buffer.append", audio=client.audio(audio[at : at + 1920]))
        events: list[dict[str, Any]] = await client.until("conversation.item.done", count=2)
        heard = await client.ask("conversation.item.retrieve", "conversation.item.retrieved", item_id=_items(events)[0])
    assert [event["type"] for event in events] == TURN * 2
    starts = [event["audio_start_ms"] for event in events if "audio_start_ms" in event]
    stops = [event["audio_end_ms"] - 500 for event in events if "audio_end_ms" in event]
    expected = [1000, 1000 + len(question) / 24, 2000 + len(question) / 24, 2000 + (len(question) + len(yes)) / 24]
    assert starts == pytest.approx(expected[::2], abs=200)
    assert stops == pytest.approx(expected[1::2], abs=350)
    first, last = starts[0] * 24, (stops[0] + 500) * 24
    recorded = heard["item"]["content"][0]["audio"]
    assert len(recorded) == pytest.approx(2 * (last - first), abs=2 * 48)
    assert recorded in audio


def _items(events: list[dict[str, Any]]) -> list[str]:
    return [event["item_id"] for event in events if event["type"] == "input_audio_buffer.committed"]
