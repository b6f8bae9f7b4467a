"""Scope: a session whose speech the server plays, under any order of events: when it is heard, cut and taken back."""

from collections import Counter
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from protocol.client_events import (
    ItemDelete,
    ItemRetrieve,
    ItemTruncate,
    OutputAudioClear,
    ResponseCancel,
    ResponseCreate,
)
from protocol.objects import OutputAudio, Response, ResponseConfig
from protocol.server_events import (
    AudioDelta,
    Error,
    ItemRetrieved,
    ItemTruncated,
    OutputItemAdded,
    PlayoutCleared,
    PlayoutStarted,
    PlayoutStopped,
    ResponseCreated,
    ResponseDone,
    ServerEvent,
)
from realtime.request import Ended
from realtime.session.messages import BrainDone, BrainSaid, ClauseAudio, DropAudio, Effect, Send, SendAudio
from realtime.session.response import LiveResponse
from realtime.session.states import SessionState
from tests.session.harness import RATE, content
from tests.session.sessions import Sessions

TOLERANCE_MS = 200
BEYOND_MS = st.sampled_from([-500, -10, 0, TOLERANCE_MS, TOLERANCE_MS + 1])
TEXT = "One two three four five six. Seven eight nine ten eleven twelve. "

# what is told of one response: Started, stopped (Ended), cleared (X), response.Done
WITHOUT_SPEECH = {"D"}
HEARD_OUT = {"SDE", "DSE"}
TAKEN_BACK = {"XD", "SXD", "DX", "SDX", "DSX"}
UNDER_WAY = {"", "S", "X", "SX", "D", "SD", "DS"}


