"""Scope: a session under any order of what a client, a brain, an engine and a network can do, and what must hold."""

import re
from collections import Counter
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from protocol.client_events import (
    InputAudioAppend,
    InputAudioClear,
    InputAudioCommit,
    InputTextAppend,
    InputTextEnd,
    InputTextFlush,
    ItemCreate,
    ItemDelete,
    ItemRetrieve,
    ItemTruncate,
    ResponseCancel,
    ResponseCreate,
    SessionUpdate,
)
from protocol.encodings import BadMessage
from protocol.objects import (
    AudioInput,
    AudioOutput,
    ErrorBody,
    InputText,
    ItemReference,
    MessageItem,
    NewCallOutput,
    NewMessage,
    OutputAudio,
    OutputText,
    PcmuFormat,
    Response,
    ResponseConfig,
    SemanticVad,
    ServerVad,
    SessionAudio,
    SessionConfig,
)
from protocol.server_events import (
    AudioDelta,
    Error,
    InputTextFlushed,
    ItemAdded,
    ItemDone,
    OutputItemAdded,
    OutputItemDone,
    OutputTextDelta,
    ResponseCreated,
    ResponseDone,
    ServerEvent,
    SpeechStarted,
    TranscriptDelta,
    TranscriptDone,
)
from realtime.request import Ended, Speak
from realtime.session.messages import (
    SCORE_SAMPLES,
    AskBrain,
    BrainCalled,
    BrainDone,
    BrainFailed,
    BrainSaid,
    CancelClause,
    ClauseAudio,
    Disconnected,
    Drain,
    DropAudio,
    DropContext,
    Effect,
    FinishAudio,
    Send,
    SendAudio,
    Tick,
    UserAudio,
)
from realtime.session.response import LiveResponse
from realtime.session.shared import Limits
from realtime.session.states import ResponseState, SessionState
from tests.session.harness import Talk, generation, kind_of, reference, voice
from tests.session.turns_told import TurnsTold

LIMITS = Limits(
    max_session_s=500.0,
    max_out_of_band=3,
    max_item_chars=300,
    max_input_s=0.5,
    max_clips_s=0.5,
    text_idle_s=20.0,
)
PIECES = st.sampled_from(
    [
        "Hello there. ",
        "And another, rather longer sentence follows it here. ",
        "[SPEAKER1] Now me. ",
        "no end yet ",
        "… ",
        "\n",
        "A" * 100,
        "",
    ]
)
STREAMS = st.sampled_from(["", "left", "right"])
RESPONSES = st.sampled_from(
    [
        {},
        {"instructions": "Rain."},
        {"audio": voice("amy")},
        {"audio": voice("nope")},
        {"output_modalities": ["text"]},
        {"max_output_tokens": 1},
        {"metadata": {"a": "b"}},
        {"input": [NewMessage("user", [InputText("Only this.")]), ItemReference("ref")]},
    ]
)
UPDATES = st.sampled_from(
    [
        {"instructions": "Sun."},
        {"audio": voice("item:ref")},
        {"audio": voice("bob")},
        {"audio": SessionAudio(output=AudioOutput(format=PcmuFormat(), speed=1.5))},
        {"output_modalities": ["audio"]},
        {"output_modalities": ["text"]},
        {"max_output_tokens": "inf"},
        {"voiced": generation(speakers={"SPEAKER0": "item:ref"})},
        {"voiced": generation(speakers={})},
    ]
)
DETECTIONS = st.sampled_from(
    [
        None,
        ServerVad(),
        ServerVad(interrupt_response=False),
        ServerVad(silence_duration_ms=100, prefix_padding_ms=0, interrupt_response=True),
        ServerVad(silence_duration_ms=10000, prefix_padding_ms=5000),
        ServerVad(idle_timeout_ms=1000),
        SemanticVad(eagerness="high", interrupt_response=True),
        SemanticVad(interrupt_response=False),
    ]
)
RUNS = st.lists(st.tuples(st.sampled_from([0.0, 0.9]), st.integers(1, 10)), min_size=1, max_size=4)
"""Scores of speech, and how many windows have each."""

