"""Decides what a translation session does, sans I/O.

It is told what came from the client, from the translator and from the session that speaks; it answers with what to do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from msgspec import UNSET

from codec_stream.rate import SAMPLE_RATE
from protocol import server_events as core
from protocol import translations as protocol
from protocol.client_events import ClientEvent
from protocol.encodings import BadMessage
from protocol.errors import Refused
from protocol.objects import AudioOutput, Engine, ErrorBody, ResponseError, Session
from realtime.session.settings import ITEM_VOICE, Runtime, check_voice
from realtime.translation.messages import (
    Ask,
    Effect,
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
from realtime.translation.spoken import Speech
from realtime.translation.translator import PIECE_MS, AudioPiece, Rendered, Transcribed, Translator, Words

_PIECE_BYTES = SAMPLE_RATE * 2 * PIECE_MS // 1000
_MAX_WAITING_PIECES = 300
"""Bounds the pieces that the translator has not taken. It is a minute of audio."""

_MAX_WAITING_CHARS = 1200
"""Bounds the translation that is not spoken yet. It is more than a minute of speech."""

_DEAF_MS = 10_000
"""Where transcripts are given by the client, a client that sends this much audio without a word of transcript seems to
expect that its speech is recognised here. It is told that it is not."""

_BEHIND = "translation_behind"


@dataclass(frozen=True)
class Settings:
    """Holds the effective settings of a session; None is off, or not set yet."""

    transcription: protocol.Transcription | None = None
    noise_reduction: protocol.NoiseReduction | None = None
    language: str | None = None
    voice: str = ""

    def updated(self, change: protocol.SessionChange, translator: Translator, runtime: Runtime) -> Settings:
        """Return these settings with a client's change. Raises Refused for what cannot be served."""
        result = self
        if change.audio is not UNSET and change.audio.input is not UNSET:
            given = change.audio.input
            if given.transcription is not UNSET:
                result = replace(result, transcription=given.transcription)
            if given.noise_reduction is not UNSET:
                result = replace(result, noise_reduction=self._reduction(given.noise_reduction))
        if change.audio is not UNSET and change.audio.output is not UNSET:
            language = change.audio.output.language
            if language is not UNSET:
                _check_language(language, translator)
                result = replace(result, language=language)
        if change.voiced is not UNSET and change.voiced.voice is not UNSET:
            where = "session.voiced.voice"
            if change.voiced.voice.startswith(ITEM_VOICE):
                raise Refused("invalid_value", "There is no conversation here to take a voice from; name one.", where)
            check_voice(change.voiced.voice, runtime, where)
            result = replace(result, voice=change.voiced.voice)
        return result

    def _reduction(self, new: protocol.NoiseReduction | None) -> protocol.NoiseReduction | None:
        """Fill in a strength that is left out: it stays as it was, and is full at first."""
        if new is None or new.strength is not UNSET:
            return new
        return protocol.NoiseReduction(new.type, 1.0 if self.noise_reduction is None else self.noise_reduction.strength)


def _primary(language: str) -> str:
    """Return the language of a code, without its region."""
    return language.partition("-")[0].lower()


def _check_language(language: str, translator: Translator) -> None:
    if _primary(language) not in translator.targets:
        served = ", ".join(translator.targets)
        message = f"There is no translation from {translator.source!r} into {language!r} here; served are {served}."
        raise Refused("unsupported_language", message, "session.audio.output.language")


