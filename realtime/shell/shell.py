"""Runs one session on its wire: carries out its effects and tells it what happened.

The shell owns everything that a connection starts (brain tasks, clauses at the engine), and ends it with the
connection. It knows no transport: it is given a `Wire`, on which it sends and receives typed events.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Protocol

from msgspec import UNSET

from protocol.client_events import ClientEvent, InputAudioAppend, InputAudioClear, InputAudioCommit
from protocol.encodings import BadMessage
from protocol.objects import ErrorBody, SessionConfig
from protocol.server_events import ResponseDone, ServerEvent
from realtime.access.quotas import Account
from realtime.agent.brain import Brain, BrainFailure, FunctionCall, NothingToSay, SessionBrains
from realtime.engine.client import EngineClient
from realtime.engine.messages import Audio, Event
from realtime.hearing.listening import Hearing
from realtime.ids import new_id
from realtime.metrics.session_meters import SessionMeters, Transport, response_of
from realtime.recognition.recogniser import Job, NothingHeard, Recogniser, RecogniserUnavailable
from realtime.request import Ended, Speak, Used
from realtime.session.messages import (
    AskBrain,
    AudioPlayed,
    AudioSent,
    BrainCalled,
    BrainDone,
    BrainFailed,
    BrainSaid,
    CancelClause,
    ClauseAudio,
    Close,
    Disconnected,
    Drain,
    DropAudio,
    DropContext,
    DropTranscription,
    Effect,
    FinishAudio,
    HangUp,
    HoldClause,
    Input,
    ListeningChanged,
    NotTranscribed,
    Send,
    SendAudio,
    Stalled,
    Stop,
    StopBrain,
    Tick,
    Transcribe,
    Transcribed,
    UserAudio,
)
from realtime.session.playback import CLIENT_PLAYS, SERVER_PLAYS
from realtime.session.session import Session
from realtime.session.settings import Runtime
from realtime.session.shared import Limits
from realtime.shell.audio import ClauseSpeech, SpeechFormats, SpeechIn, pieces_of
from realtime.shell.outbox import Outbox
from realtime.shell.player import Player
from realtime.shell.slot_shares import Share, SlotShares
from realtime.shell.speech_scores import SpeechScores

log = logging.getLogger("voiced.session")

_TICK_S = 0.25
_HEARD_AT_ONCE = 12000  # bytes, a quarter of a second: a turn that begins in it interrupts before the rest is taken in
_BRAIN_PATIENCE_S = 60.0
_WORDS_PATIENCE_S = 30.0
_SHARED_OUT = "Others wait for a voice and this client holds its share; try again when a response has ended."


class Wire(Protocol):
    """Connects a session with its client."""

    async def send(self, event: ServerEvent) -> None:
        """Put an event on the wire; return when the transport took it. Raises ConnectionError when it is gone."""

    async def close(self, code: int, reason: str) -> None:
        """End the connection. `code` is a WebSocket's close code, `reason` a sentence for the client."""

    def incoming(self) -> AsyncIterator[ClientEvent | BadMessage]:
        """Yield the client's messages until it leaves."""

    @property
    def stalled(self) -> bool:
        """Tell whether the client has stopped taking what was sent."""


class _HungUp(Exception):
    """Says that the connection is over, from either side."""


