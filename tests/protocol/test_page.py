"""Scope: `protocol/PROTOCOL.md` against the types and the code: what is served is on the page, what it shows works."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest

from protocol.cartesia import Answer
from protocol.client_events import ClientEvent
from protocol.encodings import JSON
from protocol.objects import Generation, RawFormat, SessionConfig
from protocol.server_events import ServerEvent
from protocol.speech import SpeechAudioDelta, SpeechAudioDone
from protocol.transcriptions import MAX_FILE_BYTES, MAX_PROMPT_CHARS, TranscriptTextDelta, TranscriptTextDone
from protocol.translations import TranslationClientEvent, TranslationServerEvent
from realtime.http.replies import status_of
from realtime.http.routes.transcriptions import MAX_SECONDS
from realtime.session.conversation import MAX_ITEMS
from realtime.session.shared import Limits
from tests.protocol.refusals import codes

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "protocol" / "PROTOCOL.md").read_text()
NAMED = set(re.findall(r"`([^`\n]+)`", PAGE))


def _tag(kind: Any) -> str:
    tag: str = kind.__struct_config__.tag
    return tag


EVENTS = [
    *get_args(ClientEvent),
    *get_args(ServerEvent),
    *get_args(TranslationClientEvent),
    *get_args(TranslationServerEvent),
    *get_args(Answer),
    SpeechAudioDelta,
    SpeechAudioDone,
    TranscriptTextDelta,
    TranscriptTextDone,
]


@pytest.mark.parametrize("tag", sorted({_tag(kind) for kind in EVENTS}))
def test_every_event_is_on_the_page(tag: str) -> None:
    assert tag in NAMED


def test_the_page_names_no_event_that_does_not_exist() -> None:
    known = {_tag(kind) for kind in EVENTS}
    named = {name for name in NAMED if re.fullmatch(r"(session|conversation|input_\w+|response)\.[a-z_.]+", name)}
    settings = {"session.voiced.listening", "session.voiced.engine", "session.expires_at"}
    assert named - known - settings == set()


def test_every_error_code_the_server_can_send_is_on_the_page() -> None:
    sent = codes()
    assert len(sent) > 70, "they are no longer found"
    assert {code: place for code, place in sent.items() if code not in NAMED} == {}


def test_the_page_names_no_error_code_that_is_not_sent() -> None:
    tables = re.findall(r"^\| (?:code|refused) \|.*\n(?:\|.*\n)+", PAGE, re.MULTILINE)
    assert len(tables) == 2
    paths = {"allowed_origins"}
    assert set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", "".join(tables))) - paths - set(codes()) == set()


def test_the_status_of_a_code_on_the_page_is_the_one_it_is_sent_with() -> None:
    told = {code: int(status) for status, code in re.findall(r"\b([45]\d\d) `([a-z_]+)`", PAGE)}
    assert told.pop("internal_error") == 500
    assert len(told) > 20
    assert told == {code: status_of(code) for code in told}


SHOWN = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("message", SHOWN, ids=lambda message: re.sub(r"\s+", " ", message)[:40])
def test_every_message_shown_is_one_that_the_server_takes(message: str) -> None:
    JSON.decode_client(message.encode())


def test_every_setting_is_on_the_page() -> None:
    ours = {*Generation.__struct_fields__, *RawFormat.__struct_fields__} - {"text_stream", "encoding", "rate"}
    theirs = {*SessionConfig.__struct_fields__} - {"type", "audio", "voiced"}
    assert (ours | theirs) - NAMED == set()
    assert "voiced.text_stream" in NAMED


def test_the_limits_on_the_page_are_those_of_the_code() -> None:
    limits = Limits()
    for line in (
        f"| a session | {limits.max_session_s:.0f} s",
        f"| items of a conversation | {MAX_ITEMS}, each up to {limits.max_item_chars:,} characters",
        f"| a clip | {limits.max_clip_s:.0f} s; all clips of a conversation {limits.max_clips_s:.0f} s",
        f"| the input buffer | {limits.max_input_s:.0f} s",
        f"| responses out of band | {limits.max_out_of_band} |",
    ):
        assert line in PAGE, line
    assert f"at most {MAX_FILE_BYTES >> 20} MiB and {MAX_SECONDS:.0f} s)" in PAGE
    assert f"at most\n{MAX_PROMPT_CHARS} characters" in PAGE
    assert f"spoken after {limits.text_patience_s:g} s" in PAGE
    assert f"come of for {limits.text_idle_s:.0f} s ends" in PAGE
