"""The responses of a session: one in the conversation, any number out of band, each with its own clauses and end.

The fence is `clause_audio`: audio of a clause that is no longer the running one of its response is dropped there,
whatever is still under way. Where the server plays, a response that is over may still be heard: `audible` knows.
"""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, to_builtins
from msgspec.structs import replace

from protocol import server_events as server
from protocol.errors import Refused
from protocol.objects import (
    CallItem,
    Generation,
    ItemReference,
    MessageItem,
    NewItem,
    RateLimit,
    ResponseConfig,
    ResponseError,
    ResponseStatus,
)
from realtime.agent.brain import Dialogue
from realtime.request import Ended, Speak
from realtime.session.clauses import ClauseSplitter
from realtime.session.conversation import (
    Conversation,
    Entry,
    check_length,
    entry_from,
    too_long,
    too_much_audio,
    with_words,
)
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
    DropAudio,
    DropContext,
    FinishAudio,
    SendAudio,
    StopBrain,
)
from realtime.session.playout import Playout, Word
from realtime.session.response import LiveResponse
from realtime.session.shared import Shared
from realtime.session.states import ResponseState
from realtime.session.still_playing import StillPlaying
from realtime.session.text_streams import TextStreams
from realtime.session.voicing import voicing_of


class Responses:
    """All responses under way. `streams` says which of them get their words from the client; while `draining` no more
    are begun."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._live: dict[str, LiveResponse] = {}
        self._still_playing = StillPlaying(shared)
        self.streams = TextStreams()
        self.draining = False

    def __len__(self) -> int:
        return len(self._live)

    @property
    def all(self) -> list[LiveResponse]:
        """Those under way, oldest first."""
        return list(self._live.values())

    @property
    def heard(self) -> bool:
        """Where the server plays: there is speech that has not all gone out."""
        return bool(self._still_playing.all)

    @property
    def spoken(self) -> LiveResponse | None:
        """The conversation's own response."""
        return next((live for live in self._live.values() if live.conversation_id is not None), None)

    def find(self, response_id: str | None) -> LiveResponse | None:
        """A response under way, by id."""
        return self._live.get(response_id) if response_id is not None else None

    def speaking(self, item_id: str) -> LiveResponse | None:
        """The response whose message this is, while it is under way."""
        return next((live for live in self._live.values() if live.item is not None and live.item.id == item_id), None)

    # --- beginning ---

    def create(self, config: ResponseConfig, stream: str | None = None) -> LiveResponse:
        """Begin a response; its words come from the brain, or from the client's text `stream` (or the one that the
        config names). Raises Refused; the words of the stream that was to be spoken are then dropped until its end."""
        if stream is None and config.voiced is not UNSET and config.voiced.text_stream is not UNSET:
            stream = config.voiced.text_stream
        if stream is not None and self.streams.response(stream) is not None:
            taken = f"The text stream {stream!r} already has a response; end it or use another name."
            raise Refused("text_stream_in_use", taken, "response.voiced.text_stream")
        try:
            return self._begin(config, stream)
        except Refused:
            if stream is not None:
                self.streams.refuse(stream)
            raise

    def _begin(self, config: ResponseConfig, stream: str | None) -> LiveResponse:
        shared, outside = self._shared, config.conversation == "none"
        self._check_room(outside)
        settings = shared.settings.updated(config, shared.runtime, "response")
        before = Conversation(list(shared.conversation.entries))
        if config.input is not UNSET and config.input is not None:
            before = self._input(config.input)
        voicing = voicing_of(settings, before, shared.runtime)
        shared.account.begin_response(shared.now)
        if not outside and settings.manner != shared.settings.manner:
            shared.renew_context()
        live = LiveResponse(
            id=shared.new_id("resp_"),
            settings=settings,
            voicing=voicing,
            before=before,
            context_id=shared.new_id("ctx_") if outside else shared.context_id,
            conversation_id=None if outside else shared.conversation_id,
            metadata=config.metadata,
            splitter=ClauseSplitter(shared.runtime.max_clause_chars),
            playout=Playout(shared.runtime.sample_rate, settings.speed, reported=shared.plays),
            stream=stream,
            fed_at=shared.now,
        )
        self._live[live.id] = live
        shared.contexts_in_use.add(live.context_id)
        shared.send(server.ResponseCreated, response=live.shown("in_progress"))
        shared.send(server.RateLimitsUpdated, rate_limits=[self._left()])
        if stream is None:
            choice = settings.tool_choice if isinstance(settings.tool_choice, str) else settings.tool_choice.name
            tools = tuple(to_builtins(tool) for tool in settings.tools)
            shared.out.append(AskBrain(live.id, Dialogue(before.dialogue(), settings.instructions, tools, choice)))
        else:
            self.streams.open(stream, live.id)
        return live

    def _check_room(self, outside: bool) -> None:
        if self.draining:
            raise Refused("server_draining", "The server is about to stop; connect again.")
        if not outside:
            spoken = self.spoken
            if spoken is not None:
                raise Refused(
                    "conversation_already_has_active_response",
                    f"Response {spoken.id} is still being spoken; cancel it or wait for its response.done.",
                )
            self._shared.conversation.check_room()
        elif self._outside() >= self._shared.limits.max_out_of_band:
            raise Refused(
                "too_many_responses",
                f"{self._outside()} responses are under way out of band; wait for one to end.",
                "response.conversation",
            )

    def _outside(self) -> int:
        return sum(live.conversation_id is None for live in self._live.values())

    def _left(self) -> RateLimit:
        limit = self._shared.limits.max_out_of_band + 1
        return RateLimit("requests", limit, limit - len(self._live), 0.0)

    def _input(self, given: list[NewItem | ItemReference]) -> Conversation:
        """A conversation of these items alone."""
        conversation, limits = Conversation(), self._shared.limits
        samples = int(limits.max_clip_s * self._shared.runtime.sample_rate)
        clip_bytes = 0
        for index, new in enumerate(given):
            where = f"response.input[{index}]"
            if isinstance(new, ItemReference):
                entry = self._shared.conversation.find(new.id, "item_retrieve_invalid_item_id", f"{where}.id")
            else:
                entry = entry_from(new, self._shared.new_id, samples, where)
                check_length(entry, limits.max_item_chars, where)
            conversation.insert(entry, None, where)
            clip_bytes += 0 if entry.clip is None or entry.recorded else len(entry.clip)
            if clip_bytes > 2 * limits.max_clips_s * self._shared.runtime.sample_rate:
                raise too_much_audio(limits.max_clips_s, where)
        return conversation

    # --- words ---

    def brain_said(self, message: BrainSaid) -> None:
        live = self._listened_to(message.response_id)
        if live is not None:
            self.feed(live, message.text)

    def brain_done(self, message: BrainDone) -> None:
        live = self._listened_to(message.response_id)
        if live is not None:
            self.finish_words(live)

    def brain_failed(self, message: BrainFailed) -> None:
        live = self._listened_to(message.response_id)
        if live is not None:
            kind = "invalid_request_error" if message.code == "nothing_to_say" else "server_error"
            error = ResponseError(kind, message.code, message.message)
            self.stop(live, ResponseState.FAILED, error=error)

    def brain_called(self, message: BrainCalled) -> None:
        """The brain wants a function called: an item of its own, whole at once."""
        live, shared = self._listened_to(message.response_id), self._shared
        if live is None:
            return
        index, call_id = len(live.output), message.call_id or shared.new_id("call_")
        done = CallItem(shared.new_id("item_"), message.name, message.arguments, call_id, "completed")
        begun = replace(done, arguments="", status="in_progress")
        previous = None
        shared.send(server.OutputItemAdded, response_id=live.id, item=begun, output_index=index)
        if live.conversation_id is not None:
            previous = shared.conversation.append(Entry(done))
            shared.send(server.ItemAdded, item=begun, previous_item_id=previous)
        where = {"response_id": live.id, "item_id": done.id, "call_id": call_id, "output_index": index}
        shared.send(server.CallArgumentsDelta, delta=message.arguments, **where)
        shared.send(server.CallArgumentsDone, name=message.name, arguments=message.arguments, **where)
        shared.send(server.OutputItemDone, response_id=live.id, item=done, output_index=index)
        if live.conversation_id is not None:
            shared.send(server.ItemDone, item=done, previous_item_id=previous)
        live.calls.append(done)

    def _listened_to(self, response_id: str) -> LiveResponse | None:
        """The response, while its brain has the word: one that was stopped may talk on for a moment."""
        live = self._live.get(response_id)
        return None if live is None or live.said_all else live

    def feed(self, live: LiveResponse, text: str) -> None:
        """More words of a response."""
        live.fed_at = self._shared.now
        if not text:
            return
        self._open_message(live)
        if live.settings.writes:
            live.written += text
            self._of_message(live, server.OutputTextDelta, delta=text)
            return
        live.clauses_left.extend(live.splitter.push(text))
        self._pump(live)

    def feed_stream(self, name: str, text: str) -> None:
        """More words of a text stream; the first open a response for it. Raises Refused."""
        if self.streams.is_cut(name):
            return  # its response was interrupted: what was still on the way is not wanted
        live = self.find(self.streams.response(name))
        if live is None:
            config = ResponseConfig() if not name else ResponseConfig(voiced=Generation(text_stream=name))
            live = self.create(config, stream=name)
        if live.held + len(text) > self._shared.limits.max_item_chars:
            raise too_long(live.held + len(text), self._shared.limits.max_item_chars, "text")
        self.feed(live, text)

    def flush_stream(self, name: str) -> None:
        """What has come so far is to be spoken, end of a sentence or not. Raises Refused when no such stream is
        open."""
        live = self._of_stream(name)
        if live is not None:
            live.flush()
            self._pump(live)

    def end_stream(self, name: str) -> None:
        """There are no more words in a stream. Raises Refused when no such stream is open."""
        live = self._of_stream(name)
        self.streams.end(name)
        if live is not None:
            self.finish_words(live)

    def _of_stream(self, name: str) -> LiveResponse | None:
        """The response that speaks this stream; None: it was cut. Raises Refused."""
        live = self.find(self.streams.response(name))
        if live is None and not self.streams.is_cut(name):
            unknown = f"No response speaks the text stream {name!r}; append text first."
            raise Refused("input_text_not_open", unknown, "stream")
        return live

    def finish_words(self, live: LiveResponse) -> None:
        """There are no more words."""
        live.clauses_left.extend(live.splitter.flush())
        live.said_all = True
        self._pump(live)

    def tick(self) -> None:
        """Streamed words that have stopped coming in the middle of a sentence are spoken before silence falls; a stream
        that its client has forgotten ends."""
        limits = self._shared.limits
        for live in self.all:
            if live.stream is None or live.said_all or live.running is not None:
                continue
            idle_s, asked = self._shared.now - live.fed_at, live.settings.generation.text_patience_s
            patience_s = limits.text_patience_s if asked is UNSET else asked
            if idle_s > limits.text_idle_s:
                self.end_stream(live.stream)
            elif idle_s > patience_s and live.splitter.pending:
                live.clauses_left.extend(live.splitter.release())
                self._pump(live)

    def _open_message(self, live: LiveResponse) -> None:
        """The response's message begins with its first words."""
        if live.entry is not None:
            return
        item = MessageItem(self._shared.new_id("item_"), "assistant", "in_progress", [])
        spoken = None if live.settings.writes else live.playout
        live.entry, live.message_index = Entry(item, playout=spoken), len(live.output)
        self._shared.send(server.OutputItemAdded, response_id=live.id, item=item, output_index=live.message_index)
        if live.conversation_id is not None:
            previous = self._shared.conversation.append(live.entry)
            self._shared.send(server.ItemAdded, item=item, previous_item_id=previous)
        part = server.TextPart("") if live.settings.writes else server.Part("")
        self._of_message(live, server.ContentPartAdded, part=part)

    def _of_message(self, live: LiveResponse, kind: type[Any], **fields: Any) -> None:
        """Ask for an event about the response's message to be sent."""
        assert live.item is not None
        self._shared.send(kind, response_id=live.id, item_id=live.item.id, output_index=live.message_index, **fields)

    # --- speech ---

    def _pump(self, live: LiveResponse) -> None:
        """Start the next clause if none runs, or notice that all is said."""
        if live.running is None and live.frames_left == 0 and live.clauses_left:
            self._end_words(live)
        if live.running is None and live.next_clause() is not None:
            if live.state is ResponseState.QUEUED:
                live.enter(ResponseState.GENERATING)
            self._start_clause(live)
        for _ in range(live.flushed()):
            self._shared.send(server.InputTextFlushed, response_id=live.id, stream=live.stream)
        if live.exhausted:
            if live.unspoken:
                live.playout.begin_clause(live.unspoken)
                self._transcribe(live, live.playout.end_clause())
                live.unspoken = ""
            live.enter(ResponseState.DRAINING)
            self._shared.out.append(FinishAudio(live.id, self._shared.new_id("event_")))
            self._settle(live)

    def _end_words(self, live: LiveResponse) -> None:
        """The client's limit is reached: what is left is not said."""
        live.clauses_left.clear()
        live.cut_short = live.said_all = True
        self._shared.out.append(StopBrain(live.id))
        for _ in range(live.forget_flushes()):
            self._shared.send(server.InputTextFlushed, response_id=live.id, stream=live.stream)
        self.streams.cut(live.stream, live.id)

    def _start_clause(self, live: LiveResponse) -> None:
        shared, settings, clause = self._shared, live.settings, live.running_clause
        assert live.running is not None and clause is not None
        seed = settings.generation.seed
        if seed is UNSET:
            seed = int(shared.new_id("")[:15], 16)  # ids are random hex: the one source of chance here
        lead = settings.generation.max_lead_s
        shared.out.append(
            Speak(
                request_id=live.running,
                text=clause.spoken,
                voicing=live.voicing,
                context_id=live.context_id,
                sampling=settings.sampling,
                seed=seed + live.clauses - 1,
                lead_s=self._still_playing.lead(live),
                paced=settings.generation.paced is not False,
                more=bool(live.clauses_left) or not live.said_all,
                max_lead_s=None if lead is UNSET else lead,
                max_frames=live.frames_left,
                speed=settings.speed,
            )
        )

    def clause_audio(self, message: ClauseAudio) -> None:
        live = self._of_clause(message.clause_id)
        if live is None or live.running_clause is None or live.item is None:
            return  # the fence: this speech is no longer wanted
        if not live.begun:
            live.begun = True
            live.playout.begin_clause(live.running_clause.text)
        live.used = message.used
        samples = len(message.pcm) // 2
        self._transcribe(live, live.playout.words(samples))
        live.playout.generate(samples)
        self._shared.account.spoke(samples / self._shared.runtime.sample_rate, self._shared.now)
        delta = server.AudioDelta(
            event_id=self._shared.new_id("event_"),
            response_id=live.id,
            item_id=live.item.id,
            delta=message.pcm,
            output_index=live.message_index,
        )
        self._shared.out.append(SendAudio(delta, samples, live.settings.format))
        self._still_playing.add(live)

    def _transcribe(self, live: LiveResponse, words: list[Word]) -> None:
        for word in words:
            self._of_message(live, server.TranscriptDelta, delta=word.text, start_time=word.start, end_time=word.end)

    def clause_ended(self, message: Ended) -> None:
        live = self._of_clause(message.request_id)
        if live is None:
            return
        if message.reason in ("stop", "length"):
            if not live.begun and live.running_clause is not None:
                live.playout.begin_clause(live.running_clause.text)  # said in silence
            self._transcribe(live, live.playout.end_clause())
            live.count(message)
            if live.cut_short and live.frames_left == 0:
                self._end_words(live)
            self._pump(live)
            return
        live.count(message)
        code = {"overloaded": "overloaded", "invalid": "invalid_value"}.get(message.reason, "engine_failed")
        kind = "invalid_request_error" if message.reason == "invalid" else "server_error"
        text = message.error or "The speech engine stopped this response."
        self.stop(live, ResponseState.FAILED, error=ResponseError(kind, code, text))

    def audio_sent(self, message: AudioSent) -> None:
        live = self._live.get(message.response_id)
        if live is not None:
            live.playout.send(message.samples, self._shared.now)
            self._settle(live)

    def audio_played(self, message: AudioPlayed) -> None:
        self._still_playing.played(message.response_id, message.samples)

    def _of_clause(self, clause_id: str) -> LiveResponse | None:
        """The response that this clause is the running one of."""
        live = self._live.get(clause_id.rpartition(".")[0])
        return live if live is not None and live.running == clause_id else None

    # --- ending ---

    def _settle(self, live: LiveResponse) -> None:
        """All generated and all sent: the response is complete."""
        if live.state is ResponseState.DRAINING and live.playout.sent == live.playout.generated:
            live.enter(ResponseState.DONE)
            if live.cut_short:
                self._close(live, "incomplete", reason="max_output_tokens")
            else:
                self._close(live, "completed")

    def stop(
        self,
        live: LiveResponse,
        state: ResponseState,
        reason: str | None = None,
        error: ResponseError | None = None,
        silently: bool = False,
    ) -> None:
        """End a response now, by cancellation or failure; `silently` when there is nobody left to tell."""
        live.enter(state)
        out = self._shared.out
        out.append(StopBrain(live.id))
        if live.running is not None:
            out.append(CancelClause(live.running))
            live.break_off(live.used)
        out.append(DropAudio(live.id))
        cut = self._still_playing.forget(live)
        if silently:
            self._forget(live)
            return
        if cut:
            self._still_playing.tell_cleared(live)
        self._close(live, "cancelled" if state is ResponseState.CANCELLED else "failed", reason, error)
        if cut:
            self._still_playing.tell_played(live)

    def interrupt(self) -> None:
        """The user has begun to speak: the conversation's response falls silent, and whatever else is heard."""
        if self.spoken is not None:
            self.stop(self.spoken, ResponseState.CANCELLED, reason="turn_detected")
        self.silence("turn_detected")

    def silence(self, reason: str) -> None:
        """Where the server plays: take back all speech that has not gone out, and end what it belongs to."""
        for live in self._still_playing.all:
            self._cut(live, reason)

    def cut(self, item_id: str, reason: str) -> bool:
        """End the speech of this message, made or heard; whether the client was told how much of it was heard."""
        live = self.speaking(item_id) or self._still_playing.of(item_id)
        if live is None:
            return False
        told = live in self._still_playing.all
        self._cut(live, reason)
        return told

    def _cut(self, live: LiveResponse, reason: str) -> None:
        if live.state.terminal:
            self._still_playing.take_back(live)
        else:
            self.stop(live, ResponseState.CANCELLED, reason=reason)

    def _close(
        self,
        live: LiveResponse,
        status: ResponseStatus,
        reason: str | None = None,
        error: ResponseError | None = None,
    ) -> None:
        """The closing events, in the order clients wait for; response.done is the one terminal event."""
        if live.entry is not None:
            self._close_message(live, live.entry, status)
        self._shared.send(server.ResponseDone, response=live.shown(status, reason, error))
        self._forget(live)

    def _close_message(self, live: LiveResponse, entry: Entry, status: ResponseStatus) -> None:
        assert live.item is not None
        written, playout = live.settings.writes, live.playout
        if written:
            words = live.written
        else:
            heard = playout.sent if status in ("completed", "incomplete") else playout.played(self._shared.now)
            words = playout.played_text(heard if entry.played is None else entry.played)  # the client knows better
        item = with_words(live.item, words, "completed" if status == "completed" else "incomplete", written)
        entry.item = item
        if written:
            self._of_message(live, server.OutputTextDone, text=words)
        else:
            self._of_message(live, server.AudioDone)
            self._of_message(live, server.TranscriptDone, transcript=words)
        part = server.TextPart(words) if written else server.Part(words)
        self._of_message(live, server.ContentPartDone, part=part)
        self._shared.send(server.OutputItemDone, response_id=live.id, item=item, output_index=live.message_index)
        if live.conversation_id is not None:
            previous = self._shared.conversation.previous(item.id)
            self._shared.send(server.ItemDone, item=item, previous_item_id=previous)

    def _forget(self, live: LiveResponse) -> None:
        shared = self._shared
        del self._live[live.id]
        shared.account.end_response()
        self.streams.cut(live.stream, live.id)
        shared.contexts_in_use.discard(live.context_id)
        if live.context_id != shared.context_id:
            shared.out.append(DropContext(live.context_id))
        elif live.settings.manner != shared.settings.manner:
            shared.renew_context()
        self._still_playing.settle(live)
