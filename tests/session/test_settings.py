"""Scope: a session's settings: what changes them, what is refused, what the client is shown."""

import json
from typing import Any

import pytest

from protocol.client_events import ResponseCreate
from protocol.encodings import JSON
from protocol.objects import (
    AudioInput,
    AudioOutput,
    FunctionTool,
    NamedFunction,
    PcmaFormat,
    PcmFormat,
    PcmuFormat,
    RawFormat,
    ResponseConfig,
    SemanticVad,
    ServerVad,
    SessionAudio,
    SessionConfig,
    VoiceId,
)
from protocol.server_events import SessionCreated, SessionUpdated
from realtime.session.messages import SendAudio
from tests.session.harness import Talk, generation, voice


def test_an_update_changes_what_it_names_and_nothing_else() -> None:
    talk = Talk()
    talk.update(instructions="A quiet library.", voiced=generation(temperature=0.5, top_k=20))
    talk.update(audio=voice("amy"))
    talk.update(voiced=generation(top_k=5))
    shown = talk.got(SessionUpdated)[-1].session
    assert shown.instructions == "A quiet library."
    assert shown.audio.output.voice == "amy"
    assert (shown.voiced.generation.temperature, shown.voiced.generation.top_k) == (0.5, 5)
    talk.update(instructions="")
    assert talk.got(SessionUpdated)[-1].session.instructions == ""


def test_overrides_of_a_response_are_its_own() -> None:
    talk = Talk()
    talk.update(instructions="A quiet library.")
    talk.speak(instructions="A loud factory.")
    talk.speak()
    first, second = talk.clauses.values()
    assert first.voicing.scene == "A loud factory."
    assert second.voicing.scene == "A quiet library."
    assert first.context_id != second.context_id


@pytest.mark.parametrize(
    ("name", "hint"), [("ammy", "Did you mean 'amy'?"), ("zzz", "There are: amy, bob, whisper."), (VoiceId("x1"), "x1")]
)
def test_a_wrong_voice_is_refused_with_a_hint(name: object, hint: str) -> None:
    talk = Talk()
    talk.update(audio=voice(name))
    assert talk.error().param == "session.audio.output.voice"
    assert hint in talk.error().message
    talk.tell(ResponseCreate(response=ResponseConfig(audio=voice(name))))
    talk.deliver()
    assert talk.error().param == "response.audio.output.voice"
    assert talk.speak().status == "completed"


@pytest.mark.parametrize("modalities", [[], ["audio", "text"]])
def test_one_modality_at_a_time_is_served(modalities: list[str]) -> None:
    talk = Talk()
    talk.update(output_modalities=modalities)
    assert (talk.error().code, talk.error().param) == ("invalid_value", "session.output_modalities")
    assert talk.speak().output_modalities == ["audio"]


def test_a_transcription_session_is_refused_by_its_type() -> None:
    talk = Talk()
    talk.update(type="transcription")
    assert (talk.error().code, talk.error().param) == ("unsupported_value", "session.type")


def test_the_first_event_shows_the_whole_effective_session() -> None:
    talk = Talk(default_voice="amy")
    assert talk.kinds() == ["session.created", "conversation.created"]
    shown = json.loads(JSON.encode(talk.events[0]))["session"]
    assert shown["audio"] == {
        "input": {
            "format": {"type": "audio/pcm", "rate": 24000},
            "transcription": None,
            "noise_reduction": None,
            "turn_detection": None,
        },
        "output": {"format": {"type": "audio/pcm", "rate": 24000}, "speed": 1.0, "voice": "amy"},
    }
    assert (shown["type"], shown["object"], shown["model"]) == ("realtime", "realtime.session", "test")
    assert (shown["output_modalities"], shown["max_output_tokens"], shown["tool_choice"]) == (["audio"], "inf", "auto")
    assert (shown["tools"], shown["tracing"], shown["instructions"]) == ([], None, "")
    assert shown["voiced"]["listening"] is False


def test_initial_settings_are_in_force_from_the_first_event_on() -> None:
    talk = Talk(None, SessionConfig(instructions="Rain.", audio=voice("amy")))
    assert talk.kinds() == ["session.created", "conversation.created"]
    shown = talk.got(SessionCreated)[0].session
    assert (shown.instructions, shown.audio.output.voice) == ("Rain.", "amy")
    talk.speak()
    assert talk.clauses[next(iter(talk.clauses))].voicing.scene == "Rain."


