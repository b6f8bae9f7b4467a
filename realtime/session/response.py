"""Keeps the facts of one response: its words, its clauses, its audio, and how it ends."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from msgspec import UNSET

from protocol.objects import (
    CallItem,
    Item,
    MessageItem,
    Response,
    ResponseError,
    ResponseStatus,
    ShownResponseAudio,
    ShownVoice,
    StatusDetails,
    TokenDetails,
    Usage,
)
from realtime.request import Ended, Used, Voicing
from realtime.session.clauses import Clause, ClauseSplitter
from realtime.session.conversation import Conversation, Entry
from realtime.session.playout import Playout
from realtime.session.settings import Settings
from realtime.session.states import RESPONSE_MOVES, ResponseState, moved


@dataclass
class RunningClause:
    """Holds the clause of a response that the engine speaks now.

    Its `id` is the fence: audio of any other clause of the response is not wanted. `held_since` is since when it is
    held because its listener does not take it; None while it is not held.
    """

    id: str
    clause: Clause
    begun: bool = False  # it has given audio
    used: Used = field(default_factory=Used)  # as its last audio told it
    held_since: float | None = None


@dataclass
class LiveResponse:
    """Holds the facts of a response under way, for the objects that decide about it.

    Where `conversation_id` is None, the response is out of band.
    """

    id: str
    settings: Settings
    voicing: Voicing  # settled when the response begins, so that it ends with its voice even if that is deleted
    before: Conversation  # as it was when the response began; what changed since is for the next one
    context_id: str
    conversation_id: str | None
    metadata: dict[str, str] | None
    splitter: ClauseSplitter
    playout: Playout
    awaits_words: set[str] = field(default_factory=set)  # items whose words have to be known to ask the brain
    stream: str | None = None  # name of the text stream that the words come from; None: they come from the brain
    fed_at: float = 0.0  # when words last came
    flushes: deque[int] = field(default_factory=deque)  # for each flush, the number of the clause it waits for
    entry: Entry | None = None  # its message, once there are words
    message_index: int = 0  # its place in the output
    calls: list[CallItem] = field(default_factory=list)
    failure: ResponseError | None = None  # why it fails once its last words are spoken
    written: str = ""
    state: ResponseState = ResponseState.QUEUED
    clauses_left: deque[Clause] = field(default_factory=deque)
    running: RunningClause | None = None
    unspoken: str = ""  # text without a word in it: spaces, lone punctuation
    said_all: bool = False
    clauses: int = 0
    cut_short: bool = False  # by a clause's length cap or the client's limit
    prompt_positions: int = 0
    audio_positions: int = 0
    cached_positions: int = 0
    frames: int = 0

    @property
    def item(self) -> MessageItem | None:
        """Return the message of the response, once there are words."""
        return None if self.entry is None else self.entry.item  # type: ignore[return-value]  # always a message

    def enter(self, state: ResponseState) -> None:
        """Change to `state`. Raises IllegalTransition where that may not follow."""
        self.state = moved(RESPONSE_MOVES, self.state, state)

    def next_clause(self) -> RunningClause | None:
        """Begin the next clause that has something to say, and return it; None if there is none.

        The text of clauses without a word joins the transcript of the clause after them.
        """
        while self.clauses_left:
            clause = self.clauses_left.popleft()
            clause, self.unspoken = Clause(self.unspoken + clause.text, clause.spoken), ""
            if clause.audible:
                self.clauses += 1
                self.running = RunningClause(f"{self.id}.{self.clauses}", clause)
                return self.running
            self.unspoken = clause.text
        return None

    def count(self, ended: Ended) -> None:
        """Count what the running clause took. It is over, as `ended` says.

        An engine that was lost cannot say what the clause took; then what was told with its audio counts.
        """
        self.cut_short = self.cut_short or ended.reason == "length"
        self.break_off(ended if ended.prompt_positions or ended.frames else None)

    def break_off(self, used: Used | Ended | None = None) -> None:
        """Count what the running clause took, which is over: `used`, or by default what was told with its audio."""
        if used is None:
            used = Used() if self.running is None else self.running.used
        self.running = None
        self.prompt_positions += used.prompt_positions
        self.audio_positions += used.audio_positions
        self.cached_positions += used.cached_positions
        self.frames += used.frames

    @property
    def frames_left(self) -> int | None:
        """Return how many more frames the client wants at most; None says that there is no limit."""
        wanted = self.settings.max_output_tokens
        return None if wanted == "inf" else max(0, wanted - self.frames)

    @property
    def held(self) -> int:
        """Return how many characters are kept and not being spoken yet; all of them, in a written response."""
        waiting = sum(len(clause.text) for clause in self.clauses_left)
        return len(self.written) + self.splitter.pending + waiting + len(self.unspoken)

    def flush(self) -> None:
        """Have the words that have come so far spoken, and remember to tell when that is done."""
        self.clauses_left.extend(self.splitter.flush())
        self.flushes.append(self.clauses + sum(clause.audible for clause in self.clauses_left))

    def flushed(self) -> int:
        """Return how many flushes have been spoken since this was last called."""
        spoken, before = self.clauses - (self.running is not None), len(self.flushes)
        while self.flushes and self.flushes[0] <= spoken:
            self.flushes.popleft()
        return before - len(self.flushes)

    def forget_flushes(self) -> int:
        """Forget all flushes, because nothing more is spoken; return how many were still waited for."""
        waited = len(self.flushes)
        self.flushes.clear()
        return waited

    @property
    def exhausted(self) -> bool:
        """Tell whether everything there is to say has been generated."""
        return self.said_all and not self.clauses_left and self.running is None

    @property
    def output(self) -> list[Item]:
        """List the items that the response has made so far, in the order of output_index."""
        if self.item is None:
            return list(self.calls)
        return [*self.calls[: self.message_index], self.item, *self.calls[self.message_index :]]

    def shown(self, status: ResponseStatus, reason: str | None = None, error: ResponseError | None = None) -> Response:
        """Return the response as the client sees it, with the `reason` or the `error` that ended it."""
        details = None
        if status == "cancelled" or status == "failed" or status == "incomplete":
            details = StatusDetails(
                status, reason=UNSET if reason is None else reason, error=UNSET if error is None else error
            )
        settings = self.settings
        return Response(
            id=self.id,
            status=status,
            output=[] if status == "in_progress" else self.output,
            conversation_id=self.conversation_id,
            output_modalities=settings.modalities,
            audio=ShownResponseAudio(ShownVoice(settings.format, settings.voice or UNSET)),
            max_output_tokens=settings.max_output_tokens,
            status_details=details,
            usage=None if status == "in_progress" else self._usage(),
            metadata=self.metadata,
        )

    def _usage(self) -> Usage:
        return Usage(
            total_tokens=self.prompt_positions + self.frames,
            input_tokens=self.prompt_positions,
            output_tokens=self.frames,
            input_token_details=TokenDetails(
                text_tokens=self.prompt_positions - self.audio_positions,
                audio_tokens=self.audio_positions,
                cached_tokens=self.cached_positions,
            ),
            output_token_details=TokenDetails(audio_tokens=self.frames),
        )