class PlayingSessions(Sessions):
    """As `Sessions`; the server plays, in packets of any size, what has gone out, and reports each."""

    steps = 0
    plays = True

    def __init__(self) -> None:
        self.told: dict[str, str] = {}  # by response
        self.generated: Counter[str] = Counter()  # samples, by response
        self.played: Counter[str] = Counter()
        self.response_of: dict[str, str] = {}  # by item
        self.kept: dict[str, str] = {}  # words of an item that was cut
        super().__init__()

    def tell(self, message: Any) -> list[Effect]:
        heard = {live.id for live in self._still_playing()}
        effects = super().tell(message)
        events = [effect.event for effect in effects if isinstance(effect, Send)]
        for event in events:
            if isinstance(event, ItemTruncated):
                self._check_words(event.item_id)
        dropped = {effect.response_id for effect in effects if isinstance(effect, DropAudio)}
        cleared = {event.response_id for event in events if isinstance(event, PlayoutCleared)}
        assert self.gone or cleared == heard & dropped, "what is taken back is said to be, and nothing else"
        return effects

    def watch(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, SendAudio):
                assert "X" not in self.told[effect.event.response_id], "speech after it was taken back"
                self.generated[effect.event.response_id] += effect.samples
        super().watch(effects)

    def _watch_event(self, event: ServerEvent) -> None:
        super()._watch_event(event)
        match event:
            case AudioDelta():
                raise AssertionError("speech as an event")
            case ResponseCreated():
                self.told[event.response.id] = ""
            case OutputItemAdded():
                self.response_of[event.item.id] = event.response_id
            case ResponseDone():
                self._add(event.response.id, "D")
            case PlayoutStarted():
                self._add(event.response_id, "S")
                assert self.played[event.response_id] > 0
            case PlayoutStopped():
                self._add(event.response_id, "E")
                assert 0 < self.played[event.response_id] == self.generated[event.response_id]
            case PlayoutCleared():
                self._add(event.response_id, "X")
                waiting = [kept.event.response_id for kept in self.talk.outbox if isinstance(kept, SendAudio)]
                assert event.response_id not in waiting + [response for response, _ in self.talk.playout]
            case ItemTruncated():
                assert event.audio_end_ms <= self._played_ms(event.item_id), "more than was heard"

    def _add(self, response: str, letter: str) -> None:
        self.told[response] += letter
        assert self.told[response] in UNDER_WAY | WITHOUT_SPEECH | HEARD_OUT | TAKEN_BACK, self.told[response]

    def _played_ms(self, item_id: str) -> int:
        return self.played[self.response_of[item_id]] * 1000 // RATE

    def _still_playing(self) -> list[LiveResponse]:
        return self.talk.session._responses.still_playing.all

    def _check_words(self, item_id: str) -> None:
        """What is kept of a message was said, and does not grow again."""
        for effect in self.tell(ItemRetrieve(item_id=item_id)):
            if isinstance(effect, Send) and isinstance(effect.event, ItemRetrieved):
                (part,) = content(effect.event.item)
                assert isinstance(part, OutputAudio)
                assert isinstance(part.transcript, str)
                said = self.kept.get(item_id, self.text[self.response_of[item_id]])
                assert said.startswith(part.transcript), "words that were not heard"
                self.kept[item_id] = part.transcript

    # --- the server plays ---

    @precondition(lambda self: self.talk.playout and not self.gone)
    @rule(packets=st.integers(1, 60), samples=st.sampled_from([480, 480, 480, 1, 137, 24000]))
    def play(self, packets: int, samples: int) -> None:
        self._play(packets, samples)

    def _play(self, packets: int, samples: int) -> None:
        for _ in range(packets):
            if self.talk.playout:
                self._play_packet(samples)

    def _play_all(self) -> None:
        while self.talk.playout:
            self._play_packet(RATE)

    def _play_packet(self, samples: int) -> None:
        played = self.talk.next_packet(samples)
        self.played[played.response_id] += played.samples
        self.tell(played)

    @rule(
        outside=st.booleans(),
        samples=st.sampled_from([480, 7000, 24000]),
        whole=st.booleans(),
        heard=st.sampled_from(["later", "later", "at once"]),
    )
    def respond_aloud(self, outside: bool, samples: int, whole: bool, heard: str) -> None:
        self._speak(outside, samples, whole, heard == "at once")

    def _speak(self, outside: bool, samples: int, whole: bool, at_once: bool) -> str | None:
        """A response that has all its words, and so much speech of each clause; if not `whole`, of the first alone.
        Where it is heard `at_once`, that is before the clause has ended. In the conversation it takes the place of
        another. Returns its id, if it was begun."""
        if not outside and self.talk.session.live is not None:
            self.tell(ResponseCancel())
        before = set(self.text)
        self.tell(ResponseCreate(response=ResponseConfig(conversation="none") if outside else ResponseConfig()))
        created = self.text.keys() - before
        if not created:
            return None
        (response,) = created
        self.text[response] = TEXT
        self.tell(BrainSaid(response, TEXT))
        self.talkers.remove(response)
        self.tell(BrainDone(response))
        while clauses := self._at_engine(response):
            (clause,) = clauses
            self.tell(ClauseAudio(clause, bytes(2 * samples)))
            if at_once and not self.gone:
                self.deliver()
                self._play_all()
            if not whole:
                break
            del self.engine[clause]
            self.ended[clause] += 1
            self.tell(Ended(clause, "stop", frames=1))
        if not self.gone:
            self.deliver()
        return response

    # --- the client cuts ---

    @precondition(lambda self: self._still_playing())
    @rule()
    def clear(self) -> None:
        self.tell(OutputAudioClear())
        if self.talk.session.state is not SessionState.CLOSED:
            assert not self._still_playing()

    @precondition(lambda self: self._still_playing())
    @rule(data=st.data(), beyond_ms=BEYOND_MS)
    def truncate_what_is_heard(self, data: st.DataObject, beyond_ms: int) -> None:
        self._truncate(data.draw(st.sampled_from(self._still_playing())), beyond_ms)

    @precondition(lambda self: not self.gone)
    @rule(packets=st.integers(0, 60), beyond_ms=BEYOND_MS)
    def truncate_what_is_done(self, packets: int, beyond_ms: int) -> None:
        self._play_all()
        response = self._speak(outside=False, samples=24000, whole=True, at_once=False)
        self._play(packets, 480)
        for live in self._still_playing():
            if live.id == response:
                self._truncate(live, beyond_ms)

    def _truncate(self, live: LiveResponse, beyond_ms: int) -> None:
        """Say that so much more (or less) of it was heard than was played."""
        if live.entry is None or self.talk.session.state is SessionState.CLOSED:
            return
        item_id, was_over = live.entry.item.id, live.state.terminal
        in_conversation = live.entry in self.talk.session._shared.conversation.entries
        played_ms, before = self._played_ms(item_id), self.told[live.id]
        end_ms = max(0, played_ms + beyond_ms)
        effects = self.tell(ItemTruncate(item_id=item_id, audio_end_ms=end_ms))
        events = [effect.event for effect in effects if isinstance(effect, Send)]
        if not in_conversation or end_ms > played_ms + TOLERANCE_MS:
            assert [type(event) for event in events] == [Error]
            assert live in self._still_playing(), "what is refused changes nothing"
            return
        cuts = [event for event in events if isinstance(event, ItemTruncated)]
        assert [(cut.item_id, cut.audio_end_ms) for cut in cuts] == [(item_id, min(end_ms, played_ms))]
        assert live not in self._still_playing()
        assert self.told[live.id] == before + ("X" if was_over else "XD")

    @precondition(lambda self: self._still_playing())
    @rule(data=st.data())
    def delete_what_is_heard(self, data: st.DataObject) -> None:
        live = data.draw(st.sampled_from(self._still_playing()))
        if live.entry is not None:
            self.tell(ItemDelete(item_id=live.entry.item.id))

    # --- what always holds ---

    def interrupted(self, ended: list[Response]) -> None:
        super().interrupted(ended)
        assert not self._still_playing(), "it talks on"

    @invariant()
    def what_is_heard_has_begun_and_is_not_over(self) -> None:
        if self.talk.session.state is SessionState.CLOSED:
            return
        open_ = {response for response in self.generated if self.told[response] in UNDER_WAY - {"X", "SX"}}
        assert {live.id for live in self._still_playing()} == open_

    @invariant()
    def what_was_played_is_counted_to_the_sample(self) -> None:
        if self.talk.session.state is SessionState.CLOSED:
            return
        for live in self._still_playing():
            played = live.playout.played(self.talk.now)
            assert played == self.played[live.id]
            assert live.playout.generated == self.generated[live.id]
            assert played <= live.playout.sent <= live.playout.generated

    def listen_to_the_end(self) -> None:
        self._play_all()
        assert not self._still_playing(), "a response that is heard for ever"
        for response, told in self.told.items():
            assert told in (HEARD_OUT | TAKEN_BACK if self.generated[response] else WITHOUT_SPEECH), told
