"""Scope: whatever a client of Cartesia's protocol sends is understood, or refused with one sentence."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.cartesia import Cancel, Generate, decode_message
from protocol.encodings import BadMessage

WHOLE: dict[str, Any] = {
    "context_id": "a",
    "model_id": "sonic-3",
    "transcript": "Hello.",
    "continue": True,
    "voice": {"mode": "id", "id": "amy"},
    "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 24000},
}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from([*WHOLE, "flush", "cancel", "generation_config", "max_buffer_delay_ms", "speed"])


@settings(max_examples=500, deadline=None)
@given(st.dictionaries(FIELDS, VALUES, max_size=4), st.booleans())
def test_any_message_is_understood_or_refused_with_a_sentence(change: dict[str, Any], whole: bool) -> None:
    raw = {**(WHOLE if whole else {}), **change}
    try:
        assert isinstance(decode_message(json.dumps(raw).encode()), Generate | Cancel)
    except BadMessage as bad:
        assert bad.body.message.endswith((".", "?"))


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_refused_with_a_sentence(data: bytes) -> None:
    with pytest.raises(BadMessage, match=r"[.?]$"):
        decode_message(data)
