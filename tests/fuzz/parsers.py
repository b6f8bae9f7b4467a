"""Scope: every parser of what strangers send: how to make input for it, what it must keep, what it may raise."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
import numpy as np
import soundfile
from starlette.exceptions import HTTPException

from codec_stream.audio_file import read_reference
from codec_stream.errors import AudioError
from codec_stream.formats import ENCODINGS, RATES_HZ, SpeechDecoder, SpeechEncoder
from protocol.cartesia import decode_message
from protocol.encodings import JSON, MSGPACK, BadMessage, Encoding
from protocol.errors import Refused
from protocol.speech import decode_speech_request
from protocol.translations import decode_translation_event
from realtime.access.credentials import credentials, redacted_query
from realtime.access.keys import ApiKeys, Secrets
from realtime.access.policy import Access, Denied, Head
from realtime.access.rules import RULES
from realtime.config import ConfigError, fields, load_config
from realtime.http.replies import status_of
from realtime.rtc.sdp import BadOffer
from realtime.session.clauses import ClauseSplitter
from realtime.text.markup import without_tags
from realtime.text.normalise import normalise
from tests.fuzz import calls
from tests.fuzz.mutation import Choices, as_json, as_msgpack, damaged, mutated
from tests.protocol.examples import CLIENT_EVENTS

_MAX_ERROR_BYTES = 10_000


@dataclass(frozen=True)
class Parser:
    """`parse` takes what `make` made, within `max_case_s` of the processor's time. It may raise `documented` and
    nothing else; AssertionError says that it has not kept a promise."""

    name: str
    make: Callable[[Choices], Any]
    parse: Callable[[Any], None]
    documented: tuple[type[Exception], ...] = ()
    max_case_s: float = 0.05


# --- messages ---


def _event(choices: Choices, pack: Callable[[Any], bytes]) -> bytes:
    return damaged(pack(mutated(choices.pick(CLIENT_EVENTS), choices)), choices)


def _decode_event(encoding: Encoding, data: bytes) -> None:
    try:
        event = encoding.decode_client(data)
    except BadMessage as bad:
        _check_error(bad)
        raise
    again = encoding.encode(event)
    assert encoding.encode(encoding.decode_client(again)) == again


def _check_error(bad: BadMessage) -> None:
    """One sentence of a bounded size that can itself be sent."""
    assert bad.body.message.endswith((".", "?"))
    assert len(msgspec.json.encode(bad.body)) < _MAX_ERROR_BYTES


def _decode(decoder: Callable[[bytes], Any], data: bytes) -> None:
    try:
        decoder(data)
    except BadMessage as bad:
        _check_error(bad)
        raise


SPEECH = [
    {"model": "voiced", "input": "Hello there.", "voice": "amy"},
    {
        "model": "gpt-4o-mini-tts",
        "input": "Hello there.",
        "voice": {"id": "amy"},
        "instructions": "A quiet room.",
        "response_format": "pcm",
        "speed": 1.25,
        "stream_format": "sse",
        "seed": 7,
    },
]
CARTESIA = [
    {
        "context_id": "a",
        "model_id": "sonic-3",
        "transcript": "Hello. ",
        "continue": True,
        "flush": False,
        "voice": {"mode": "id", "id": "amy"},
        "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 24000},
        "generation_config": {"speed": 1.2, "emotion": "happy", "volume": 1.0},
        "max_buffer_delay_ms": 0,
        "add_timestamps": True,
        "language": "en",
    },
    {"context_id": "a", "cancel": True},
]
TRANSLATION = [
    {
        "type": "session.update",
        "event_id": "e",
        "session": {
            "type": "translation",
            "audio": {
                "input": {"transcription": {"model": "w"}, "noise_reduction": {"type": "near_field", "strength": 0.5}},
                "output": {"language": "de-AT"},
            },
            "voiced": {"voice": "amy"},
        },
    },
    {"type": "session.input_audio_buffer.append", "audio": bytes(40)},
    {"type": "session.input_transcript.append", "text": "Good morning. "},
    {"type": "session.close"},
]


def _json_of(choices: Choices, messages: list[Any]) -> bytes:
    return damaged(as_json(mutated(choices.pick(messages), choices)), choices)


# --- the head of a request ---

_KEY = "a-key-of-sixteen-or-more"
_ACCESS = Access(ApiKeys([_KEY]), Secrets(lambda: "secret"), ["https://app.example"], loopback=True)
_HEADERS = {
    "authorization": f"Bearer {_KEY}",
    "api-key": _KEY,
    "x-api-key": _KEY,
    "xi-api-key": _KEY,
    "host": "localhost:8080",
    "origin": "https://app.example",
}
_SCHEMES = ["Bearer ", "Token ", "Basic ", "Basic Og==", "basic OmE6Yg==", "bearer", " ", ""]


def _head(choices: Choices) -> Head:
    headers = {}
    for name, value in _HEADERS.items():
        if choices.below(2) == 0:
            headers[name] = damaged(value.encode("latin-1"), choices).decode("latin-1")
    if choices.below(3) == 2:
        headers["authorization"] = choices.pick(_SCHEMES) + choices.bytes(12).decode("latin-1")
    offered = ["realtime", "openai-insecure-api-key." + _KEY, "openai-insecure-api-key.", "voiced.msgpack", ""]
    subprotocols = [choices.pick(offered) for _ in range(choices.below(4))]
    rule = choices.pick(RULES)
    path = damaged(rule.path.encode(), choices).decode("latin-1")
    query = damaged(b"api_key=" + _KEY.encode() + b"&model=m&%zz=%00", choices).decode("latin-1")
    return Head(choices.pick([rule.method, "GET", "OPTIONS", ""]), path, headers, subprotocols, query)


def _admit(head: Head) -> None:
    sent = credentials(head.headers, head.subprotocols, head.query)
    assert all(isinstance(key, str) and len(key) <= 512 for key in sent)
    assert _KEY.encode() not in redacted_query(b"api_key=" + _KEY.encode() + b"&" + b"model=m")
    redacted_query(head.query.encode("latin-1"))
    try:
        _ACCESS.admit(head, now=1000.0)
    except Denied as denied:
        assert 400 <= status_of(denied.code) < 500
        assert _KEY not in str(denied)
        raise


# --- text ---

_TEXTS = [
    "Hello there. ",
    "Dr. Smith paid $3.50, on 3/4/2021 at 10:30 p.m.! ",
    "[SPEAKER0] Hi. [SPEAKER12] ",
    "你好。再见！",
    "x" * 90,
    "\n\n",
    "… —",
    "." * 40,
    " " * 40,
    "(\"'[",
    "e.g. this, i.e. that; ",
    "\u202e\x00\ud800",
    "1,234,567.89 km² −40 °C ½ XIV ",
    "http://a.b/c?d=e user@host.org #tag ",
    "<speak>Hi<break time='1s'/></speak> &amp; \x1b[0m ~~no~~ | a | b |\n> 5%-6% ",
]
_CLAUSE_CHARS = 500  # the front end is given clauses, which are bounded
_REPEATS = [1] * 15 + [50]  # what looks further than it must shows in a long text


def _text(choices: Choices) -> list[str]:
    pieces = [choices.pick(_TEXTS) * choices.pick(_REPEATS) for _ in range(choices.below(8))]
    text = "".join([*pieces, choices.text(12)])
    at = choices.below(len(text) + 1)
    return [text[:at], text[at:]]


def _split(pieces: list[str]) -> None:
    splitter = ClauseSplitter(max_chars=60)
    clauses = splitter.push(pieces[0])
    clauses += splitter.release()
    clauses += splitter.push(pieces[1])
    clauses += splitter.flush()
    assert "".join(clause.text for clause in clauses) == "".join(pieces)
    assert all(len(clause.text.strip()) <= 60 for clause in clauses)


def _normalise(pieces: list[str]) -> None:
    text = "".join(pieces)[:_CLAUSE_CHARS]
    spoken = normalise(text)
    words = any(character.isascii() and character.isalnum() for character in without_tags(text))
    assert not words or spoken.strip(), "text that has words is never dropped"


# --- audio ---


def _file(format: str, subtype: str, channels: int) -> bytes:
    samples = np.sin(np.arange(1200) / 9.0)[:, None].repeat(channels, 1) * 0.5
    with io.BytesIO() as file:
        soundfile.write(file, samples, 8000, format=format, subtype=subtype)
        return file.getvalue()


_FILES = [
    _file("WAV", "PCM_16", 1),
    _file("WAV", "PCM_U8", 2),
    _file("WAV", "FLOAT", 1),
    _file("WAVEX", "PCM_24", 2),
    _file("FLAC", "PCM_16", 1),
]


def _sound(choices: Choices) -> bytes:
    """A sound file, mostly with a header that is wrong somewhere."""
    data = choices.pick(_FILES)
    for _ in range(choices.below(4)):
        at = choices.below(64)
        new = choices.pick([b"\xff", b"\x00", b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\x7f", choices.bytes(4)])
        data = data[:at] + new + data[at + len(new) :]
    return damaged(data, choices)


def _read_sound(data: bytes) -> None:
    samples = read_reference(data, sample_rate=24000, max_seconds=1.0)
    assert samples.dtype == np.float32
    assert 0 < len(samples) <= 24001
    assert np.isfinite(samples).all()


def _samples(choices: Choices) -> tuple[str, int, list[bytes]]:
    encoding = choices.pick([*ENCODINGS, "mp3"])
    rate = choices.pick([*RATES_HZ, 11025])
    pieces = [choices.bytes(20) * choices.pick([1, 8, 40]) for _ in range(1 + choices.below(3))]
    if encoding == "pcm_f32le" and choices.below(2):
        pieces.append(np.array([0.5, -2.0, 1e30, choices.pick([0.0, float("nan"), float("inf")])], "<f4").tobytes())
    return encoding, rate, pieces


def _convert(case: tuple[Any, int, list[bytes]]) -> None:
    encoding, rate, pieces = case
    decoder = SpeechDecoder(encoding, rate)
    pcm = b"".join([*map(decoder.push, pieces), decoder.flush()])
    assert len(pcm) % 2 == 0
    encoder = SpeechEncoder(encoding, rate)
    encoder.push(pcm)
    encoder.flush()


# --- settings ---


def _settings(choices: Choices) -> tuple[dict[str, str], dict[str, str]]:
    names = [*fields(), "prot", "", "VOICED"]
    values = ["", "1", "-1", "auto", "8080", "1e999", "nan", "true", "a,b", "x" * 300, "\x00", "é"]

    def some() -> dict[str, str]:
        return {choices.pick(names): choices.pick(values) for _ in range(choices.below(4))}

    return some(), {"VOICED_" + name.upper(): value for name, value in some().items()}


def _load(case: tuple[dict[str, str], dict[str, str]]) -> None:
    load_config(*case)


_TOML = b"""# voices of the house
port = 8080
voices = "voices"
max_lead_s = 1.5
api_keys = ["a-key-of-sixteen-or-more"]
allow_anonymous = false
"""


def _settings_file(choices: Choices) -> bytes:
    lines = _TOML.splitlines(keepends=True)
    for _ in range(choices.below(3)):
        lines[choices.below(len(lines))] = choices.pick(
            [b"port = -1\n", b"[voices]\n", b"x = 1\n", b"\xff\n", b"port = 1"]
        )
    return damaged(b"".join(lines), choices)


def _load_file(data: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".toml") as file:
        file.write(data)
        file.flush()
        load_config({}, {}, file.name)


PARSERS = [
    Parser("client events, JSON", partial(_event, pack=as_json), partial(_decode_event, JSON), (BadMessage,)),
    Parser("client events, msgpack", partial(_event, pack=as_msgpack), partial(_decode_event, MSGPACK), (BadMessage,)),
    Parser("speech body", partial(_json_of, messages=SPEECH), partial(_decode, decode_speech_request), (BadMessage,)),
    Parser("cartesia messages", partial(_json_of, messages=CARTESIA), partial(_decode, decode_message), (BadMessage,)),
    Parser(
        "translation events",
        partial(_json_of, messages=TRANSLATION),
        partial(_decode, decode_translation_event),
        (BadMessage,),
    ),
    Parser("request heads", _head, _admit, (Denied,)),
    Parser("clauses", _text, _split),
    Parser("text front end", _text, _normalise),
    Parser("sound files", _sound, _read_sound, (AudioError,)),
    Parser("audio formats", _samples, _convert, (ValueError,)),
    Parser("settings", _settings, _load, (ConfigError,)),
    Parser("settings file", _settings_file, _load_file, (ConfigError,)),
    Parser("offers", calls.offer, calls.answer_offer, (BadOffer,)),
    Parser("forms of calls", calls.form, calls.take_form, (Refused, HTTPException)),
    Parser("client secrets", calls.secret, calls.mint, (Refused, Refused)),
    Parser("RTP and RTCP", calls.datagrams, calls.take_datagrams),
    Parser("Opus packets", calls.opus_payloads, calls.decode_opus, (ValueError,)),
    Parser("incoming audio", calls.arrivals, calls.hear, max_case_s=0.25),
]
