"""Holds one client's conversation without any I/O: told what happened, it says what to do.

`receive(message, now)` returns effects, in order. Nothing here waits, reads a clock or draws a random number. This
module passes each input to the one that deals with it: `items` with what a client does with items, `user_input` with
what the user says; `words`, `speech` and `closing` take a response from its first word to its end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from msgspec import UNSET

from protocol import client_events as client
from protocol import server_events as server
from protocol.encodings import BadMessage
from protocol.errors import Refused
from protocol.objects import (
    ConversationShown,
    Engine,
    ResponseConfig,
    SessionConfig,
    ShownAudio,
    ShownGeneration,
    ShownInput,
    ShownOutput,
)
from protocol.objects import Session as ShownSession
from realtime.access.quotas import Account
from realtime.request import Ended
from realtime.session.closing import Closing
from realtime.session.holding import Holding
from realtime.session.items import Items
from realtime.session.messages import (
    AudioPlayed,
    AudioSent,
    BrainCalled,
    BrainDone,
    BrainFailed,
    BrainSaid,
    ClauseAudio,
    Close,
    Disconnected,
    Drain,
    DropContext,
    Effect,
    HangUp,
    Input,
    ListeningChanged,
    NotTranscribed,
    Send,
    Stalled,
    Stop,
    Tick,
    Transcribed,
    UserAudio,
)
from realtime.session.playback import CLIENT_PLAYS, Playback
from realtime.session.response import LiveResponse
from realtime.session.responses import Responses
from realtime.session.settings import Listening, Runtime, Settings
from realtime.session.shared import Limits, Shared
from realtime.session.speech import Speech
from realtime.session.states import SESSION_MOVES, ResponseState, SessionState, moved
from realtime.session.user_input import UserInput
from realtime.session.words import Words

_RESTARTING = "The server is restarting; connect again."


class Session:
    """Holds one conversation: its state, its settings, its items and what is being spoken.

    `new_id(prefix)` gives unique ids. `now` is the time in seconds of a clock that does not go back, and
    `wall_clock_offset` turns it into Unix time for `expires_at`. `initial` are settings that came with the client's
    secret or offer, applied in order. `playback` says how the speech is played; where the server plays, `AudioPlayed`
    tells what was. `account` counts what the client's key uses.
    """

    def __init__(
        self,
        runtime: Runtime,
        limits: Limits,
        new_id: Callable[[str], str],
        *,
        now: float,
        wall_clock_offset: float,
        initial: Sequence[SessionConfig] = (),
        playback: Playback = CLIENT_PLAYS,
        account: Account | None = None,
    ) -> None:
        self.id = new_id("sess_")
        self.state = SessionState.NEW
        self._initial = initial
        self._shared = Shared(
            runtime,
            limits,
            new_id,
            now,
            Settings(voice=runtime.default_voice),
            conversation_id=new_id("conv_"),
            context_id=new_id("ctx_"),
            playback=playback,
            account=account or Account(),
        )
        self._responses = Responses(self._shared)
        self._closing = Closing(self._shared, self._responses)
        self._speech = Speech(self._shared, self._responses, self._closing)
        self._words = Words(self._shared, self._responses, self._speech, self._closing)
        self._user_input = UserInput(self._shared, self._responses, self._closing)
        self._items = Items(self._shared, self._responses, self._closing, on_deleted=self._user_input.forget)
        self._holding = Holding(self._shared, self._responses)
        self._expires_at = now + limits.max_session_s
        self._expires_unix = int(self._expires_at + wall_clock_offset)

    @property
    def live(self) -> LiveResponse | None:
        """Return the conversation's response, while it is under way."""
        return self._responses.spoken

    @property
    def responses(self) -> list[LiveResponse]:
        """List all responses under way, also those out of band."""
        return self._responses.all

    def unsent_s(self, response_id: str) -> float:
        """Tell how many seconds of a response's speech were made and have not left; 0 for one that is over."""
        live = self._responses.find(response_id)
        return 0.0 if live is None else live.playout.unsent_s

    @property
    def listening(self) -> Listening:
        """Return the settings of the client's audio."""
        return self._shared.settings.listening

    @property
    def wants_words(self) -> bool:
        """Whether the words of what the user says are asked for, by the client or by the brain."""
        return self._user_input.wants_words

    def open(self) -> list[Effect]:
        """Open the session, and return the effects that greet the client.

        For initial settings that are refused, these tell an error.
        """
        shared = self._shared
        self.state = moved(SESSION_MOVES, self.state, SessionState.OPEN)
        refusals: list[Refused] = []
        for initial in self._initial:
            try:
                shared.settings = shared.settings.updated(initial, shared.runtime, "session")
            except Refused as error:
                refusals.append(error)
        shared.send(server.SessionCreated, session=self.shown())
        shared.send(server.ConversationCreated, conversation=ConversationShown(shared.conversation_id))
        for refused in refusals:
            shared.error(refused.code, str(refused), refused.param, UNSET)
        return shared.take()

    def receive(self, message: Input, now: float) -> list[Effect]:
        """Take one input in; return what to do about it, in order. A closed session does nothing."""
        if self.state is SessionState.CLOSED:
            return []
        self._shared.now = now
        try:
            self._dispatch(message)
        except Refused as refused:
            self._shared.error(refused.code, str(refused), refused.param, getattr(message, "event_id", UNSET))
        if self.state is SessionState.DRAINING and not len(self._responses) and not self._responses.still_playing.all:
            self._finish(1012, _RESTARTING)
        self._holding.regulate()
        return self._shared.take()

    def _dispatch(self, message: Input) -> None:
        words, speech, items, user_input = self._words, self._speech, self._items, self._user_input
        match message:
            case AudioSent():
                speech.audio_sent(message)
            case AudioPlayed():
                speech.audio_played(message)
            case UserAudio():
                user_input.take_in(message)
            case Transcribed() | NotTranscribed():
                user_input.answered(message)
            case Stalled():
                self._holding.stalled = message.stalled
            case ListeningChanged():
                self._shared.runtime = replace(self._shared.runtime, hears=message.hears)
            case ClauseAudio():
                speech.clause_audio(message)
            case Ended():
                speech.clause_ended(message)
            case BrainSaid():
                words.brain_said(message)
            case BrainCalled():
                words.brain_called(message)
            case BrainDone():
                words.brain_done(message)
            case BrainFailed():
                words.brain_failed(message)
            case Tick():
                words.tick()
                user_input.tick()
                if self._holding.overdue:
                    self._disconnect()
                    self._shared.out.append(HangUp())
                elif self._shared.now >= self._expires_at:
                    self._finish(1001, "The session has reached its longest time; open a new one.")
            case Drain():
                if self.state is SessionState.OPEN:
                    self.state = moved(SESSION_MOVES, self.state, SessionState.DRAINING)
                    self._responses.draining = True
            case Stop():
                self._finish(1012, _RESTARTING)
            case Disconnected():
                self._disconnect()
            case BadMessage():
                self._shared.out.append(Send(server.Error(event_id=self._shared.new_id("event_"), error=message.body)))
            case client.SessionUpdate():
                self._update(message)
            case client.ItemCreate():
                items.create(message)
            case client.ItemRetrieve():
                items.retrieve(message)
            case client.ItemDelete():
                items.delete(message)
            case client.ItemTruncate():
                items.truncate(message)
            case client.InputAudioAppend():
                user_input.record(message)
            case client.InputAudioCommit():
                user_input.commit()
            case client.InputAudioClear():
                user_input.clear()
            case client.OutputAudioClear():
                if not self._shared.playback.by_server:
                    explained = "Here the client plays: stop there, and send conversation.item.truncate."
                    raise Refused("unsupported_event", explained, "type")
                self._closing.silence("client_cancelled")
            case client.ResponseCreate():
                self._responses.create(ResponseConfig() if message.response is UNSET else message.response)
            case client.ResponseCancel():
                self._cancel(message)
            case client.InputTextAppend():
                words.feed_stream(message.stream, message.text)
            case client.InputTextFlush():
                words.flush_stream(message.stream)
            case client.InputTextEnd():
                words.end_stream(message.stream)

    def _update(self, event: client.SessionUpdate) -> None:
        shared, before = self._shared, self._shared.settings
        shared.settings = before.updated(event.session, shared.runtime, "session")
        if shared.settings.manner != before.manner:
            shared.renew_context()
        shared.send(server.SessionUpdated, session=self.shown())

    def _cancel(self, event: client.ResponseCancel) -> None:
        wanted = event.response_id
        live = self._responses.spoken if wanted is UNSET else self._responses.find(wanted)
        if live is None:
            raise Refused("response_cancel_not_active", "Cancellation failed: no active response found.", "response_id")
        self._closing.stop(live, ResponseState.CANCELLED, reason="client_cancelled")

    # --- the end ---

    def _finish(self, code: int, reason: str) -> None:
        self.state = moved(SESSION_MOVES, self.state, SessionState.CLOSED)
        for live in self._responses.all:
            self._closing.stop(live, ResponseState.CANCELLED, reason="session_ended")
        self._closing.silence("session_ended")
        self._shared.out += [DropContext(self._shared.context_id), Close(code, reason)]

    def _disconnect(self) -> None:
        """Stop everything and tell nobody, since the client takes nothing any more."""
        self.state = moved(SESSION_MOVES, self.state, SessionState.CLOSED)
        for live in self._responses.all:
            self._closing.stop(live, ResponseState.CANCELLED, silently=True)
        self._shared.out.append(DropContext(self._shared.context_id))

    def shown(self) -> ShownSession:
        """Return the whole effective session, as the client sees it."""
        runtime, settings = self._shared.runtime, self._shared.settings
        listening = settings.listening
        return ShownSession(
            id=self.id,
            model=runtime.checkpoint,
            instructions=settings.instructions,
            audio=ShownAudio(
                ShownInput(
                    listening.format, listening.transcription, listening.noise_reduction, listening.turn_detection
                ),
                ShownOutput(settings.format, settings.speed, settings.voice or UNSET),
            ),
            output_modalities=settings.modalities,
            max_output_tokens=settings.max_output_tokens,
            tools=list(settings.tools),
            tool_choice=settings.tool_choice,
            parallel_tool_calls=settings.parallel_tool_calls,
            tracing=settings.tracing,
            expires_at=self._expires_unix,
            type="transcription" if settings.transcribes_only else "realtime",
            voiced=ShownGeneration(
                Engine(runtime.checkpoint, runtime.kind, runtime.device, runtime.decoder),
                settings.generation,
                listening.shown(runtime),
                UNSET if settings.is_scene(runtime) else False,
            ),
        )
