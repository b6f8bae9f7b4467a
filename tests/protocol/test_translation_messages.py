"""Scope: whatever a client of a translation session sends is an event, or refused with one sentence."""

import json
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.encodings import BadMessage
from protocol.translations import TranslationClientEvent, decode_translation_event

KINDS = ["session.update", "session.input_audio_buffer.append", "session.input_transcript.append", "session.close"]
NAMES = st.sampled_from(
    "event_id session audio text type model voiced voice input output language transcription noise_reduction".split()
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(KINDS) | st.text(max_size=20), st.dictionaries(NAMES, VALUES, max_size=3))
def test_any_message_is_an_event_or_refused_with_a_sentence(kind: str, fields: dict[str, Any]) -> None:
    try:
        event = decode_translation_event(json.dumps({"type": kind, **fields}).encode())
        assert isinstance(event, get_args(TranslationClientEvent))
    except BadMessage as bad:
        assert bad.body.message.endswith((".", "?"))


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_refused_with_a_sentence(data: bytes) -> None:
    with pytest.raises(BadMessage, match=r"[.?]$"):
        decode_translation_event(data)