def test_initial_settings_that_cannot_be_served_are_an_error_after_the_greeting_and_change_nothing() -> None:
    talk = Talk(None, SessionConfig(instructions="Rain.", audio=voice("ammy")))
    assert talk.kinds() == ["session.created", "conversation.created", "error"]
    assert talk.got(SessionCreated)[0].session.instructions == ""
    assert (talk.error().param, talk.error().event_id) == ("session.audio.output.voice", None)
    assert talk.speak().status == "completed"


# --- what the client may set and is shown ---


def _shown(talk: Talk) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(JSON.encode(talk.got(SessionUpdated)[-1]))["session"]
    return shown


def _listen(talk: Talk, **config: Any) -> dict[str, Any]:
    """What is effective after a change of `audio.input`."""
    talk.update(audio=SessionAudio(input=AudioInput(**config)))
    shown: dict[str, Any] = _shown(talk)["audio"]["input"]
    return shown


SERVER_VAD = {
    "type": "server_vad",
    "threshold": 0.5,
    "prefix_padding_ms": 300,
    "silence_duration_ms": 500,
    "create_response": False,
    "interrupt_response": True,
}
SEMANTIC_VAD = {"type": "semantic_vad", "eagerness": "auto", "create_response": False, "interrupt_response": True}


@pytest.mark.parametrize(("asked", "shown"), [(ServerVad(), SERVER_VAD), (SemanticVad(), SEMANTIC_VAD)])
def test_turn_detection_is_shown_with_all_that_is_effective(asked: Any, shown: dict[str, Any]) -> None:
    assert _listen(Talk(), turn_detection=asked)["turn_detection"] == shown


def test_turn_detection_of_the_same_type_is_merged_and_of_another_replaced() -> None:
    talk = Talk()
    _listen(talk, turn_detection=ServerVad(threshold=0.9, interrupt_response=False, idle_timeout_ms=6000))
    merged = _listen(talk, turn_detection=ServerVad(silence_duration_ms=200))["turn_detection"]
    assert merged == {
        **SERVER_VAD,
        "threshold": 0.9,
        "interrupt_response": False,
        "idle_timeout_ms": 6000,
        "silence_duration_ms": 200,
    }
    assert _listen(talk, turn_detection=SemanticVad(eagerness="low"))["turn_detection"] == {
        **SEMANTIC_VAD,
        "eagerness": "low",
    }
    assert _listen(talk, turn_detection=ServerVad())["turn_detection"] == SERVER_VAD
    assert _listen(talk, turn_detection=None)["turn_detection"] is None


@pytest.mark.parametrize(("asked", "shown"), [(ServerVad, SERVER_VAD), (SemanticVad, SEMANTIC_VAD)])
def test_a_response_to_each_turn_is_not_promised_while_nobody_understands_what_was_said(
    asked: Any, shown: dict[str, Any]
) -> None:
    assert _listen(Talk(hears="silero"), turn_detection=asked(create_response=True))["turn_detection"] == shown


def test_the_session_shows_what_really_listens() -> None:
    talk = Talk(hears="silero")
    shown = json.loads(JSON.encode(talk.events[0]))["session"]["voiced"]["listening"]
    assert shown == {"detector": "silero", "turns": None, "transcription": False}
    for asked, turns in ((SemanticVad(), "server_vad"), (ServerVad(), "server_vad"), (None, None)):
        _listen(talk, turn_detection=asked, transcription={"model": "whisper-1"})
        assert _shown(talk)["voiced"]["listening"] == {"detector": "silero", "turns": turns, "transcription": False}


def test_null_in_turn_detection_asks_for_the_default() -> None:
    talk = Talk()
    _listen(talk, turn_detection=ServerVad(threshold=0.9, interrupt_response=False, idle_timeout_ms=6000))
    cleared = ServerVad(threshold=None, interrupt_response=None, idle_timeout_ms=None)
    assert _listen(talk, turn_detection=cleared)["turn_detection"] == SERVER_VAD


