"""Scope: translation sessions on a session that speaks, with no socket, translator or engine: what is asked for, told
and lost, in order."""

from typing import Any, Literal

import pytest

from protocol import server_events as core
from protocol import translations as protocol
from protocol.client_events import ClientEvent, InputTextAppend, ResponseCreate
from protocol.encodings import BadMessage
from protocol.translations import decode_translation_event
from realtime.session.messages import Drain
from realtime.translation.messages import (
    Ask,
    Ending,
    EndSource,
    Feed,
    HangUp,
    Input,
    Retarget,
    Taken,
    Tell,
    Translated,
    TranslationFailed,
)
from realtime.translation.session import Interpreting
from realtime.translation.translator import AudioPiece, Rendered, Transcribed, Words
from tests.session.harness import RATE, Talk, runtime

FRAME = bytes(9600)


class Pipeline:
    """What a session asks of a translator before anything is translated."""

    name = "test"
    source = "en"
    targets = ("de", "fr")

    def __init__(self, transcripts: Literal["given", "heard"] = "given") -> None:
        self.transcripts: Literal["given", "heard"] = transcripts

    def translate(self, source: Any, target: str) -> Any:
        raise AssertionError("a sans-I/O session does not run its translator")


class Interpreted:
    """A translation session and the session that speaks for it. `pieces` is what the translator was fed."""

    def __init__(self, language: str | None = "de", transcripts: Literal["given", "heard"] = "given") -> None:
        self.talk = Talk(default_voice="amy")
        self.pieces: list[AudioPiece | Words | Retarget | EndSource] = []
        self.told: list[protocol.TranslationServerEvent] = []
        self.asked: list[ClientEvent] = []
        self.hung_up: HangUp | None = None
        setup = protocol.SessionSetup(audio=_output(language)) if language is not None else None
        self.session = Interpreting(Pipeline(transcripts), self.talk.session._shared.runtime, self.talk._new_id, setup)
        for event in self.talk.events:
            self.tell(event)

    def tell(self, message: Input) -> None:
        for effect in self.session.receive(message):
            match effect:
                case Tell():
                    self.told.append(effect.event)
                case Ask():
                    self.asked.append(effect.event)
                    self.talk.tell(effect.event)
                case Feed():
                    self.pieces.append(effect.piece)
                case Retarget() | EndSource():
                    self.pieces.append(effect)
                case HangUp():
                    self.hung_up = effect

    def deliver(self) -> None:
        """What the session that speaks has to say reaches this one."""
        while events := self.talk.deliver():
            for event in events:
                self.tell(event)

    def speak(self, seconds: float = 1.0) -> None:
        """The engine speaks all it was asked for."""
        self.deliver()
        while self.talk.at_engine:
            self.talk.audio(seconds)
            self.talk.end()
            self.deliver()

    def take(self) -> None:
        """The translator takes everything it was fed."""
        for piece in self.pieces:
            if isinstance(piece, AudioPiece | Words):
                self.tell(Taken(piece))
        self.pieces.clear()

    def got(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.told if isinstance(event, kind)]

    @property
    def error(self) -> Any:
        return self.got(core.Error)[-1].error


def _output(language: str) -> protocol.AudioConfig:
    return protocol.AudioConfig(output=protocol.OutputConfig(language))


def update(**audio: Any) -> protocol.SessionUpdate:
    return protocol.SessionUpdate(session=protocol.SessionChange(audio=protocol.AudioConfig(**audio)), event_id="mine")


def sentence(text: str) -> Rendered:
    return Rendered(text, complete=True)


# --- settings ---


def test_the_session_is_shown_first_with_what_translates_and_where_its_transcripts_come_from() -> None:
    shown = Interpreted(None).told[0]
    assert isinstance(shown, protocol.SessionCreated)
    assert shown.session.audio.output.language is None
    voiced = shown.session.voiced
    assert (voiced.translator, voiced.transcripts, voiced.voice) == ("test", "given", "amy")
    assert (voiced.source_language, voiced.languages) == ("en", ["de", "fr"])


def test_a_language_that_is_not_served_is_refused_with_those_that_are() -> None:
    one = Interpreted()
    one.tell(update(output=protocol.OutputConfig("ja")))
    assert (one.error.code, one.error.param) == ("unsupported_language", "session.audio.output.language")
    assert one.error.message == "There is no translation from 'en' into 'ja' here; served are de, fr."
    assert one.error.event_id == "mine"
    assert one.pieces == [Retarget("de")]
    assert not one.got(protocol.SessionUpdated)