class Shell:
    """Runs a session on a wire.

    Once `drain` is set, the session finishes what is being said and hangs up. `initial` are settings that it starts
    with. `hearing` scores what the user says for speech, `recogniser` finds the words in it. Speech goes out on the
    wire, faster than it is played, or is played by `player` here. `account` counts what the client's key uses; `share`
    is what the client may have of the engine's voices.
    """

    def __init__(
        self,
        wire: Wire,
        engine: EngineClient,
        brain: Brain,
        runtime: Runtime,
        limits: Limits,
        meters: SessionMeters,
        drain: asyncio.Event,
        initial: Sequence[SessionConfig] = (),
        hearing: Hearing | None = None,
        player: Player | None = None,
        account: Account | None = None,
        share: Share | None = None,
        recogniser: Recogniser | None = None,
    ) -> None:
        self._wire = wire
        self._engine = engine
        self._session_brain = brain.begin_session() if isinstance(brain, SessionBrains) else None
        self._brain = self._session_brain or brain
        self._meters = meters
        self._player = player
        self._share = share or SlotShares().client()
        self._outbox = Outbox()
        self._brains: dict[str, asyncio.Task[None]] = {}
        self._recogniser = recogniser
        self._woke_recogniser = False
        self._transcriptions: dict[str, asyncio.Task[None]] = {}
        self._clauses: dict[str, ClauseSpeech] = {}
        self._formats = SpeechFormats()
        self._speech_in = SpeechIn()
        self._hearing = hearing
        self._hears = runtime.hears
        self._speech_scores = SpeechScores(hearing, lambda audio: self._guarded(lambda: self._tell(audio)))
        self._tasks: asyncio.TaskGroup | None = None
        self._broken: asyncio.Future[None] | None = None  # an exception set on it ends the session
        self._drain = drain
        self._stalled = False
        self.session = Session(
            runtime,
            limits,
            new_id,
            now=time.monotonic(),
            wall_clock_offset=time.time() - time.monotonic(),
            initial=initial,
            playback=CLIENT_PLAYS if player is None else SERVER_PLAYS,
            account=account,
        )

    @property
    def transport(self) -> Transport:
        """Return how the client is connected."""
        return self._meters.transport

    @property
    def unsent(self) -> int:
        """Return how many messages wait to go out."""
        return len(self._outbox)

    async def run(self) -> None:
        """Run the session until the connection ends. Afterwards nothing that it started is left anywhere."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks, self._broken = tasks, asyncio.get_running_loop().create_future()
                tasks.create_task(_outcome(self._broken))
                self._perform(self.session.open())
                tasks.create_task(self._write())
                tasks.create_task(self._tick())
                tasks.create_task(self._await_drain())
                tasks.create_task(self._read())
                if self._player is not None:
                    tasks.create_task(self._player.run(self._on_played))
        except* _HungUp:
            pass
        finally:
            self._tasks = None
            self._meters.hung_up()
            for clause_id in self._clauses:
                self._engine.cancel(clause_id)
            self._share.close()
            if self._session_brain is not None:
                self._session_brain.end()
            self._speech_scores.close()
            self._tell(Disconnected())  # comes last, as a session that broke may break here again

    def cut(self) -> None:
        """End the session now, and tell its client why."""
        self._guarded(lambda: self._tell(Stop()))

    def take_in(self, pcm: bytes) -> None:
        """Take in what the user says, as 24 kHz PCM, where it does not come as events.

        It never raises: what goes wrong here ends this session.
        """
        self._guarded(lambda: self._take_in_audio(pcm))

    def _tell(self, message: Input) -> None:
        if self._wire.stalled != self._stalled:
            self._stalled = not self._stalled
            self._perform(self.session.receive(Stalled(self._stalled), time.monotonic()))
        self._perform(self.session.receive(message, time.monotonic()))

    def _perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send():
                    self._meters.told(effect.event, time.monotonic())
                    if isinstance(effect.event, ResponseDone):
                        self._share.end(effect.event.response.id)
                    self._outbox.put(effect)
                case SendAudio() | FinishAudio() | Close():
                    self._outbox.put(effect)
                case DropAudio():
                    self._outbox.drop_audio(effect.response_id)
                    self._formats.drop(effect.response_id)
                    if self._player is not None:
                        self._player.drop(effect.response_id)
                case AskBrain():
                    if self._tasks is not None:
                        task = self._tasks.create_task(self._ask(effect))
                        self._brains[effect.response_id] = task
                case StopBrain():
                    brain = self._brains.pop(effect.response_id, None)
                    if brain is not None and brain is not asyncio.current_task():
                        brain.cancel()
                case Transcribe():
                    if self._tasks is not None:
                        task = self._tasks.create_task(self._transcribe(effect))
                        self._transcriptions[effect.job_id] = task
                case DropTranscription():
                    transcription = self._transcriptions.pop(effect.job_id, None)
                    if transcription is not None:
                        transcription.cancel()
                case Speak():
                    self._start(effect)
                case CancelClause():
                    self._engine.cancel(effect.clause_id)
                case HoldClause():
                    self._engine.hold(effect.clause_id, effect.held)
                case DropContext():
                    self._engine.drop_context(effect.context_id)
                case HangUp():
                    if self._broken is not None and not self._broken.done():
                        self._broken.set_exception(_HungUp())

    def _start(self, request: Speak) -> None:
        self._clauses[request.request_id] = ClauseSpeech(request.speed)
        info = self._engine.info  # None while no engine runs: submit refuses then, and says why
        if info and not self._share.may_begin(response_of(request.request_id), info.max_slots, time.monotonic()):
            self._on_engine(Ended(request.request_id, "overloaded", error=_SHARED_OUT))
            return
        self._meters.clause_asked(request.request_id, time.monotonic())
        self._engine.submit(request, self._on_engine)

    def _on_engine(self, event: Event) -> None:
        """Take an event of a clause from the engine."""
        self._guarded(lambda: self._take_in_event(event))

    def _on_played(self, response_id: str, samples: int) -> None:
        self._meters.sent(response_id, samples, time.monotonic())
        self._tell(AudioPlayed(response_id, samples))

    def _guarded(self, action: Callable[[], None]) -> None:
        """Run `action`, and end this session if it fails.

        It never raises, since its callers serve other sessions too.
        """
        if self._tasks is None or self._broken is None or self._broken.done():
            return
        try:
            action()
        except Exception as error:  # the boundary of this connection
            log.exception("a session broke and is closed")
            self._broken.set_exception(error)

    def _take_in_event(self, event: Event) -> None:
        request_id = event.request_id
        speech = self._clauses.get(request_id)
        match event:
            case Audio():
                if speech is not None and (pcm := speech.push(event.pcm)):
                    self._share.served()
                    self._meters.clause_audio(request_id, time.monotonic(), self.session.unsent_s)
                    self._tell(ClauseAudio(request_id, pcm, event.used))
            case Ended():
                self._meters.clause_ended(event)
                if event.reason == "overloaded":
                    self._share.note_refused(response_of(request_id), time.monotonic())
                used = Used(event.prompt_positions, event.audio_positions, event.cached_positions, event.frames)
                rest = self._clauses.pop(request_id).flush() if speech is not None else b""
                if rest:
                    self._tell(ClauseAudio(request_id, rest, used))
                self._tell(event)

    async def _ask(self, question: AskBrain) -> None:
        reply: AsyncIterator[str | FunctionCall] | None = None
        try:
            reply = self._brain.reply(question.dialogue)
            async with asyncio.timeout(_BRAIN_PATIENCE_S) as patience:
                async for said in reply:
                    patience.reschedule(asyncio.get_running_loop().time() + _BRAIN_PATIENCE_S)
                    match said:
                        case FunctionCall():
                            self._tell(BrainCalled(question.response_id, said.name, said.arguments, said.call_id))
                        case str():
                            self._tell(BrainSaid(question.response_id, said))
                    if question.response_id not in self._brains:
                        return  # what it said ended its response
        except NothingToSay as error:
            self._tell(BrainFailed(question.response_id, str(error)))
        except BrainFailure as failure:
            self._tell(BrainFailed(question.response_id, failure.message, failure.code, failure.spoken))
        except Exception:  # the boundary of whatever brain is attached: its failure ends the response only
            log.exception("the brain failed")
            self._tell(BrainFailed(question.response_id, "Deciding what to say failed; try again.", "brain_failed"))
        else:
            self._tell(BrainDone(question.response_id))
        finally:
            self._brains.pop(question.response_id, None)
            if isinstance(reply, AsyncGenerator):
                await reply.aclose()

    async def _transcribe(self, asked: Transcribe) -> None:
        outcome: Transcribed | NotTranscribed
        try:
            if self._recogniser is None:
                raise RecogniserUnavailable("Nothing recognises speech on this server.")
            async with asyncio.timeout(_WORDS_PATIENCE_S):
                heard = await self._recogniser.transcribe(Job(asked.pcm, asked.kind, asked.language, asked.prompt))
            outcome = Transcribed(asked.job_id, heard.text, heard.duration_s)
        except NothingHeard as error:
            outcome = NotTranscribed(asked.job_id, "nothing_heard", str(error))
        except RecogniserUnavailable as error:
            outcome = NotTranscribed(asked.job_id, "recogniser_unavailable", str(error))
        except Exception:  # the boundary of whatever recogniser is attached: its failure leaves a turn without words
            log.exception("the recogniser failed")
            outcome = NotTranscribed(asked.job_id, "recogniser_unavailable", "Recognising what was said failed.")
        self._transcriptions.pop(asked.job_id, None)
        self._tell(outcome)

    async def _read(self) -> None:
        async for message in self._wire.incoming():
            await self._outbox.room()
            match message:
                case InputAudioAppend():
                    await self._append(message)
                case InputAudioCommit() | InputAudioClear():
                    if rest := self._speech_in.flush():
                        self._take_in_audio(rest)
                    await self._speech_scores.settled()
                    self._tell(message)
                case _:
                    self._tell(message)
        raise _HungUp

    async def _append(self, message: InputAudioAppend) -> None:
        format, pieces = self.session.listening.format, []
        try:
            for piece in pieces_of(message.audio, format):
                pieces.append(self._speech_in.decode(piece, format))
                await asyncio.sleep(0)  # a long message is not resampled at one go while others wait
        except ValueError as error:
            event_id = None if message.event_id is UNSET else message.event_id
            sentence = f"The audio is not in the session's input format: {error}."
            self._tell(BadMessage(ErrorBody("invalid_request_error", "invalid_value", sentence, "audio", event_id)))
            return
        pcm, event_id = b"".join(pieces), None if message.event_id is UNSET else message.event_id
        if self.session.listening.turn_detection is None or len(pcm) % 2:
            self._take_in_audio(pcm, event_id)  # in one piece, for it is taken or refused as a whole
            return
        for at in range(0, len(pcm), _HEARD_AT_ONCE):
            self._take_in_audio(pcm[at : at + _HEARD_AT_ONCE], event_id)
            await self._speech_scores.settled()  # so that the client's next event comes after this audio

    def _take_in_audio(self, pcm: bytes, event_id: str | None = None) -> None:
        if self._recogniser is not None and not self._woke_recogniser and self.session.wants_words:
            self._woke_recogniser = True
            self._recogniser.wake()
        if self.session.listening.turn_detection is None:
            self._speech_scores.rest()
            self._tell(UserAudio(pcm, (), event_id))
        else:
            self._speech_scores.take_in(pcm, event_id)

    async def _write(self) -> None:
        while True:
            message = await self._outbox.get()
            try:
                match message:
                    case Send():
                        await self._wire.send(message.event)
                    case SendAudio():
                        await self._speak(message)
                        self._tell(AudioSent(message.event.response_id, message.samples))
                    case FinishAudio():
                        await self._finish(message)
                    case Close():
                        await self._wire.close(message.code, message.reason)
                        raise _HungUp
            except ConnectionError:
                raise _HungUp from None

    async def _speak(self, message: SendAudio) -> None:
        if self._player is not None:
            self._player.put(message.event.response_id, message.event.delta)
            return
        if (delta := self._formats.encode(message)) is not None:
            await self._wire.send(delta)
        self._meters.sent(message.event.response_id, message.samples, time.monotonic())

    async def _finish(self, message: FinishAudio) -> None:
        if self._player is not None:
            self._player.finish(message.response_id)
        elif (delta := self._formats.finish(message)) is not None:
            await self._wire.send(delta)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            if self._hearing is not None and self._hearing.name != self._hears:
                self._hears = self._hearing.name
                self._tell(ListeningChanged(self._hears))
            self._tell(Tick())

    async def _await_drain(self) -> None:
        await self._drain.wait()
        self._tell(Drain())


async def _outcome(future: asyncio.Future[None]) -> None:
    await future