# what the events of one item of a response are called below, and the orders they may come in
LETTERS = {
    "response.output_item.added": "O",
    "conversation.item.added": "J",
    "response.content_part.added": "P",
    "response.output_audio_transcript.delta": "w",
    "response.output_audio.delta": "a",
    "response.output_text.delta": "t",
    "response.function_call_arguments.delta": "c",
    "response.function_call_arguments.done": "C",
    "response.output_audio.done": "A",
    "response.output_audio_transcript.done": "W",
    "response.output_text.done": "T",
    "response.content_part.done": "p",
    "response.output_item.done": "o",
    "conversation.item.done": "j",
}
IN_CONVERSATION = re.compile(r"OJ(P([wa]*AW|t*T)p|cC)oj")
OUT_OF_BAND = re.compile(r"O(P([wa]*AW|t*T)p|cC)o")


class Sessions(RuleBasedStateMachine):
    """The engine may answer late, the brain may talk on after it was stopped, the transport sends when it likes."""

    steps = 0  # of all sessions together
    plays = False  # the client does

    def __init__(self) -> None:
        super().__init__()
        self.talk = Talk(LIMITS, hears="script", plays=self.plays)
        self.talkers: set[str] = set()  # responses whose brain still talks
        self.text: dict[str, str] = {}  # what was said in time, by response
        self.engine: dict[str, bool] = {}  # clauses at the engine -> cancelled
        self.ended: Counter[str] = Counter()  # ends and cancels by clause
        self.contexts: dict[str, str] = {}  # by clause
        self.dropped: Counter[str] = Counter()  # contexts
        self.silent: set[str] = set()  # responses that have no more speech to send
        self.over: set[str] = set()
        self.streams: dict[str, str] = {}  # whose words are still coming, to their responses
        self.cut: set[str] = set()  # streams whose responses were stopped before their end
        self.flushes: Counter[str] = Counter()  # asked for and not answered, by response
        self.turns = TurnsTold()
        self.gone = False
        self.watch(self.talk.effects)

    def tell(self, message: Any) -> list[Effect]:
        was_closed = self.talk.session.state is SessionState.CLOSED
        if isinstance(message, (UserAudio, InputAudioAppend, InputAudioCommit, Tick)) and self._detection is None:
            self.turns.forget()  # nobody listens for its end any more
        effects = self.talk.tell(message)
        assert not (was_closed and effects), f"after the end: {effects}"
        self.watch(effects)
        self.streams = {
            live.stream: live.id
            for live in self.talk.session.responses
            if live.stream is not None and not live.said_all
        }
        return effects

    def watch(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Speak():
                    response = effect.request_id.rpartition(".")[0]
                    assert not self._at_engine(response), "two clauses of a response at once"
                    assert response not in self.over
                    assert any(character.isalnum() for character in effect.text)
                    assert effect.lead_s >= 0
                    assert effect.max_frames is None or effect.max_frames > 0
                    assert effect.context_id not in self.dropped, "a clause in a context that was dropped"
                    self.engine[effect.request_id] = False
                    self.contexts[effect.request_id] = effect.context_id
                case CancelClause():
                    assert not self.ended[effect.clause_id], "cancelled after it ended"
                    self.ended[effect.clause_id] += 1
                    self.engine[effect.clause_id] = True
                case SendAudio():
                    assert effect.event.response_id not in self.silent, "speech after the last of it"
                case FinishAudio():
                    assert effect.response_id not in self.silent
                    self.silent.add(effect.response_id)
                case DropAudio():
                    self.silent.add(effect.response_id)
                case DropContext():
                    self.dropped[effect.context_id] += 1
                    assert self.dropped[effect.context_id] == 1, "a context dropped twice"
                    running = [clause for clause, cancelled in self.engine.items() if not cancelled]
                    assert effect.context_id not in map(self.contexts.get, running), "dropped while it is spoken in"
                case AskBrain():
                    self.talkers.add(effect.response_id)
                case Send():
                    self._watch_event(effect.event)

    def _watch_event(self, event: ServerEvent) -> None:
        self.turns.told(event)
        match event:
            case ResponseCreated():
                assert event.response.id not in self.text, "created twice"
                self.text[event.response.id] = ""
            case ResponseDone():
                assert event.response.id not in self.over, "a response.done too many"
                self.over.add(event.response.id)
                self.silent.add(event.response.id)
                if event.response.status in ("cancelled", "failed"):
                    self.cut |= {name for name, response in self.streams.items() if response == event.response.id}
                    waiting = [kept for kept in self.talk.outbox if isinstance(kept, SendAudio)]
                    assert event.response.id not in [kept.event.response_id for kept in waiting], "not taken back"
                elif event.response.status == "completed":
                    assert not self.flushes[event.response.id], "a flush that was never answered"
            case InputTextFlushed():
                assert event.response_id not in self.over
                self.flushes[event.response_id] -= 1
                assert self.flushes[event.response_id] >= 0, "more answers than flushes"

    def _at_engine(self, response: str) -> list[str]:
        return [c for c, cancelled in self.engine.items() if not cancelled and c.rpartition(".")[0] == response]

    @property
    def _detection(self) -> ServerVad | SemanticVad | None:
        return self.talk.session.listening.turn_detection

    def _live(self, response: str) -> LiveResponse | None:
        return next((live for live in self.talk.session.responses if live.id == response), None)

    # --- the client: items and settings ---

    @rule(text=st.sampled_from(["Hi.", "", "[SPEAKER0] Me."]), role=st.sampled_from(["system", "user", "assistant"]))
    def create_item(self, text: str, role: Any) -> None:
        self.tell(ItemCreate(item=NewMessage(role, [InputText(text)])))

    @rule(previous=st.sampled_from([None, "root", "ref", "nowhere"]))
    def create_reference(self, previous: str | None) -> None:
        item = NewMessage("assistant", [reference(seconds=0.01)], id="ref")
        self.tell(ItemCreate(item=item, previous_item_id=previous))

    @rule()
    def create_call_output(self) -> None:
        self.tell(ItemCreate(item=NewCallOutput("call", "42")))

    @rule(data=st.data(), end_ms=st.integers(0, 4000))
    def truncate(self, data: st.DataObject, end_ms: int) -> None:
        items = [event.item.id for event in self.talk.got(OutputItemAdded)]
        if items:
            self.tell(ItemTruncate(item_id=data.draw(st.sampled_from(items)), audio_end_ms=end_ms))

    @rule(data=st.data(), take_out=st.booleans())
    def look_up(self, data: st.DataObject, take_out: bool) -> None:
        items = [event.item.id for event in self.talk.got(ItemAdded)] + ["ref"]
        item = data.draw(st.sampled_from(items))
        self.tell(ItemDelete(item_id=item) if take_out else ItemRetrieve(item_id=item))

    @rule(config=UPDATES)
    def update(self, config: dict[str, Any]) -> None:
        self.tell(SessionUpdate(session=SessionConfig(**config)))

    @rule(samples=st.sampled_from([0, 1200, 4800, 20000]), then=st.sampled_from(["", "commit", "clear"]))
    def speak_to_it(self, samples: int, then: str) -> None:
        self.tell(InputAudioAppend(audio=bytes(2 * samples)))
        if then:
            self.tell(InputAudioCommit() if then == "commit" else InputAudioClear())

    @rule(detection=DETECTIONS)
    def listen_for_turns(self, detection: ServerVad | SemanticVad | None) -> None:
        self.tell(SessionUpdate(session=SessionConfig(audio=SessionAudio(input=AudioInput(turn_detection=detection)))))

    @rule(runs=RUNS)
    def talk_to_it(self, runs: list[tuple[float, int]]) -> None:
        scores = tuple(score for score, windows in runs for _ in range(windows))
        detection, before = self._detection, self.talk.session.live
        effects = self.tell(UserAudio(bytes(2 * SCORE_SAMPLES * len(scores)), () if detection is None else scores))
        events = [effect.event for effect in effects if isinstance(effect, Send)]
        begun = any(isinstance(event, SpeechStarted) for event in events)
        ends = [event.response for event in events if isinstance(event, ResponseDone)]
        if not begun or detection is None or detection.interrupt_response is not True:
            assert not ends, "interrupted by nobody"
            return
        self.interrupted(ends)
        assert self.talk.session.live is None
        assert before is None or before.id in [response.id for response in ends]

    def interrupted(self, ended: list[Response]) -> None:
        """The user has begun to speak, and these responses have ended with it."""
        for response in ended:
            assert response.status == "cancelled"
            assert response.status_details is not None
            assert response.status_details.reason == "turn_detected"

    @rule()
    def send_rubbish(self) -> None:
        self.tell(BadMessage(ErrorBody("invalid_request_error", "invalid_json", "No.")))

    # --- the client: responses and their words ---

    @rule(config=RESPONSES, outside=st.booleans(), stream=st.one_of(st.none(), STREAMS))
    def create_response(self, config: dict[str, Any], outside: bool, stream: str | None) -> None:
        if outside:
            config = {**config, "conversation": "none"}
        if stream is not None:
            config = {**config, "voiced": generation(text_stream=stream)}
        self.tell(ResponseCreate(response=ResponseConfig(**config)))
        if stream in self.streams:
            self.cut.discard(stream)
        elif stream is not None:
            self.cut.add(stream)

    @rule(stream=STREAMS, piece=PIECES)
    def append(self, stream: str, piece: str) -> None:
        known, cut = self.streams.get(stream), stream in self.cut
        effects = self.tell(InputTextAppend(text=piece, stream=stream))
        refused = any(isinstance(effect, Send) and isinstance(effect.event, Error) for effect in effects)
        response = self.streams.get(stream)
        assert known is None or response in (known, None), "a stream has changed its response"
        assert not (cut and effects), "words of a stream that was cut"
        if response is not None and not refused:
            self.text[response] += piece
        elif known is None and response is None and refused:
            self.cut.add(stream)

    @rule(stream=STREAMS)
    def flush(self, stream: str) -> None:
        if stream in self.streams:
            self.flushes[self.streams[stream]] += 1
        self.tell(InputTextFlush(stream=stream))

    @rule(stream=STREAMS)
    def end_stream(self, stream: str) -> None:
        self.tell(InputTextEnd(stream=stream))
        self.cut.discard(stream)

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        known = [event.response.id for event in self.talk.got(ResponseCreated)]
        response = data.draw(st.sampled_from([None, "resp_nobody", *known[-4:]]))
        self.tell(ResponseCancel() if response is None else ResponseCancel(response_id=response))

    # --- the brain ---

    @precondition(lambda self: self.talkers)
    @rule(data=st.data(), piece=PIECES)
    def brain_says(self, data: st.DataObject, piece: str) -> None:
        response = data.draw(st.sampled_from(sorted(self.talkers)))
        live = self._live(response)
        if live is not None and not live.said_all:
            self.text[response] += piece
        self.tell(BrainSaid(response, piece))

    @precondition(lambda self: self.talkers)
    @rule(data=st.data())
    def brain_calls(self, data: st.DataObject) -> None:
        self.tell(BrainCalled(data.draw(st.sampled_from(sorted(self.talkers))), "f", "{}"))

    @precondition(lambda self: self.talkers)
    @rule(data=st.data(), fails=st.integers(0, 4))
    def brain_stops(self, data: st.DataObject, fails: int) -> None:
        response = data.draw(st.sampled_from(sorted(self.talkers)))
        self.talkers.remove(response)
        self.tell(BrainFailed(response, "Nothing.") if fails == 0 else BrainDone(response))

    # --- the engine ---

    @precondition(lambda self: self.engine)
    @rule(data=st.data(), samples=st.sampled_from([480, 960, 24000, 48000]))
    def engine_speaks(self, data: st.DataObject, samples: int) -> None:
        clause = data.draw(st.sampled_from(sorted(self.engine)))
        self.tell(ClauseAudio(clause, bytes(2 * samples)))

    @precondition(lambda self: self.contexts)
    @rule(data=st.data())
    def engine_speaks_too_late(self, data: st.DataObject) -> None:
        clause = data.draw(st.sampled_from(sorted(self.contexts)))
        effects = self.tell(ClauseAudio(clause, bytes(960)))
        assert not (effects and self.ended[clause]), "speech of a clause that is over"

    @precondition(lambda self: self.engine)
    @rule(
        data=st.data(),
        reason=st.sampled_from(["stop", "stop", "stop", "stop", "length", "failed", "overloaded", "invalid"]),
    )
    def engine_ends(self, data: st.DataObject, reason: Any) -> None:
        clause = data.draw(st.sampled_from(sorted(self.engine)))
        if self.engine.pop(clause):
            reason = data.draw(st.sampled_from([reason, "cancelled"]))
        else:
            self.ended[clause] += 1
        self.tell(Ended(clause, reason, frames=1))

    # --- the transport and the clock ---

    @precondition(lambda self: self.talk.outbox and not self.gone)
    @rule(count=st.integers(1, 8))
    def send(self, count: int) -> None:
        self.deliver(count)

    def deliver(self, count: int | None = None) -> None:
        """So much of what waits goes out, or all of it."""
        before = len(self.talk.effects)
        while self.talk.outbox and count != 0:
            self.talk.deliver_one()
            count = None if count is None else count - 1
        self.watch(self.talk.effects[before:])

    @rule(seconds=st.sampled_from([0.02, 0.3, 2.0, 21.0]))
    def wait(self, seconds: float) -> None:
        self.talk.now += seconds
        self.tell(Tick())

    @precondition(lambda self: len(self.talk.effects) > 80)
    @rule()
    def drain(self) -> None:
        self.tell(Drain())

    @precondition(lambda self: len(self.talk.effects) > 120)
    @rule()
    def expire(self) -> None:
        self.talk.now += 500.0
        self.tell(Tick())
        assert self.talk.session.state is SessionState.CLOSED

    @precondition(lambda self: len(self.talk.effects) > 120)
    @rule()
    def hang_up(self) -> None:
        self.gone = True
        self.tell(Disconnected())

    # --- what always holds ---

    @invariant()
    def count_steps(self) -> None:
        type(self).steps += 1

    @invariant()
    def played_sent_and_generated_are_in_order(self) -> None:
        for live in self.talk.session.responses:
            assert 0 <= live.playout.played(self.talk.now) <= live.playout.sent <= live.playout.generated
            assert not live.state.terminal
            if live.state is ResponseState.DRAINING:
                assert live.exhausted

    @invariant()
    def what_runs_is_running_at_the_engine(self) -> None:
        running = {clause for clause, cancelled in self.engine.items() if not cancelled}
        assert running == {live.running.id for live in self.talk.session.responses if live.running is not None}

    @invariant()
    def one_response_is_the_conversations_and_so_many_are_beside_it(self) -> None:
        responses = self.talk.session.responses
        inside = [live for live in responses if live.conversation_id is not None]
        assert inside == ([] if self.talk.session.live is None else [self.talk.session.live])
        assert len(responses) - len(inside) <= LIMITS.max_out_of_band
        assert {live.id for live in responses}.isdisjoint(self.over)

    @invariant()
    def a_stream_has_one_response_and_holds_so_much(self) -> None:
        streams = [live.stream for live in self.talk.session.responses if live.stream and not live.said_all]
        assert len(streams) == len(set(streams))
        for live in self.talk.session.responses:
            assert live.stream is None or live.held <= LIMITS.max_item_chars

    @invariant()
    def a_clause_ends_or_is_cancelled_and_only_once(self) -> None:
        assert all(count == 1 for count in self.ended.values())

    def teardown(self) -> None:
        """Let everything come to its end, then look at all of it."""
        for response in sorted(self.talkers):
            self.tell(BrainDone(response))
        for live in self.talk.session.responses:
            if live.stream is not None and not live.said_all:
                self.tell(InputTextEnd(stream=live.stream))
        for _ in range(1000):
            if not self.engine:
                break
            clause = next(iter(self.engine))
            if not self.engine.pop(clause):
                self.ended[clause] += 1
            self.tell(Ended(clause, "stop", frames=1))
        assert not self.engine
        if not self.gone:
            self.deliver()
            assert not self.talk.session.responses, "a response that never ends"
            self.listen_to_the_end()
            assert self.talk.session.state is not SessionState.DRAINING, "it has nothing to say and is still open"
            self.tell(Drain())
            assert self.talk.session.state is SessionState.CLOSED
            self.talk.deliver()
            assert self.talk.closed is not None
        assert set(self.contexts) == {clause for clause, count in self.ended.items() if count == 1}
        assert set(self.contexts.values()) <= set(self.dropped), "a context that the engine keeps for ever"
        self.check_events()

    def listen_to_the_end(self) -> None:
        """All responses are over; the client plays what is left."""

    def check_events(self) -> None:
        self.turns.check_end()
        created: dict[str, Response] = {}
        over: dict[str, Response] = {}
        order: dict[str, str] = {}  # letters by item
        owner: dict[str, str] = {}
        told: dict[str, str] = {}
        for event in self.talk.events:
            item_id = event.item.id if isinstance(event, (OutputItemAdded, ItemAdded, OutputItemDone, ItemDone)) else ""
            item_id = item_id or getattr(event, "item_id", "")
            match event:
                case ResponseCreated():
                    created[event.response.id] = event.response
                    told[event.response.id] = ""
                case ResponseDone():
                    over[event.response.id] = event.response
                case OutputItemAdded():
                    owner[item_id] = event.response_id
                    order[item_id] = ""
                case AudioDelta() | TranscriptDelta() | OutputTextDelta():
                    assert event.response_id in created and event.response_id not in over
                    told[event.response_id] += "" if isinstance(event, AudioDelta) else event.delta
                case TranscriptDone():
                    assert told[event.response_id].startswith(event.transcript)
            if item_id in owner and kind_of(event) in LETTERS:
                assert owner[item_id] in created and owner[item_id] not in over, "outside of its response"
                order[item_id] += LETTERS[kind_of(event)]
        for response, done in over.items():
            pattern = OUT_OF_BAND if done.conversation_id is None else IN_CONVERSATION
            mine = [item for item in owner if owner[item] == response]
            assert [item.id for item in done.output] == mine
            for item in mine:
                assert pattern.fullmatch(order[item]), order[item]
            assert self.text[response].startswith(told[response]), "words that nobody said"
            if done.status == "completed":
                assert told[response] == self.text[response]
                messages = [item for item in done.output if isinstance(item, MessageItem)]
                assert "".join(_words(item) for item in messages) == told[response]
        if not self.gone:
            assert created.keys() == over.keys()


def _words(item: MessageItem) -> str:
    (part,) = item.content
    if isinstance(part, OutputText):
        return part.text
    assert isinstance(part, OutputAudio)
    assert isinstance(part.transcript, str)
    return part.transcript