def test_a_session_that_cannot_be_set_up_as_its_secret_says_is_opened_and_says_so() -> None:
    one = Interpreted("ja")
    assert [type(event) for event in one.told] == [protocol.SessionCreated, core.Error]
    assert (one.error.code, one.error.event_id) == ("unsupported_language", None)


def test_a_region_is_shown_as_it_was_given_and_the_translator_needs_only_the_language() -> None:
    one = Interpreted(None)
    one.tell(update(output=protocol.OutputConfig("de-AT")))
    assert one.got(protocol.SessionUpdated)[0].session.audio.output.language == "de-AT"
    one.tell(update(output=protocol.OutputConfig("DE")))
    assert one.pieces == [Retarget("de")]


def test_only_what_is_present_changes_and_null_clears() -> None:
    one = Interpreted()
    near = protocol.NoiseReduction("near_field", 0.25)
    one.tell(update(input=protocol.InputConfig(protocol.Transcription("any"), near)))
    one.tell(update(input=protocol.InputConfig(noise_reduction=protocol.NoiseReduction("far_field"))))
    shown = one.got(protocol.SessionUpdated)[-1].session.audio
    assert shown.input == protocol.ShownInput(
        protocol.Transcription("any"), protocol.NoiseReduction("far_field", strength=0.25)
    )
    one.tell(update(input=protocol.InputConfig(transcription=None, noise_reduction=None)))
    shown = one.got(protocol.SessionUpdated)[-1].session.audio
    assert shown.input == protocol.ShownInput(None, None)
    assert shown.output.language == "de"


@pytest.mark.parametrize("name", ["nobody", "item:item_1"])
def test_a_voice_that_there_is_not_is_refused(name: str) -> None:
    one = Interpreted()
    change = protocol.SessionChange(voiced=protocol.VoicedConfig(name))
    one.tell(protocol.SessionUpdate(session=change))
    assert one.error.param == "session.voiced.voice"


# --- the source ---


def test_audio_reaches_the_translator_in_frames_of_200_ms_whatever_pieces_it_comes_in() -> None:
    one = Interpreted(transcripts="heard")
    audio = bytes(range(256)) * 113  # 28,928 bytes: three frames and a bit
    for begin in range(0, len(audio), 1002):
        one.tell(protocol.AudioAppend(audio=audio[begin : begin + 1002]))
    one.tell(protocol.SessionClose())
    frames = [piece for piece in one.pieces if isinstance(piece, AudioPiece)]
    assert [frame.end_ms for frame in frames] == [200, 400, 600, 800]
    assert b"".join(frame.pcm for frame in frames) == audio.ljust(4 * 9600, b"\0")
    assert one.pieces[-1] == EndSource()


def test_half_a_sample_is_refused() -> None:
    one = Interpreted()
    one.tell(protocol.AudioAppend(audio=b"123"))
    assert (one.error.code, one.error.param) == ("invalid_value", "audio")


def test_words_and_audio_before_a_language_are_refused_the_audio_once() -> None:
    one = Interpreted(None)
    one.tell(protocol.TranscriptAppend(text="Hello."))
    for _ in range(3):
        one.tell(protocol.AudioAppend(audio=FRAME))
    assert [event.error.code for event in one.got(core.Error)] == ["language_not_set", "language_not_set"]
    assert one.pieces == []


def test_a_translator_that_does_not_keep_up_loses_audio_and_the_client_is_told_once_each_time() -> None:
    one = Interpreted(transcripts="heard")
    for _ in range(310):
        one.tell(protocol.AudioAppend(audio=FRAME))
    assert [event.error.code for event in one.got(core.Error)] == ["translation_behind"]
    assert len(one.pieces) == 1 + 300
    one.take()
    one.tell(protocol.AudioAppend(audio=FRAME))
    assert one.pieces == [AudioPiece(FRAME, 311 * 200)]
    one.tell(protocol.AudioAppend(audio=FRAME * 310))
    assert [event.error.code for event in one.got(core.Error)] == ["translation_behind", "translation_behind"]


def test_words_for_a_translator_that_does_not_keep_up_are_refused() -> None:
    one = Interpreted()
    for _ in range(301):
        one.tell(protocol.TranscriptAppend(text="Hello.", event_id="mine"))
    assert (one.error.code, one.error.event_id) == ("translation_behind", "mine")
    assert len(one.got(core.Error)) == 1


def test_audio_alone_where_transcripts_are_given_is_answered_with_what_is_missing() -> None:
    one = Interpreted()
    for _ in range(100):
        one.tell(protocol.AudioAppend(audio=FRAME))
    assert [event.error.code for event in one.got(core.Error)] == ["transcripts_needed"]