class Interpreting:
    """Decides what one translation session does.

    `new_id(prefix)` makes unique ids. `setup` is the configuration that the session begins with.
    """

    def __init__(
        self,
        translator: Translator,
        runtime: Runtime,
        new_id: Callable[[str], str],
        setup: protocol.SessionSetup | None = None,
    ) -> None:
        self._translator = translator
        self._runtime = runtime
        self._new_id = new_id
        self._setup = setup
        self._settings = Settings(voice=runtime.default_voice)
        self._speech = Speech(AudioOutput(voice=runtime.default_voice or UNSET))
        self._session: Session | None = None
        self._pcm = bytearray()
        self._input_ms = 0  # audio that was cut into whole pieces
        self._elapsed_ms = 0  # how much of that the translator has taken
        self._waiting_pieces = 0
        self._worded = False  # words have been given
        self._told: set[str] = set()  # codes of errors that are told once, not with every piece of audio
        self._closing = False
        self._translated = False  # the translator has given all there is
        self._closed = False
        self._out: list[Effect] = []

    def receive(self, message: Input) -> list[Effect]:
        """Take one input in, and return what to do about it, in order."""
        if self._closed:
            return []
        try:
            self._dispatch(message)
        except Refused as refused:
            event_id = message.event_id if isinstance(message, protocol.TranslationClientEvent) else UNSET
            known = None if event_id is UNSET else event_id
            self._error(ErrorBody("invalid_request_error", refused.code, str(refused), refused.param, known))
        out, self._out = self._out, []
        return out

    def _dispatch(self, message: Input) -> None:
        if isinstance(message, protocol.TranslationClientEvent):
            if self._closing:
                raise Refused("session_closing", "The session is being closed; nothing more is taken.", "type")
            self._requested(message)
            return
        match message:
            case BadMessage():
                self._error(message.body)
            case Transcribed():
                if self._settings.transcription is not None:
                    self._tell(protocol.InputTranscriptDelta, delta=message.text, elapsed_ms=self._elapsed_ms)
            case Rendered():
                self._rendered(message)
            case Taken():
                self._elapsed_ms = message.piece.end_ms
                self._waiting_pieces -= 1
                if self._waiting_pieces < _MAX_WAITING_PIECES // 2:
                    self._told.discard(_BEHIND)
            case Translated():
                self._translated = True
                self._ask(self._speech.flush())
                self._finish_if_idle()
            case TranslationFailed():
                self._error(ErrorBody("server_error", "translation_failed", message.message))
                self._end(1011, message.message)
            case Ending():
                self._end(message.code, message.reason)
            case _:
                self._spoken(message)

    # --- the client ---

    def _requested(self, event: protocol.TranslationClientEvent) -> None:
        match event:
            case protocol.SessionUpdate():
                self._apply(event.session)
                self._tell(protocol.SessionUpdated, session=self._shown())
            case protocol.AudioAppend():
                self._listen(event.audio)
            case protocol.TranscriptAppend():
                self._read(event.text)
            case protocol.SessionClose():
                if self._pcm:
                    self._cut(bytes(_PIECE_BYTES - len(self._pcm)))
                self._closing = True
                self._out.append(EndSource())

    def _apply(self, change: protocol.SessionChange) -> None:
        before = self._settings
        self._settings = before.updated(change, self._translator, self._runtime)
        language = self._settings.language
        if language is not None and (before.language is None or _primary(before.language) != _primary(language)):
            self._out.append(Retarget(_primary(language)))
        self._speech.output = AudioOutput(voice=self._settings.voice or UNSET)

    def _read(self, text: str) -> None:
        if self._translator.transcripts != "given":
            raise Refused("unsupported_event", "The speech is recognised here; send only the audio.", "type")
        if self._settings.language is None:
            raise Refused("language_not_set", self._set_language(), "session.audio.output.language")
        self._worded = True
        if not self._feed(Words(text, self._input_ms)):
            raise Refused(_BEHIND, "The translator does not keep up; these words are lost.", "text")

    def _listen(self, audio: bytes) -> None:
        if len(audio) % 2:
            raise Refused("invalid_value", "The audio ends within a sample; send whole 16-bit samples.", "audio")
        taken = self._cut(audio)
        if self._settings.language is None:
            self._refuse_once("language_not_set", self._set_language(), "session.audio.output.language")
        elif not taken:
            self._refuse_once(_BEHIND, "The translator does not keep up; part of the audio is lost.", "audio")
        elif self._translator.transcripts == "given" and not self._worded and self._input_ms >= _DEAF_MS:
            message = "Nobody recognises speech here; send what is said as session.input_transcript.append."
            self._refuse_once("transcripts_needed", message, "audio")

    def _cut(self, audio: bytes) -> bool:
        """Cut the input into pieces of `PIECE_MS`, in whatever sizes it comes, and feed them. False says that some were
        lost.
        """
        taken = True
        self._pcm += audio
        while len(self._pcm) >= _PIECE_BYTES:
            self._input_ms += PIECE_MS
            frame = AudioPiece(bytes(self._pcm[:_PIECE_BYTES]), self._input_ms)
            del self._pcm[:_PIECE_BYTES]
            if self._settings.language is not None:
                taken = self._feed(frame) and taken
        return taken

    def _refuse_once(self, code: str, message: str, param: str) -> None:
        if code not in self._told:
            self._told.add(code)
            raise Refused(code, message, param)

    def _feed(self, piece: AudioPiece | Words) -> bool:
        """Give the translator a piece. False says that too many wait already, and this one is lost."""
        if self._waiting_pieces >= _MAX_WAITING_PIECES:
            return False
        self._waiting_pieces += 1
        self._out.append(Feed(piece))
        return True

    def _set_language(self) -> str:
        served = ", ".join(self._translator.targets)
        return f"Set audio.output.language with session.update first; served are {served}."

    # --- the translation and its speech ---

    def _rendered(self, piece: Rendered) -> None:
        if piece.text:
            shown = piece.text if piece.translated else _marked(piece.text)
            self._tell(protocol.OutputTranscriptDelta, delta=shown, elapsed_ms=self._elapsed_ms)
        if self._speech.waiting_chars + len(piece.text) > _MAX_WAITING_CHARS:
            message = f"The speech does not keep up; {piece.text.strip()[:100]!r} is in the transcript and not spoken."
            self._error(ErrorBody("server_error", "speech_behind", message))
            piece = replace(piece, text="")
        elif piece.text and not self._speech.stream and self._settings.voice:
            check_voice(self._settings.voice, self._runtime, "session.voiced.voice")  # it may have been deleted
        self._ask(self._speech.say(piece, self._elapsed_ms))

    def _spoken(self, event: core.ServerEvent) -> None:
        """Act on an event of the session that speaks."""
        match event:
            case core.SessionCreated():
                self._session = event.session
                refused = None
                try:
                    if self._setup is not None:
                        self._apply(self._setup)
                except Refused as error:
                    refused = error
                self._tell(protocol.SessionCreated, session=self._shown())
                if refused is not None:
                    raise refused
            case core.AudioDelta():
                self._tell(protocol.OutputAudioDelta, delta=event.delta, elapsed_ms=self._speech.elapsed_ms)
            case core.InputTextFlushed():
                self._ask(self._speech.spoken())
            case core.ResponseDone():
                self._done(event)
            case core.Error():
                if event.error.event_id == self._speech.stream:
                    self._lost(event.error.code, event.error.message)

    def _done(self, event: core.ResponseDone) -> None:
        details = event.response.status_details
        if details is not None and isinstance(details.error, ResponseError):
            self._lost(details.error.code, details.error.message)
        else:
            self._ask(self._speech.over())
            self._finish_if_idle()

    def _lost(self, code: str, reason: str) -> None:
        """Tell that the text stream broke, and that the text which waits in it is not spoken."""
        message = f"Part of the translation is in the transcript and not spoken: {reason}"
        self._error(ErrorBody("server_error", code, message))
        self._ask(self._speech.over())
        self._finish_if_idle()

    # --- the end ---

    def _finish_if_idle(self) -> None:
        """End a session that was asked to close, once everything is translated and spoken."""
        if self._translated and self._speech.idle:
            self._end(1000, "")

    def _end(self, code: int, reason: str) -> None:
        self._tell(protocol.SessionClosed)
        self._out.append(HangUp(code, reason))
        self._closed = True

    # --- what is asked for ---

    def _ask(self, events: list[ClientEvent]) -> None:
        self._out += map(Ask, events)

    def _tell(self, kind: type[Any], **fields: Any) -> None:
        self._out.append(Tell(kind(event_id=self._new_id("event_"), **fields)))

    def _error(self, body: ErrorBody) -> None:
        self._tell(core.Error, error=body)

    def _shown(self) -> protocol.TranslationSession:
        assert self._session is not None  # the session that speaks greets before anything else
        session, settings, runtime, translator = self._session, self._settings, self._runtime, self._translator
        return protocol.TranslationSession(
            id=session.id,
            model=session.model,
            expires_at=session.expires_at,
            audio=protocol.ShownAudio(
                protocol.ShownInput(settings.transcription, settings.noise_reduction),
                protocol.ShownOutput(settings.language),
            ),
            voiced=protocol.ShownTranslation(
                translator.name,
                translator.transcripts,
                translator.source,
                list(translator.targets),
                Engine(runtime.checkpoint, runtime.kind, runtime.device, runtime.decoder),
                settings.voice or UNSET,
            ),
        )


def _marked(text: str) -> str:
    """Put source words into brackets, to mark them in a transcript of the translation. The space around them stays
    outside.
    """
    words = text.strip()
    before, _, after = text.partition(words)
    return f"{before}[{words}]{after}" if words else text
