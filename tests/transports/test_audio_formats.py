"""Scope: the session's audio formats over real sockets: what a phone gets is what a browser gets, at 8 kHz."""

import base64
from typing import Any

import numpy as np
import pytest

from codec_stream.formats import Encoding, SpeechDecoder, SpeechEncoder
from tests.serving.wire import RATE, Service, noise_clip, wire

pytestmark = pytest.mark.asyncio(loop_scope="session")
TEXT = "Good evening. The train leaves at nine."
FORMATS: list[tuple[dict[str, Any], Encoding, int]] = [
    ({"type": "audio/pcmu"}, "pcm_mulaw", 8000),
    ({"type": "audio/pcma"}, "pcm_alaw", 8000),
    ({"type": "audio/raw", "encoding": "pcm_f32le", "rate": 48000}, "pcm_f32le", 48000),
]
EACH = pytest.mark.parametrize(("form", "encoding", "rate"), FORMATS, ids=[form["type"] for form, _, _ in FORMATS])


@EACH
async def test_speech_comes_in_the_format_asked_for_and_nothing_of_it_is_lost(
    resting: Service, form: dict[str, Any], encoding: Encoding, rate: int
) -> None:
    async with wire(resting, binary=True) as talk:
        plain = await talk.say(TEXT)
    async with wire(resting, binary=True) as talk:
        updated = await talk.ask("session.update", "session.updated", session={"audio": {"output": {"format": form}}})
        assert updated["session"]["audio"]["output"]["format"] == form
        spoken = await talk.say(TEXT)
    encoder = SpeechEncoder(encoding, rate)
    assert spoken.pcm == encoder.push(plain.pcm) + encoder.flush()
    assert spoken.response["audio"]["output"]["format"] == form
    kinds = [event["type"] for event in spoken.events]
    last = max(index for index, kind in enumerate(kinds) if kind == "response.output_audio.delta")
    assert last < kinds.index("response.output_audio.done")


@EACH
async def test_what_the_user_says_in_any_format_is_kept_as_24_khz_pcm(
    resting: Service, form: dict[str, Any], encoding: Encoding, rate: int
) -> None:
    encoder, decoder = SpeechEncoder(encoding, rate), SpeechDecoder(encoding, rate)
    said = encoder.push(noise_clip(3, 1.0)) + encoder.flush()
    async with wire(resting) as talk:
        await talk.ask("session.update", "session.updated", session={"audio": {"input": {"format": form}}})
        middle = len(said) // 8 * 4
        for piece in (said[:middle], said[middle:]):
            await talk.send("input_audio_buffer.append", audio=base64.b64encode(piece).decode())
        await talk.send("input_audio_buffer.commit")
        item = (await talk.until("conversation.item.done"))[-1]["item"]
        assert item["content"] == [{"type": "input_audio", "transcript": None}]
        kept = await talk.ask("conversation.item.retrieve", "conversation.item.retrieved", item_id=item["id"])
    pcm = base64.b64decode(kept["item"]["content"][0]["audio"])
    assert pcm == decoder.push(said) + decoder.flush()
    assert abs(len(pcm) // 2 - RATE) <= 6


async def test_a_response_of_its_own_format_leaves_the_session_as_it_is(resting: Service) -> None:
    async with wire(resting, binary=True) as talk:
        await talk.start(
            TEXT,
            voiced={"paced": False, "greedy": True, "seed": 1},
            audio={"output": {"format": {"type": "audio/pcmu"}}},
        )
        phone = (await talk.until("response.done"))[-1]["response"]
        plain = await talk.say(TEXT)
    assert phone["audio"]["output"]["format"] == {"type": "audio/pcmu"}
    assert plain.response["audio"]["output"]["format"] == {"type": "audio/pcm", "rate": 24000}


async def test_speech_at_twice_the_speed_is_half_as_long_and_its_words_are_where_they_are_heard(
    resting: Service,
) -> None:
    async with wire(resting, binary=True) as talk:
        plain = await talk.say(TEXT)
    async with wire(resting, binary=True) as talk:
        await talk.ask("session.update", "session.updated", session={"audio": {"output": {"speed": 2.0}}})
        fast = await talk.say(TEXT)
    assert fast.samples == pytest.approx(plain.samples / 2, abs=2)
    level = [float(np.sqrt(np.mean(np.frombuffer(one.pcm, "<i2").astype(float) ** 2))) for one in (plain, fast)]
    assert level[1] == pytest.approx(level[0], rel=0.2)
    assert fast.deltas[-1]["end_time"] <= fast.samples / RATE


@pytest.mark.parametrize(("audio", "sentence"), [("AAA=", "whole"), (base64.b64encode(b"\xff" * 4).decode(), "finite")])
async def test_audio_that_is_not_in_the_format_is_one_error(resting: Service, audio: str, sentence: str) -> None:
    form = {"type": "audio/raw", "encoding": "pcm_f32le", "rate": 48000}
    async with wire(resting) as talk:
        await talk.ask("session.update", "session.updated", session={"audio": {"input": {"format": form}}})
        error = await talk.ask("input_audio_buffer.append", "error", audio=audio, event_id="mine")
        assert (error["error"]["code"], error["error"]["param"]) == ("invalid_value", "audio")
        assert error["error"]["event_id"] == "mine"
        assert (await talk.say(TEXT)).samples > 0
