"""Scope: a session driven by hand: a fake clock, fake ids, a fake engine, and all it asked for, checked on the way."""

from typing import Any

from msgspec import UNSET

from protocol.client_events import (
    InputTextAppend,
    InputTextEnd,
    InputTextFlush,
    ItemCreate,
    ResponseCreate,
    SessionUpdate,
)
from protocol.objects import (
    AudioOutput,
    Content,
    Generation,
    InputText,
    Item,
    MessageItem,
    NewMessage,
    OutputAudio,
    Response,
    ResponseConfig,
    SessionAudio,
    SessionConfig,
)
from protocol.server_events import (
    AudioDelta,
    Error,
    OutputItemAdded,
    ResponseCreated,
    ResponseDone,
    ServerEvent,
    TranscriptDelta,
)
from realtime.agent.brain import FunctionCall, FunctionOutput, Said
from realtime.request import Ended, Speak, Used
from realtime.session.messages import (
    AskBrain,
    AudioPlayed,
    AudioSent,
    BrainDone,
    BrainSaid,
    CancelClause,
    ClauseAudio,
    Close,
    DropAudio,
    DropContext,
    Effect,
    FinishAudio,
    Input,
    Send,
    SendAudio,
    StopBrain,
)
from realtime.session.playback import CLIENT_PLAYS, SERVER_PLAYS
from realtime.session.session import Session
from realtime.session.settings import Runtime, Voice
from realtime.session.shared import Limits

RATE = 24000
VOICES = {
    "amy": Voice("amy", "clip", "Amy says this."),
    "bob": Voice("bob", "clip", "Bob says that."),
    "whisper": Voice("whisper", "scene", "A low whisper."),
}


def runtime(**changes: Any) -> Runtime:
    settings: dict[str, Any] = {
        "checkpoint": "test",
        "kind": "noise",
        "device": "cpu",
        "decoder": "low-latency",
        "sample_rate": RATE,
        "max_clause_chars": 80,
        "max_scene_chars": 400,
        "voices": VOICES,
    }
    return Runtime(**{**settings, **changes})