def test_words_are_refused_where_the_speech_is_recognised() -> None:
    one = Interpreted(transcripts="heard")
    one.tell(protocol.TranscriptAppend(text="Hello."))
    assert (one.error.code, one.error.param) == ("unsupported_event", "type")


# --- the translation ---


def test_transcripts_carry_the_time_of_the_input_they_belong_to() -> None:
    one = Interpreted()
    one.tell(update(input=protocol.InputConfig(protocol.Transcription("any"))))
    one.tell(protocol.TranscriptAppend(text="Hello."))
    one.tell(protocol.AudioAppend(audio=FRAME * 3))
    one.tell(protocol.TranscriptAppend(text="Bye."))
    one.tell(protocol.AudioAppend(audio=FRAME))
    for piece in [piece for piece in one.pieces if isinstance(piece, AudioPiece | Words)]:
        one.tell(Taken(piece))
        if isinstance(piece, Words):
            one.tell(Transcribed(piece.text))
            one.tell(sentence(piece.text.upper()))
    heard, said = one.got(protocol.InputTranscriptDelta), one.got(protocol.OutputTranscriptDelta)
    assert [(event.delta, event.elapsed_ms) for event in heard] == [("Hello.", 0), ("Bye.", 600)]
    assert [(event.delta, event.elapsed_ms) for event in said] == [("HELLO.", 0), ("BYE.", 600)]


def test_source_transcripts_are_told_only_if_they_were_asked_for() -> None:
    one = Interpreted()
    one.tell(Transcribed("Hello."))
    assert not one.got(protocol.InputTranscriptDelta)


def test_what_could_not_be_translated_is_marked_in_the_transcript_and_spoken_as_it_is() -> None:
    one = Interpreted()
    one.tell(Rendered(" The lighthouse. ", translated=False, complete=True))
    assert one.got(protocol.OutputTranscriptDelta)[0].delta == " [The lighthouse.] "
    assert one.asked[1] == InputTextAppend(event_id="translation_1", stream="translation_1", text=" The lighthouse. ")


def test_sentences_that_follow_each_other_are_one_stream_and_their_audio_says_which_it_is() -> None:
    one = Interpreted()
    one.tell(Taken(Words("", 400)))
    one.tell(Rendered("Guten Morgen, "))
    one.tell(sentence("wie geht es Ihnen? "))
    one.tell(Taken(Words("", 1000)))
    one.tell(sentence("Danke. "))
    assert [type(event).__name__ for event in one.asked] == [
        "ResponseCreate",
        "InputTextAppend",
        "InputTextAppend",
        "InputTextFlush",
        "InputTextAppend",
        "InputTextFlush",
    ]
    one.speak()
    audio = one.got(protocol.OutputAudioDelta)
    assert [event.elapsed_ms for event in audio] == [400, 1000]
    assert sum(len(event.delta) for event in audio) == 2 * 2 * RATE
    assert (audio[0].sample_rate, audio[0].channels, audio[0].format) == (24000, 1, "pcm16")
    assert one.talk.session.responses == []  # the stream ended when all of it was spoken


def test_words_that_come_while_a_stream_ends_open_the_next_one_and_stay_in_order() -> None:
    one = Interpreted()
    one.tell(sentence("Eins ist vorbei. "))
    one.deliver()
    one.talk.audio(1.0)
    one.talk.end()
    flushed = next(sent for sent in one.talk.outbox if isinstance(getattr(sent, "event", None), core.InputTextFlushed))
    one.tell(flushed.event)  # all is spoken: the stream is ended, and its end is still on the way
    one.talk.outbox.remove(flushed)
    one.tell(Rendered("Zwei "))
    one.tell(sentence("kommt danach. "))
    assert sum(isinstance(event, ResponseCreate) for event in one.asked) == 1
    one.speak()
    assert [clause.text for clause in one.talk.clauses.values()] == ["Eins ist vorbei.", "Zwei kommt danach."]
    assert not one.got(core.Error)


def test_speech_that_does_not_keep_up_is_left_out_and_named() -> None:
    one = Interpreted()
    for _ in range(30):
        one.tell(sentence("Ein Satz von genau fünfzig Zeichen, wenn man zählt. "))
    left_out = [event.error for event in one.got(core.Error)]
    assert {error.code for error in left_out} == {"speech_behind"}
    assert "'Ein Satz von genau" in left_out[0].message
    assert len(one.got(protocol.OutputTranscriptDelta)) == 30
    one.speak()
    assert len(one.talk.clauses) + len(left_out) == 30
    one.tell(sentence("Und weiter. "))
    assert len(one.got(core.Error)) == len(left_out)


