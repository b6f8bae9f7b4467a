"""Scope: whatever a client, a brain, an engine and a network do in whatever order, what must always hold, holds."""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from protocol.client_events import ItemDelete, ItemRetrieve, ItemTruncate, ResponseCancel, ResponseCreate, SessionUpdate
from protocol.encodings import BadMessage
from protocol.objects import ErrorBody, OutputAudio, ResponseConfig, SessionConfig
from protocol.server_events import (
    AudioDelta,
    Error,
    ItemAdded,
    ItemRetrieved,
    ItemTruncated,
    ResponseCreated,
    ResponseDone,
    SessionUpdated,
    TranscriptDelta,
    TranscriptDone,
)
from realtime.session.messages import (
    BrainDone,
    BrainFailed,
    BrainSaid,
    CancelClause,
    ClauseAudio,
    ClauseEnded,
    Disconnected,
    Drain,
    DropAudio,
    Effect,
    Send,
    SendAudio,
    StartClause,
    Tick,
)
from realtime.session.session import Limits
from realtime.session.states import ResponseState, SessionState
from tests.session.harness import RATE, Talk, generation, reference, voice

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


class Sessions(RuleBasedStateMachine):
    """The engine may answer late, the brain may talk on after it was stopped, the transport sends when it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.talk = Talk(Limits(max_session_s=500.0))
        self.talkers: dict[str, str] = {}  # response id -> text so far, for brains that still talk
        self.said: dict[str, str] = {}
        self.finished: set[str] = set()  # responses whose brain has said all
        self.engine: dict[str, bool] = {}  # clauses at the engine -> cancelled
        self.cancels: dict[str, int] = {}
        self.ends: dict[str, int] = {}
        self.dropped: set[str] = set()
        self.gone = False

    def tell(self, message: Any) -> None:
        was_closed = self.talk.session.state is SessionState.CLOSED
        effects = self.talk.tell(message)
        assert not (was_closed and effects), f"after the end: {effects}"
        self.watch(effects)

    def watch(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case StartClause():
                    assert len([clause for clause, cancelled in self.engine.items() if not cancelled]) == 0
                    assert any(character.isalnum() for character in effect.text)
                    assert effect.lead_s >= 0
                    self.engine[effect.clause_id] = False
                    self.cancels[effect.clause_id] = self.ends[effect.clause_id] = 0
                case CancelClause():
                    assert self.ends[effect.clause_id] == 0, "cancelled after it ended"
                    self.cancels[effect.clause_id] += 1
                    self.engine[effect.clause_id] = True
                case SendAudio():
                    assert effect.event.response_id not in self.dropped, "speech after it was dropped"
                case DropAudio():
                    self.dropped.add(effect.response_id)
                case Send():
                    if isinstance(effect.event, ResponseCreated):
                        self.talkers[effect.event.response.id] = ""
                        self.said[effect.event.response.id] = ""

    # --- the client ---

    @rule(text=st.sampled_from(["Hi.", "", "[SPEAKER0] Me."]), role=st.sampled_from(["system", "user", "assistant"]))
    def create_item(self, text: str, role: Any) -> None:
        self.watch([])
        before = len(self.talk.effects)
        self.talk.item(role, text)
        self.watch(self.talk.effects[before:])

    @rule(previous=st.sampled_from([None, "root", "ref", "nowhere"]))
    def create_reference(self, previous: str | None) -> None:
        before = len(self.talk.effects)
        self.talk.item("assistant", reference(seconds=0.01), previous=previous, item_id="ref")
        self.watch(self.talk.effects[before:])

    @rule(config=st.sampled_from([{}, {"instructions": "Rain."}, {"audio": voice("amy")}, {"audio": voice("nope")}]))
    def create_response(self, config: dict[str, Any]) -> None:
        self.tell(ResponseCreate(response=ResponseConfig(**config)))

    @rule(
        config=st.sampled_from(
            [
                {"instructions": "Sun."},
                {"audio": voice("item:ref")},
                {"audio": voice("bob")},
                {"voiced": generation(speakers={"SPEAKER0": "item:ref"})},
                {"voiced": generation(speakers={})},
            ]
        )
    )
    def update(self, config: dict[str, Any]) -> None:
        self.tell(SessionUpdate(session=SessionConfig(**config)))

    @rule()
    def cancel(self) -> None:
        self.tell(ResponseCancel())

    @rule(data=st.data(), end_ms=st.integers(0, 4000))
    def truncate(self, data: st.DataObject, end_ms: int) -> None:
        items = [event.item.id for event in self.talk.got(ItemAdded)]
        if items:
            self.tell(ItemTruncate(item_id=data.draw(st.sampled_from(items)), audio_end_ms=end_ms))

    @rule(data=st.data(), take_out=st.booleans())
    def look_up(self, data: st.DataObject, take_out: bool) -> None:
        items = [event.item.id for event in self.talk.got(ItemAdded)] + ["ref"]
        item = data.draw(st.sampled_from(items))
        self.tell(ItemDelete(item_id=item) if take_out else ItemRetrieve(item_id=item))

    @rule()
    def send_rubbish(self) -> None:
        self.tell(BadMessage(ErrorBody("invalid_request_error", "invalid_json", "No.")))

    # --- the brain ---

    @precondition(lambda self: self.talkers)
    @rule(data=st.data(), piece=PIECES)
    def brain_says(self, data: st.DataObject, piece: str) -> None:
        response = data.draw(st.sampled_from(sorted(self.talkers)))
        self.said[response] += piece
        self.tell(BrainSaid(response, piece))

    @precondition(lambda self: self.talkers)
    @rule(data=st.data(), fails=st.integers(0, 4))
    def brain_stops(self, data: st.DataObject, fails: int) -> None:
        response = data.draw(st.sampled_from(sorted(self.talkers)))
        del self.talkers[response]
        if fails == 0:
            self.tell(BrainFailed(response, "Nothing."))
        else:
            self.finished.add(response)
            self.tell(BrainDone(response))

    # --- the engine ---

    @precondition(lambda self: self.engine)
    @rule(data=st.data(), samples=st.sampled_from([480, 960, 24000, 48000]))
    def engine_speaks(self, data: st.DataObject, samples: int) -> None:
        clause = data.draw(st.sampled_from(sorted(self.engine)))
        self.tell(ClauseAudio(clause, bytes(2 * samples)))

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
            self.ends[clause] += 1
        self.tell(ClauseEnded(clause, reason, frames=1))

    # --- the transport and the clock ---

    @precondition(lambda self: self.talk.outbox and not self.gone)
    @rule(count=st.integers(1, 6))
    def send(self, count: int) -> None:
        before = len(self.talk.effects)
        for _ in range(min(count, len(self.talk.outbox))):
            self.talk.deliver_one()
        self.watch(self.talk.effects[before:])

    @rule(seconds=st.sampled_from([0.02, 0.3, 2.0]))
    def wait(self, seconds: float) -> None:
        self.talk.now += seconds
        self.tell(Tick())

    @precondition(lambda self: len(self.talk.effects) > 60)
    @rule()
    def drain(self) -> None:
        self.tell(Drain())

    @precondition(lambda self: len(self.talk.effects) > 60 and not self.talk.session.live)
    @rule()
    def expire(self) -> None:
        self.talk.now += 500.0
        self.tell(Tick())

    @precondition(lambda self: len(self.talk.effects) > 90)
    @rule()
    def hang_up(self) -> None:
        self.gone = True
        self.tell(Disconnected())

    # --- what always holds ---

    @invariant()
    def played_sent_and_generated_are_in_order(self) -> None:
        live = self.talk.session.live
        if live is not None:
            assert 0 <= live.playout.played(self.talk.now) <= live.playout.sent <= live.playout.generated
            assert not live.state.terminal
            if live.state is ResponseState.DRAINING:
                assert live.exhausted

    @invariant()
    def what_runs_is_running_at_the_engine(self) -> None:
        live = self.talk.session.live
        running = [clause for clause, cancelled in self.engine.items() if not cancelled]
        assert running == ([live.running] if live is not None and live.running is not None else [])

    @invariant()
    def a_clause_ends_or_is_cancelled_and_only_once(self) -> None:
        for clause in self.ends:
            assert self.cancels[clause] + self.ends[clause] <= 1

    def teardown(self) -> None:
        """Let everything come to its end, then look at all of it."""
        for response in sorted(self.talkers):
            self.finished.add(response)
            self.tell(BrainDone(response))
        self.talkers.clear()
        for _ in range(1000):
            if not self.engine:
                break
            clause = next(iter(self.engine))
            if not self.engine.pop(clause):
                self.ends[clause] += 1
            self.tell(ClauseEnded(clause, "stop"))
        assert not self.engine
        if not self.gone:
            before = len(self.talk.effects)
            self.talk.deliver()
            self.watch(self.talk.effects[before:])
            if self.talk.session.state is SessionState.DRAINING:
                raise AssertionError("a draining session with nothing to say is still open")
        assert self.talk.session.live is None, "a response that never ends"
        for clause in self.ends:
            assert self.cancels[clause] + self.ends[clause] == 1, "a clause that was neither ended nor cancelled"
        self.check_events()

    def check_events(self) -> None:
        open_response: str | None = None
        over: set[str] = set()
        words: dict[str, str] = {}
        for event in self.talk.events:
            match event:
                case ResponseCreated():
                    assert open_response is None, "two responses at once"
                    open_response = event.response.id
                    words[open_response] = ""
                case ResponseDone():
                    assert event.response.id == open_response, "a response.done too many"
                    over.add(event.response.id)
                    open_response = None
                    if event.response.status == "completed":
                        part = event.response.output[0].content[0]
                        assert isinstance(part, OutputAudio)
                        assert part.transcript == words[event.response.id]
                case AudioDelta():
                    assert event.response_id == open_response, "speech outside its response"
                case TranscriptDelta():
                    assert event.response_id == open_response, "words outside their response"
                    words[event.response_id] += event.delta
                case TranscriptDone():
                    assert words[event.response_id].startswith(event.transcript)
                case ItemRetrieved() | ItemTruncated() | SessionUpdated() | Error():
                    pass
        if not self.gone:
            assert open_response is None
        for response, spoken in words.items():
            # a clause that ends without any audio leaves no words; those aside, the words are the text's, in order
            left = self.said[response]
            for word in spoken.split():
                assert word in left
                left = left[left.index(word) + len(word) :]
        assert self.talk.audio_of("") == 0
        assert RATE == 24000


Sessions.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestSessions = Sessions.TestCase