def test_input_settings_are_merged_and_null_clears_them() -> None:
    talk = Talk()
    _listen(talk, transcription={"model": "whisper-1"}, noise_reduction={"type": "near_field"})
    shown = _listen(talk, format=PcmuFormat())
    assert shown == {
        "format": {"type": "audio/pcmu"},
        "transcription": {"model": "whisper-1"},
        "noise_reduction": {"type": "near_field"},
        "turn_detection": None,
    }
    shown = _listen(talk, transcription=None, noise_reduction=None)
    assert (shown["transcription"], shown["noise_reduction"]) == (None, None)
    assert shown["format"] == {"type": "audio/pcmu"}


@pytest.mark.parametrize(
    ("format", "shown"),
    [
        (PcmFormat(), {"type": "audio/pcm", "rate": 24000}),
        (PcmuFormat(), {"type": "audio/pcmu"}),
        (PcmaFormat(), {"type": "audio/pcma"}),
        (RawFormat("pcm_f32le", 44100), {"type": "audio/raw", "encoding": "pcm_f32le", "rate": 44100}),
    ],
)
def test_a_format_is_shown_by_session_and_response_and_goes_with_the_audio(format: Any, shown: Any) -> None:
    talk = Talk()
    talk.update(audio=SessionAudio(output=AudioOutput(format=format)))
    assert _shown(talk)["audio"]["output"]["format"] == shown
    response = talk.speak()
    assert json.loads(JSON.encode(talk.events[-1]))["response"]["audio"]["output"]["format"] == shown
    sent = [effect for effect in talk.effects if isinstance(effect, SendAudio)]
    assert {effect.event.response_id for effect in sent} == {response.id}
    assert {effect.format for effect in sent} == {format}
    assert talk.finished == [response.id]


def test_speed_lead_and_pace_reach_the_engine_with_every_clause() -> None:
    talk = Talk()
    talk.update(audio=SessionAudio(output=AudioOutput(speed=1.5)), voiced=generation(max_lead_s=0.5, paced=False))
    assert _shown(talk)["audio"]["output"]["speed"] == 1.5
    talk.speak("A sentence of several words here. " * 6)
    assert len(talk.clauses) > 1
    assert {(c.speed, c.max_lead_s, c.paced) for c in talk.clauses.values()} == {(1.5, 0.5, False)}


def test_a_voice_is_shown_by_name_however_it_was_asked_for() -> None:
    talk = Talk()
    talk.update(audio=voice(VoiceId("bob")))
    assert _shown(talk)["audio"]["output"]["voice"] == "bob"
    assert talk.speak().audio.output.voice == "bob"


def test_tools_and_their_choice_are_shown_and_an_empty_list_clears_them() -> None:
    talk = Talk()
    tool = FunctionTool("now", "The time.", {"type": "object"})
    talk.update(tools=[tool], tool_choice=NamedFunction("now"), parallel_tool_calls=False, tracing="auto")
    shown = _shown(talk)
    assert shown["tools"] == [
        {"type": "function", "name": "now", "description": "The time.", "parameters": {"type": "object"}}
    ]
    assert shown["tool_choice"] == {"type": "function", "name": "now"}
    assert (shown["parallel_tool_calls"], shown["tracing"]) == (False, "auto")
    talk.update(tools=[], tool_choice="none")
    assert (_shown(talk)["tools"], _shown(talk)["tool_choice"]) == ([], "none")


def test_a_change_of_voice_starts_from_a_fresh_past_and_no_change_keeps_it() -> None:
    talk = Talk()
    talk.speak()
    talk.speak()
    talk.update(audio=voice("amy"))
    talk.speak()
    talk.update(audio=voice("amy"))
    talk.speak()
    contexts = [clause.context_id for clause in talk.clauses.values()]
    assert contexts[0] == contexts[1] != contexts[2] == contexts[3]
    assert talk.contexts_dropped == [contexts[0]]


def test_a_change_in_the_middle_of_a_response_waits_for_its_end() -> None:
    talk = Talk()
    talk.respond("A sentence of several words here. " * 6)
    talk.audio()
    talk.update(audio=voice("amy"))
    talk.item("system", "Speak like a pirate.")
    talk.end()
    while talk.session.live is not None and talk.session.live.running is not None:
        talk.audio()
        talk.end()
    talk.deliver()
    assert len({clause.context_id for clause in talk.clauses.values()}) == 1
    assert len({str(clause.voicing) for clause in talk.clauses.values()}) == 1
    old = next(iter(talk.clauses.values())).context_id
    talk.speak()
    assert list(talk.clauses.values())[-1].context_id != old
    assert old in talk.contexts_dropped