def test_a_failure_of_the_engine_is_told_and_the_next_sentence_is_spoken() -> None:
    one = Interpreted()
    one.tell(sentence("Eins. "))
    one.deliver()
    one.talk.end("failed", error="The engine lost it.")
    one.deliver()
    assert one.error.code == "engine_failed"
    assert one.error.message.endswith("The engine lost it.")
    one.tell(sentence("Zwei. "))
    one.speak()
    assert len(one.got(protocol.OutputAudioDelta)) == 1


def test_a_voice_that_was_deleted_meanwhile_is_an_error_and_nobody_else_speaks() -> None:
    one = Interpreted()
    one.session._runtime = runtime(voices={}, default_voice="amy")
    one.tell(sentence("Eins. "))
    assert one.error.param == "session.voiced.voice"
    assert one.asked == []


# --- the end ---


def test_closing_waits_for_the_translation_and_for_its_last_sample() -> None:
    one = Interpreted()
    one.tell(protocol.SessionClose())
    one.tell(Rendered("Ohne Punkt"))
    one.deliver()
    one.tell(Translated())
    assert one.hung_up is None
    one.speak()
    assert [type(event) for event in one.told[-2:]] == [protocol.OutputAudioDelta, protocol.SessionClosed]
    assert one.hung_up == HangUp(1000, "")


def test_nothing_is_taken_while_the_session_closes() -> None:
    one = Interpreted()
    one.tell(protocol.SessionClose())
    one.tell(protocol.TranscriptAppend(text="Hello."))
    assert one.error.code == "session_closing"
    assert one.pieces == [Retarget("de"), EndSource()]


def test_closing_a_session_that_never_had_a_language_closes_it() -> None:
    one = Interpreted(None)
    one.tell(protocol.AudioAppend(audio=b"12"))
    one.tell(protocol.SessionClose())
    one.tell(Translated())
    assert one.hung_up == HangUp(1000, "")


def test_a_translator_that_breaks_ends_the_session_in_words() -> None:
    one = Interpreted()
    one.tell(TranslationFailed("The translation broke off; open a new session."))
    assert [type(event) for event in one.told[-2:]] == [core.Error, protocol.SessionClosed]
    assert (one.error.code, one.error.type) == ("translation_failed", "server_error")
    assert one.hung_up is not None
    assert one.hung_up.code == 1011


def test_a_server_that_stops_says_that_the_session_is_closed() -> None:
    one = Interpreted()
    one.talk.tell(Drain())
    one.deliver()
    assert one.talk.closed is not None
    one.tell(Ending(one.talk.closed.code, one.talk.closed.reason))
    assert isinstance(one.told[-1], protocol.SessionClosed)
    assert one.hung_up == HangUp(1012, one.talk.closed.reason)
    one.tell(sentence("Zu spät."))
    assert isinstance(one.told[-1], protocol.SessionClosed)


@pytest.mark.parametrize(
    ("raw", "param", "code"),
    [
        (b'{"type": "session.updat"}', "type", "invalid_value"),
        (b'{"session": {}}', "type", "missing_required_parameter"),
        (b'{"type": "session.update"}', "session", "missing_required_parameter"),
        (b'{"type": "session.update", "session": {"model": "m"}}', "session.model", "unknown_parameter"),
        (
            b'{"type": "session.update", "session": {"audio": {"output": {"language": "German"}}}}',
            "session.audio.output.language",
            "invalid_value",
        ),
        (
            b'{"type": "session.update", "session": {"audio": {"input": {"noise_reduction": {"type": "no"}}}}}',
            "session.audio.input.noise_reduction.type",
            "invalid_value",
        ),
        (b'{"type": "session.input_audio_buffer.append", "audio": "?"}', "audio", "invalid_value"),
        (b'{"type": "session.input_transcript.append"}', "text", "missing_required_parameter"),
        (b"[]", None, "invalid_value"),
        (b"{", None, "invalid_json"),
    ],
)
def test_what_is_no_event_is_an_error_that_names_the_field(raw: bytes, param: str | None, code: str) -> None:
    with pytest.raises(BadMessage) as refused:
        decode_translation_event(raw.replace(b"{", b'{"event_id": "mine", ', 1) if raw.startswith(b'{"') else raw)
    body = refused.value.body
    assert (body.param, body.code) == (param, code)
    assert body.event_id == ("mine" if raw.startswith(b'{"') else None)
    one = Interpreted()
    one.tell(refused.value)
    assert one.error == body