class Talk:
    """One session and its surroundings. `events` is what the client has got; audio waits in `outbox` until `send`. With
    `plays` it is the server that plays: audio that has left waits in `playout` until `play`."""

    def __init__(
        self, limits: Limits | None = None, *initial: SessionConfig, plays: bool = False, **changes: Any
    ) -> None:
        self._ids = 0
        self.plays = plays
        self.now = 50.0
        self.effects: list[Effect] = []
        self.outbox: list[Send | SendAudio | Close] = []
        self.playout: list[tuple[str, int]] = []
        self.events: list[ServerEvent] = []
        self.closed: Close | None = None
        self.clauses: dict[str, Speak] = {}
        self.over: set[str] = set()
        self.cancelled: list[str] = []
        self.asked: list[AskBrain] = []
        self.stopped: list[str] = []
        self.finished: list[str] = []
        self.contexts_dropped: list[str] = []
        self.session = Session(
            runtime(**changes),
            limits or Limits(),
            self._new_id,
            now=self.now,
            wall_clock_offset=1000.0,
            initial=initial,
            playback=SERVER_PLAYS if plays else CLIENT_PLAYS,
        )
        self.perform(self.session.open())
        self.deliver()

    def _new_id(self, prefix: str) -> str:
        self._ids += 1
        return f"{prefix}{self._ids:015x}"

    def tell(self, message: Input) -> list[Effect]:
        effects = self.session.receive(message, self.now)
        self.perform(effects)
        return effects

    def perform(self, effects: list[Effect]) -> None:
        self.effects += effects
        for effect in effects:
            match effect:
                case Send() | SendAudio() | Close():
                    self.outbox.append(effect)
                case DropAudio():
                    self.outbox = [
                        kept
                        for kept in self.outbox
                        if not (isinstance(kept, SendAudio) and kept.event.response_id == effect.response_id)
                    ]
                    self.playout = [part for part in self.playout if part[0] != effect.response_id]
                case Speak():
                    assert effect.request_id not in self.clauses, "a clause was started twice"
                    self.clauses[effect.request_id] = effect
                case CancelClause():
                    self.cancelled.append(effect.clause_id)
                case AskBrain():
                    self.asked.append(effect)
                case FinishAudio():
                    self.finished.append(effect.response_id)
                case StopBrain():
                    self.stopped.append(effect.response_id)
                case DropContext():
                    self.contexts_dropped.append(effect.context_id)

    def deliver_one(self) -> None:
        """The transport puts its next message on the wire."""
        message = self.outbox.pop(0)
        match message:
            case Send():
                self.events.append(message.event)
            case SendAudio():
                if self.plays:
                    self.playout.append((message.event.response_id, message.samples))
                else:
                    self.events.append(message.event)
                self.tell(AudioSent(message.event.response_id, message.samples))
            case Close():
                assert self.closed is None, "closed twice"
                self.closed = message

    def deliver(self) -> list[ServerEvent]:
        """Everything that waits goes out; returns what went out now."""
        before = len(self.events)
        while self.outbox:
            self.deliver_one()
        return self.events[before:]

    def next_packet(self, most: int = RATE // 50) -> AudioPlayed:
        """The server plays up to so many samples of what waits; what it then reports."""
        response_id, samples = self.playout.pop(0)
        packet = min(samples, most)
        if packet < samples:
            self.playout.insert(0, (response_id, samples - packet))
        self.now += packet / RATE
        return AudioPlayed(response_id, packet)

    def play(self, seconds: float) -> list[ServerEvent]:
        """The server plays so much of what waits, in packets; returns the events that this made."""
        before, left = len(self.events), round(seconds * RATE)
        while left and self.playout:
            played = self.next_packet(min(left, RATE // 50))
            left -= played.samples
            self.tell(played)
            self.deliver()
        return self.events[before:]

    @property
    def said(self) -> list[tuple[str, str]]:
        """The dialogue that the brain was asked with last, as (role, words); a call's words are `name(arguments)`."""
        told = []
        for entry in self.asked[-1].dialogue.entries:
            match entry:
                case Said():
                    told.append((str(entry.role), entry.text))
                case FunctionCall():
                    told.append(("call", f"{entry.name}({entry.arguments})"))
                case FunctionOutput():
                    told.append(("call_output", entry.output))
        return told

    # --- a client's usual moves ---

    def update(self, **config: Any) -> list[ServerEvent]:
        self.tell(SessionUpdate(session=SessionConfig(**config)))
        return self.deliver()

    def item(self, role: str, *content: Any, previous: str | None = None, item_id: Any = UNSET) -> list[ServerEvent]:
        parts = [InputText(part) if isinstance(part, str) else part for part in content]
        self.tell(ItemCreate(item=NewMessage(role, parts, id=item_id), previous_item_id=previous))  # type: ignore[arg-type]
        return self.deliver()

    def respond(self, text: str | None = "Hello there.", **config: Any) -> str:
        """Ask for a response and let the brain say `text`; returns its id. `None`: the brain stays silent."""
        self.tell(ResponseCreate(response=ResponseConfig(**config)))
        created = [event for event in self.deliver() if isinstance(event, ResponseCreated)]
        assert len(created) == 1, self.events[-1]
        response_id = created[0].response.id
        if text is not None:
            self.tell(BrainSaid(response_id, text))
            self.tell(BrainDone(response_id))
        return response_id

    def stream(self, *texts: str, name: str = "") -> list[ServerEvent]:
        """Append texts to a text stream, one event each."""
        for text in texts:
            self.tell(InputTextAppend(text=text, stream=name))
        return self.deliver()

    def flush(self, name: str = "") -> list[ServerEvent]:
        self.tell(InputTextFlush(stream=name))
        return self.deliver()

    def end_stream(self, name: str = "") -> list[ServerEvent]:
        self.tell(InputTextEnd(stream=name))
        return self.deliver()

    @property
    def at_engine(self) -> list[str]:
        """The clauses the engine works on, oldest first."""
        return [clause for clause in self.clauses if clause not in self.over and clause not in self.cancelled]

    @property
    def running(self) -> str:
        """The one clause the engine works on."""
        live = self.at_engine
        assert len(live) == 1, live
        return live[0]

    def clause_of(self, response_id: str) -> str:
        """The clause of this response that the engine works on."""
        (clause,) = [clause for clause in self.at_engine if clause.startswith(f"{response_id}.")]
        return clause

    def audio(self, seconds: float = 0.5, clause: str | None = None, **used: int) -> None:
        self.tell(ClauseAudio(clause or self.running, bytes(2 * round(seconds * RATE)), Used(**used)))

    def end(self, reason: Any = "stop", clause: str | None = None, **counts: Any) -> None:
        clause = clause or self.running
        self.over.add(clause)
        self.tell(Ended(clause, reason, **counts))

    def speak(self, text: str = "Hello there.", seconds: float = 1.0, **config: Any) -> Response:
        """A whole response, spoken and sent; `seconds` of audio for each clause."""
        response_id = self.respond(text, **config)
        self.run_engine(seconds)
        return self.done(response_id)

    def run_engine(self, seconds: float = 1.0) -> list[ServerEvent]:
        """The engine speaks all that waits, `seconds` for each clause, and it goes out; returns what went out now."""
        before = len(self.events)
        while self.at_engine:
            clause = self.at_engine[0]
            self.audio(seconds, clause)
            self.end(clause=clause)
        self.deliver()
        return self.events[before:]

    # --- what came out ---

    def got(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def done(self, response_id: str) -> Response:
        """The one response.done of a response."""
        ends: list[Response] = [e.response for e in self.got(ResponseDone) if e.response.id == response_id]
        assert len(ends) == 1, f"{len(ends)} response.done"
        return ends[0]

    def error(self) -> Any:
        """The last event, which must be an error."""
        assert isinstance(self.events[-1], Error), self.events[-1]
        return self.events[-1].error

    def message_of(self, response_id: str) -> str:
        """The id of the one message of a response."""
        added: list[str] = [e.item.id for e in self.got(OutputItemAdded) if e.response_id == response_id]
        assert len(added) == 1, added
        return added[0]

    def words_of(self, response_id: str) -> list[TranscriptDelta]:
        """The words of a response that were told."""
        return [event for event in self.got(TranscriptDelta) if event.response_id == response_id]

    def kinds(self, since: int = 0) -> list[str]:
        return [kind_of(event) for event in self.events[since:]]

    def audio_of(self, response_id: str) -> int:
        """Samples of a response that went out."""
        return sum(len(e.delta) // 2 for e in self.got(AudioDelta) if e.response_id == response_id)


def kind_of(event: ServerEvent) -> str:
    tag = type(event).__struct_config__.tag
    assert isinstance(tag, str)
    return tag


def voice(name: Any) -> SessionAudio:
    return SessionAudio(output=AudioOutput(voice=name))


def generation(**settings: Any) -> Generation:
    return Generation(**settings)


def reference(words: str = "Words of the clip.", seconds: float = 0.5) -> OutputAudio:
    return OutputAudio(transcript=words, audio=bytes(2 * round(seconds * RATE)))


def content(item: Item) -> list[Content]:
    """The parts of an item that must be a message."""
    assert isinstance(item, MessageItem), item
    return item.content
