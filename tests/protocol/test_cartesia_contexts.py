"""Scope: what a message of Cartesia's protocol asks for, and whether it can join the context that another began."""

import json
from typing import Any

import pytest

from protocol.cartesia import Cancel, Generate, decode_message, misplaced
from protocol.encodings import BadMessage
from protocol.objects import RawFormat

FORMAT = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 24000}


def _message(**fields: Any) -> Generate:
    raw = {"context_id": "a", "transcript": "Hello.", "output_format": FORMAT, **fields}
    message = decode_message(json.dumps(raw).encode())
    assert isinstance(message, Generate)
    return message


def test_a_message_with_nothing_but_words_leaves_the_rest_to_the_server() -> None:
    message = _message()
    assert (message.voice_name, message.raw_format) == (None, RawFormat("pcm_s16le", 24000))
    assert (message.speaking_rate, message.patience_s, message.emotion, message.flushes) == (1.0, None, "", False)


@pytest.mark.parametrize("voice", ["amy", {"mode": "id", "id": "amy"}, {"id": "amy"}])
def test_a_voice_is_named_as_text_or_as_an_object(voice: Any) -> None:
    assert _message(voice=voice).voice_name == "amy"


@pytest.mark.parametrize(
    ("fields", "rate"),
    [
        ({"speed": "slow"}, 0.8),
        ({"speed": "fast"}, 1.25),
        ({"generation_config": {"speed": 1.5}}, 1.5),
        ({"generation_config": {"speed": 1.5}, "speed": "slow"}, 1.5),
        ({"generation_config": {}, "speed": "slow"}, 0.8),
    ],
)
def test_the_speed_is_a_word_or_a_factor_and_the_factor_counts(fields: dict[str, Any], rate: float) -> None:
    assert _message(**fields).speaking_rate == rate


def test_an_emotion_is_read_in_small_letters() -> None:
    assert _message(generation_config={"emotion": "Happy"}).emotion == "happy"


@pytest.mark.parametrize(
    ("fields", "flushes"),
    [
        ({"flush": True}, True),
        ({"max_buffer_delay_ms": 0, "continue": True}, True),
        ({"max_buffer_delay_ms": 0, "continue": True, "transcript": " "}, False),
        ({"max_buffer_delay_ms": 0}, False),
        ({"max_buffer_delay_ms": 200, "continue": True}, False),
    ],
)
def test_words_are_spoken_at_once_by_a_flush_or_without_patience(fields: dict[str, Any], flushes: bool) -> None:
    assert _message(**fields).flushes is flushes


def test_patience_is_told_in_milliseconds() -> None:
    assert _message(max_buffer_delay_ms=200).patience_s == 0.2


def test_a_cancel_needs_no_more_than_its_context() -> None:
    assert decode_message(b'{"context_id": "a", "cancel": true, "transcript": 5}') == Cancel("a", True)


@pytest.mark.parametrize(
    ("raw", "context_id"),
    [
        (b'{"context_id": "a", "cancel": true, "x": 1, "context_id": ""}', None),
        (b'{"context_id": "a", "transcript": 5}', "a"),
        (b"[]", None),
        (b"{", None),
    ],
)
def test_a_refusal_names_the_context_where_there_is_one(raw: bytes, context_id: str | None) -> None:
    with pytest.raises(BadMessage) as refused:
        decode_message(raw)
    assert refused.value.body.event_id == context_id


def test_words_join_a_context_that_is_spoken_as_they_ask() -> None:
    assert misplaced(_message(voice="amy"), _message(voice={"id": "amy"}, transcript="More."), ended=False) is None


@pytest.mark.parametrize(
    ("fields", "ended", "code", "param"),
    [
        ({}, True, "context_ended", "context_id"),
        ({"voice": "bob"}, False, "invalid_value", "voice"),
        ({"output_format": {**FORMAT, "sample_rate": 8000}}, False, "invalid_value", "output_format"),
    ],
)
def test_words_that_cannot_join_are_refused_by_their_field(
    fields: dict[str, Any], ended: bool, code: str, param: str
) -> None:
    error = misplaced(_message(voice="amy"), _message(**{"voice": "amy", **fields}), ended=ended)
    assert error is not None
    assert (error.code, error.param, error.event_id) == (code, param, "a")
