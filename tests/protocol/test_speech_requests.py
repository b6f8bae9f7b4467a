"""Scope: a request for a sound file, read from its JSON or refused with one sentence; the events that answer one."""

import json
from typing import Any

import pytest

from protocol.encodings import BadMessage
from protocol.speech import (
    SpeechAudioDelta,
    SpeechAudioDone,
    SpeechUsage,
    decode_speech_request,
    server_sent,
)


def _body(**fields: Any) -> bytes:
    return json.dumps({"input": "Good evening.", **fields}).encode()


def test_words_alone_are_a_request_and_the_rest_is_the_servers_choice() -> None:
    request = decode_speech_request(_body())
    assert (request.input, request.voice_name, request.sound_format) == ("Good evening.", None, "mp3")


@pytest.mark.parametrize("voice", ["amy", {"id": "amy"}])
def test_a_voice_is_named_as_text_or_as_an_object(voice: Any) -> None:
    request = decode_speech_request(_body(voice=voice, response_format="wav", speed=1.5, seed=3))
    assert (request.voice_name, request.sound_format, request.speed, request.seed) == ("amy", "wav", 1.5, 3)


@pytest.mark.parametrize(
    ("body", "code", "param", "says"),
    [
        (b"{", "invalid_json", None, "The body is not valid JSON"),
        (b"\xff", "invalid_json", None, "The body is not valid JSON"),
        (b"[" * 100_000, "invalid_value", None, "one JSON object with the fields model, input"),
        (b"[]", "invalid_value", None, "one JSON object with the fields model, input"),
        (b"{}", "missing_required_parameter", "input", "The field 'input' is missing. Send the words to speak"),
        (_body(voice={}), "missing_required_parameter", "voice.id", "The field 'voice.id' is missing. Add it."),
        (_body(inptu=1), "unknown_parameter", "inptu", "There is no field 'inptu'. The nearest is 'input'."),
        (_body(xyz=1), "unknown_parameter", "xyz", "There is no field 'xyz'. The fields are model, input"),
        (_body(voice={"id": "amy", "x": 1}), "unknown_parameter", "voice.x", "There is no field 'voice.x'."),
        (_body(speed=9), "invalid_value", "speed", "Send a number from 0.25 to 4."),
        (_body(voice={"id": 3}), "invalid_value", "voice.id", "Send a voice's name, or {'id': its name}"),
        (_body(input="?!"), "invalid_value", "input", "The field 'input' holds no word. Send the words to speak"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_what_is_no_request_is_refused_by_its_field(body: bytes, code: str, param: str | None, says: str) -> None:
    with pytest.raises(BadMessage) as refused:
        decode_speech_request(body)
    error = refused.value.body
    assert (error.code, error.param) == (code, param)
    assert says in error.message
    assert error.message.endswith(".")


def test_a_field_that_is_wrong_is_repeated_only_in_part() -> None:
    with pytest.raises(BadMessage) as refused:
        decode_speech_request(_body(**{"x" * 5000: 1}))
    assert len(refused.value.body.param or "") == 200


def test_events_are_lines_of_data_with_the_sound_in_base64() -> None:
    assert server_sent(SpeechAudioDelta(b"abc")) == b'data: {"type":"speech.audio.delta","audio":"YWJj"}\n\n'
    done = server_sent(SpeechAudioDone(SpeechUsage(3, 4, 7)))
    assert json.loads(done.removeprefix(b"data: "))["usage"] == {
        "input_tokens": 3,
        "output_tokens": 4,
        "total_tokens": 7,
    }
