"""One client's conversation as a sans-I/O object: told what happened, it says what to do.

`receive(input, now)` returns effects, in order. Nothing here waits, reads a clock or draws a random number. The fence
is `_clause_audio`: audio of a clause that is no longer the running one is dropped there, whatever is still under way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from msgspec import UNSET, UnsetType

from protocol import client_events as client
from protocol import server_events as server
from protocol.encodings import BadMessage
from protocol.objects import (
    Engine,
    ErrorBody,
    Item,
    PcmFormat,
    ResponseConfig,
    ResponseError,
    ResponseStatus,
    ShownAudio,
    ShownGeneration,
    ShownOutput,
)
from protocol.objects import Session as ShownSession
from realtime.agent.clauses import ClauseSplitter
from realtime.session import prompting
from realtime.session.conversation import Conversation, Entry, entry_from, with_transcript
from realtime.session.errors import Refused
from realtime.session.messages import (
    AskBrain,
    AudioSent,
    BrainDone,
    BrainFailed,
    BrainSaid,
    CancelClause,
    ClauseAudio,
    ClauseEnded,
    Close,
    Disconnected,
    Drain,
    DropAudio,
    DropContext,
    Effect,
    Input,
    Send,
    SendAudio,
    StartClause,
    StopBrain,
    Tick,
)
from realtime.session.playout import Playout
from realtime.session.response import LiveResponse
from realtime.session.settings import Runtime, Settings
from realtime.session.states import SESSION_MOVES, ResponseState, SessionState, moved

_TRUNCATE_TOLERANCE_MS = 200
"""Clients measure by their own clock; a cut this little past the end means the end."""


@dataclass(frozen=True)
class Limits:
    """Bounds of one session."""

    max_clip_s: float = 30.0
    max_clips_s: float = 120.0  # all clips of a conversation
    max_item_chars: int = 20_000
    max_session_s: float = 3600.0


class Session:
    """States, items, one live response at a time. `new_id(prefix)` gives unique ids; `wall_clock_offset` turns `now`
    into Unix time for `expires_at`."""

    def __init__(
        self,
        runtime: Runtime,
        limits: Limits,
        new_id: Callable[[str], str],
        *,
        now: float,
        wall_clock_offset: float,
    ) -> None:
        self.id = new_id("sess_")
        self.state = SessionState.NEW
        self._runtime = runtime
        self._limits = limits
        self._new_id = new_id
        self._settings = Settings(voice=runtime.default_voice)
        self._conversation = Conversation()
        self._conversation_id = new_id("conv_")
        self._context_id = new_id("ctx_")
        self._live: LiveResponse | None = None
        self._expires_at = now + limits.max_session_s
        self._expires_unix = int(self._expires_at + wall_clock_offset)
        self._out: list[Effect] = []
        self._now = now

    @property
    def live(self) -> LiveResponse | None:
        """The response being spoken, if any."""
        return self._live

    def open(self) -> list[Effect]:
        """Greet the client."""
        self.state = moved(SESSION_MOVES, self.state, SessionState.OPEN)
        self._send(server.SessionCreated(event_id=self._event_id(), session=self._shown()))
        return self._take()

    def receive(self, message: Input, now: float) -> list[Effect]:
        """Take one input in; returns what to do about it, in order."""
        if self.state is SessionState.CLOSED:
            return []
        self._now = now
        try:
            self._dispatch(message)
        except Refused as refused:
            event_id = getattr(message, "event_id", UNSET)
            self._error(refused.code, str(refused), refused.param, event_id)
        return self._take()

    def _dispatch(self, message: Input) -> None:
        match message:
            case AudioSent():
                self._audio_sent(message)
            case ClauseAudio():
                self._clause_audio(message)
            case ClauseEnded():
                self._clause_ended(message)
            case BrainSaid():
                self._brain_said(message)
            case BrainDone():
                self._brain_done(message)
            case BrainFailed():
                self._brain_failed(message)
            case BadMessage():
                self._send(server.Error(event_id=self._event_id(), error=message.body))
            case client.SessionUpdate():
                self._update(message)
            case client.ItemCreate():
                self._create_item(message)
            case client.ItemRetrieve():
                entry = self._conversation.find(message.item_id, "item_retrieve_invalid_item_id")
                self._send(server.ItemRetrieved(event_id=self._event_id(), item=entry.item))
            case client.ItemDelete():
                self._delete_item(message)
            case client.ItemTruncate():
                self._truncate_item(message)
            case client.ResponseCreate():
                self._create_response(message)
            case client.ResponseCancel():
                self._cancel_response(message)
            case Tick():
                if self._now >= self._expires_at:
                    self._finish_session(1001, "The session has reached its longest time; open a new one.")
            case Drain():
                self._drain()
            case Disconnected():
                self._disconnect()

    # --- settings and items ---

    def _update(self, event: client.SessionUpdate) -> None:
        before = self._settings
        self._settings = before.updated(event.session, self._runtime, "session")
        if self._settings.manner != before.manner:
            self._renew_context()
        self._send(server.SessionUpdated(event_id=self._event_id(), session=self._shown()))

    def _create_item(self, event: client.ItemCreate) -> None:
        new = event.item
        item_id = self._new_id("item_") if new.id is UNSET else new.id
        max_samples = int(self._limits.max_clip_s * self._runtime.sample_rate)
        entry = entry_from(new, item_id, max_samples)
        if len(entry.text) > self._limits.max_item_chars:
            raise Refused(
                "string_above_max_length",
                f"The text has {len(entry.text)} characters; at most {self._limits.max_item_chars} are spoken at once.",
                "item.content",
            )
        clips = [other.clip for other in (*self._conversation.entries, entry) if other.clip is not None]
        if sum(map(len, clips)) > self._limits.max_clips_s * 2 * self._runtime.sample_rate:
            raise Refused(
                "too_much_audio",
                f"A conversation holds at most {self._limits.max_clips_s:g} s of clips; delete some.",
                "item",
            )
        previous = self._conversation.insert(entry, event.previous_item_id)
        if new.role == "system" or entry.clip is not None:
            self._renew_context()
        self._send(server.ItemAdded(event_id=self._event_id(), item=entry.item, previous_item_id=previous))
        self._send(server.ItemDone(event_id=self._event_id(), item=entry.item, previous_item_id=previous))

    def _delete_item(self, event: client.ItemDelete) -> None:
        if self._live is not None and self._live.item.id == event.item_id:
            raise Refused("item_delete_in_progress", "This item is being spoken; cancel its response first.", "item_id")
        entry = self._conversation.find(event.item_id, "item_delete_invalid_item_id")
        self._conversation.entries.remove(entry)
        if entry.item.role == "system" or entry.clip is not None:
            self._renew_context()
        self._send(server.ItemDeleted(event_id=self._event_id(), item_id=event.item_id))

    def _truncate_item(self, event: client.ItemTruncate) -> None:
        entry = self._conversation.find(event.item_id, "item_truncate_invalid_item_id")
        playout = entry.playout
        if playout is None:
            raise Refused("invalid_value", "Only speech of this session can be truncated.", "item_id")
        sent_ms = playout.sent * 1000 // self._runtime.sample_rate
        if event.audio_end_ms > sent_ms + _TRUNCATE_TOLERANCE_MS:
            raise Refused(
                "invalid_value",
                f"audio_end_ms is {event.audio_end_ms}, but only {sent_ms} ms of this item were sent.",
                "audio_end_ms",
            )
        if self._live is not None and self._live.item.id == event.item_id:
            self._stop_live(ResponseState.CANCELLED, reason="client_cancelled")
        samples = min(playout.sent, event.audio_end_ms * self._runtime.sample_rate // 1000)
        samples = entry.heard = samples if entry.heard is None else min(samples, entry.heard)  # what was cut stays cut
        entry.item = with_transcript(entry.item, playout.heard_text(samples), entry.item.status)
        self._send(
            server.ItemTruncated(
                event_id=self._event_id(), item_id=event.item_id, audio_end_ms=min(event.audio_end_ms, sent_ms)
            )
        )

    def _renew_context(self) -> None:
        """What comes before the speech has changed: the past spoken under it no longer fits. A live response keeps its
        own to its end."""
        if self._live is None or self._live.context_id != self._context_id:
            self._out.append(DropContext(self._context_id))
        self._context_id = self._new_id("ctx_")

    # --- responses ---

    def _create_response(self, event: client.ResponseCreate) -> None:
        if self.state is SessionState.DRAINING:
            raise Refused("server_draining", "The server is about to stop; connect again.", None)
        if self._live is not None:
            raise Refused(
                "conversation_already_has_active_response",
                f"Response {self._live.id} is still being spoken; cancel it or wait for its response.done.",
            )
        config = ResponseConfig() if event.response is UNSET else event.response
        settings = self._settings.updated(config, self._runtime, "response")
        # voices that are items are looked up here, so that a wrong one is refused before anything starts
        prompting.messages(settings, self._conversation, self._runtime, "")
        if settings.manner != self._settings.manner:
            self._renew_context()
        said = self._conversation.said()
        response_id = self._new_id("resp_")
        item = Item(self._new_id("item_"), "assistant", "in_progress", [])
        live = self._live = LiveResponse(
            id=response_id,
            item=item,
            settings=settings,
            before=Conversation(list(self._conversation.entries)),
            context_id=self._context_id,
            conversation_id=self._conversation_id,
            metadata=config.metadata,
            splitter=ClauseSplitter(self._runtime.max_clause_chars),
            playout=Playout(self._runtime.sample_rate),
        )
        entry = Entry(item, playout=live.playout)
        try:
            previous = self._conversation.insert(entry, None)
        except Refused:
            self._live = None
            raise
        self._send(server.ResponseCreated(event_id=self._event_id(), response=live.shown("in_progress", None)))
        self._send(server.OutputItemAdded(event_id=self._event_id(), response_id=response_id, item=item))
        self._send(server.ItemAdded(event_id=self._event_id(), item=item, previous_item_id=previous))
        self._send(
            server.ContentPartAdded(
                event_id=self._event_id(), response_id=response_id, item_id=item.id, part=server.Part("")
            )
        )
        self._out.append(AskBrain(response_id, said))

    def _cancel_response(self, event: client.ResponseCancel) -> None:
        live = self._live
        if live is None or (event.response_id is not UNSET and event.response_id != live.id):
            raise Refused("response_cancel_not_active", "Cancellation failed: no active response found.", "response_id")
        self._stop_live(ResponseState.CANCELLED, reason="client_cancelled")

    def _brain_said(self, message: BrainSaid) -> None:
        live = self._of(message.response_id)
        if live is None:
            return
        live.waiting.extend(live.splitter.push(message.text))
        self._pump(live)

    def _brain_done(self, message: BrainDone) -> None:
        live = self._of(message.response_id)
        if live is None:
            return
        live.waiting.extend(live.splitter.flush())
        live.said_all = True
        self._pump(live)

    def _brain_failed(self, message: BrainFailed) -> None:
        if self._of(message.response_id) is not None:
            error = ResponseError("invalid_request_error", "nothing_to_say", message.message)
            self._stop_live(ResponseState.FAILED, error=error)

    def _pump(self, live: LiveResponse) -> None:
        """Start the next clause if none runs, or notice that all is said."""
        if live.running is None:
            clause = live.next_clause()
            if clause is not None:
                if live.state is ResponseState.QUEUED:
                    live.enter(ResponseState.GENERATING)
                assert live.running is not None
                settings = live.settings
                seed = settings.generation.seed
                if seed is UNSET:
                    seed = int(self._new_id("")[:15], 16)  # ids are random hex: the one source of chance here
                self._out.append(
                    StartClause(
                        clause_id=live.running,
                        text=clause.spoken,
                        messages=prompting.messages(settings, live.before, self._runtime, clause.spoken),
                        context_id=live.context_id,
                        sampling=settings.sampling,
                        seed=seed + live.clauses - 1,
                        lead_s=live.playout.lead(self._now),
                        paced=settings.generation.paced is not False,
                        more=bool(live.waiting) or not live.said_all,
                    )
                )
        if live.exhausted:
            if live.unspoken:
                self._transcribe(live, live.unspoken)
                live.playout.end_clause()
                live.unspoken = ""
            live.enter(ResponseState.DRAINING)
            self._settle(live)

    def _clause_audio(self, message: ClauseAudio) -> None:
        live = self._live
        if live is None or live.running != message.clause_id or live.running_clause is None:
            return  # the fence: this speech is no longer wanted
        if not live.begun:
            live.begun = True
            self._transcribe(live, live.running_clause.text)
        samples = len(message.pcm) // 2
        live.playout.generate(samples)
        delta = server.AudioDelta(
            event_id=self._event_id(), response_id=live.id, item_id=live.item.id, delta=message.pcm
        )
        self._out.append(SendAudio(delta, samples))

    def _transcribe(self, live: LiveResponse, text: str) -> None:
        """The words of the audio that follows."""
        start = live.playout.begin_clause(text)
        self._send(
            server.TranscriptDelta(
                event_id=self._event_id(),
                response_id=live.id,
                item_id=live.item.id,
                delta=text,
                start_time=round(start, 3),
            )
        )

    def _clause_ended(self, message: ClauseEnded) -> None:
        live = self._live
        if live is None or live.running != message.clause_id:
            return
        if message.reason in ("stop", "length"):
            if not live.begun and live.running_clause is not None:
                self._transcribe(live, live.running_clause.text)  # said in silence
            live.playout.end_clause()
            live.count(message)
            self._pump(live)
            return
        live.count(message)
        code = {"overloaded": "overloaded", "invalid": "invalid_value"}.get(message.reason, "engine_failed")
        kind = "invalid_request_error" if message.reason == "invalid" else "server_error"
        text = message.error or "The speech engine stopped this response."
        self._stop_live(ResponseState.FAILED, error=ResponseError(kind, code, text))

    def _audio_sent(self, message: AudioSent) -> None:
        live = self._of(message.response_id)
        if live is not None:
            live.playout.send(message.samples, self._now)
            self._settle(live)

    def _settle(self, live: LiveResponse) -> None:
        """All generated and all sent: the response is complete."""
        if live.state is ResponseState.DRAINING and live.playout.sent == live.playout.generated:
            live.enter(ResponseState.DONE)
            if live.cut_short:
                self._close_response(live, "incomplete", reason="max_output_tokens")
            else:
                self._close_response(live, "completed")

    def _stop_live(self, state: ResponseState, reason: str | None = None, error: ResponseError | None = None) -> None:
        """End the live response now, by cancellation or failure."""
        live = self._live
        assert live is not None
        live.enter(state)
        self._out.append(StopBrain(live.id))
        if live.running is not None:
            self._out.append(CancelClause(live.running))
            live.running = live.running_clause = None
        self._out.append(DropAudio(live.id))
        self._close_response(live, "cancelled" if state is ResponseState.CANCELLED else "failed", reason, error)

    def _close_response(
        self,
        live: LiveResponse,
        status: ResponseStatus,
        reason: str | None = None,
        error: ResponseError | None = None,
    ) -> None:
        """The closing events, in the order clients wait for; response.done is the one terminal event."""
        whole = status in ("completed", "incomplete")
        heard = live.playout.sent if whole else live.playout.played(self._now)
        transcript = live.playout.heard_text(heard)
        item = with_transcript(live.item, transcript, "completed" if status == "completed" else "incomplete")
        entry = self._conversation.find(item.id, "item_retrieve_invalid_item_id")
        entry.item = item
        previous = self._previous_of(item.id)
        part = server.Part(transcript)
        self._send(server.AudioDone(event_id=self._event_id(), response_id=live.id, item_id=item.id))
        self._send(
            server.TranscriptDone(
                event_id=self._event_id(), response_id=live.id, item_id=item.id, transcript=transcript
            )
        )
        self._send(server.ContentPartDone(event_id=self._event_id(), response_id=live.id, item_id=item.id, part=part))
        self._send(server.OutputItemDone(event_id=self._event_id(), response_id=live.id, item=item))
        self._send(server.ItemDone(event_id=self._event_id(), item=item, previous_item_id=previous))
        shown = live.shown(status, item, reason, error)
        self._send(server.ResponseDone(event_id=self._event_id(), response=shown))
        self._live = None
        if live.context_id != self._context_id:
            self._out.append(DropContext(live.context_id))
        elif live.settings.manner != self._settings.manner:
            self._renew_context()
        if self.state is SessionState.DRAINING:
            self._finish_session(1012, "The server is restarting; connect again.")

    def _of(self, response_id: str) -> LiveResponse | None:
        """The live response, if it is this one."""
        return self._live if self._live is not None and self._live.id == response_id else None

    def _previous_of(self, item_id: str) -> str | None:
        entries = self._conversation.entries
        index = next(index for index, entry in enumerate(entries) if entry.item.id == item_id)
        return entries[index - 1].item.id if index else None

    # --- the end ---

    def _drain(self) -> None:
        if self.state is SessionState.OPEN:
            self.state = moved(SESSION_MOVES, self.state, SessionState.DRAINING)
            if self._live is None:
                self._finish_session(1012, "The server is restarting; connect again.")

    def _finish_session(self, code: int, reason: str) -> None:
        if self._live is not None:
            self.state = moved(SESSION_MOVES, self.state, SessionState.CLOSED)
            self._stop_live(ResponseState.CANCELLED, reason="session_ended")
        else:
            self.state = moved(SESSION_MOVES, self.state, SessionState.CLOSED)
        self._out.append(DropContext(self._context_id))
        self._out.append(Close(code, reason))

    def _disconnect(self) -> None:
        """Nobody listens any more: stop everything, say nothing."""
        live = self._live
        if live is not None:
            live.enter(ResponseState.CANCELLED)
            self._out.append(StopBrain(live.id))
            if live.running is not None:
                self._out.append(CancelClause(live.running))
            self._out.append(DropAudio(live.id))
            if live.context_id != self._context_id:
                self._out.append(DropContext(live.context_id))
            self._live = None
        self._out.append(DropContext(self._context_id))
        self.state = moved(SESSION_MOVES, self.state, SessionState.CLOSED)

    # --- small things ---

    def _shown(self) -> ShownSession:
        runtime, settings = self._runtime, self._settings
        return ShownSession(
            id=self.id,
            model=runtime.checkpoint,
            instructions=settings.instructions,
            audio=ShownAudio(ShownOutput(PcmFormat(), settings.voice or None)),
            output_modalities=["audio"],
            expires_at=self._expires_unix,
            voiced=ShownGeneration(
                Engine(runtime.checkpoint, runtime.kind, runtime.device, runtime.decoder), settings.generation
            ),
        )

    def _event_id(self) -> str:
        return self._new_id("event_")

    def _send(self, event: server.ServerEvent) -> None:
        self._out.append(Send(event))

    def _error(self, code: str, message: str, param: str | None, event_id: str | UnsetType) -> None:
        body = ErrorBody("invalid_request_error", code, message, param, None if event_id is UNSET else event_id)
        self._send(server.Error(event_id=self._event_id(), error=body))

    def _take(self) -> list[Effect]:
        out, self._out = self._out, []
        return out
