"""One response: its words, its clauses, its audio, and how it ends. Turned into events by the session."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from msgspec import UNSET

from protocol.objects import (
    Item,
    Response,
    ResponseError,
    ResponseStatus,
    StatusDetails,
    TokenDetails,
    Usage,
)
from realtime.agent.clauses import Clause, ClauseSplitter
from realtime.session.conversation import Conversation
from realtime.session.messages import ClauseEnded
from realtime.session.playout import Playout
from realtime.session.settings import Settings
from realtime.session.states import RESPONSE_MOVES, ResponseState, moved


@dataclass
class LiveResponse:
    """The response being spoken. The session decides; this keeps the facts."""

    id: str
    item: Item
    settings: Settings
    before: Conversation  # as it was when the response began: later changes are for the next one
    context_id: str
    conversation_id: str
    metadata: dict[str, str] | None
    splitter: ClauseSplitter
    playout: Playout
    state: ResponseState = ResponseState.QUEUED
    waiting: deque[Clause] = field(default_factory=deque)
    running: str | None = None  # id of the clause the engine speaks now: the fence
    running_clause: Clause | None = None
    unspoken: str = ""  # text without a word in it: spaces, lone punctuation
    begun: bool = False  # the running clause has given audio
    said_all: bool = False
    clauses: int = 0
    cut_short: bool = False  # a clause hit its length cap
    prompt_positions: int = 0
    cached_positions: int = 0
    frames: int = 0

    def enter(self, state: ResponseState) -> None:
        """Change state; illegal transitions raise."""
        self.state = moved(RESPONSE_MOVES, self.state, state)

    def next_clause(self) -> Clause | None:
        """The next clause with something to say; what cannot be said joins the transcript of the one after it."""
        while self.waiting:
            clause = self.waiting.popleft()
            clause, self.unspoken = Clause(self.unspoken + clause.text, clause.spoken), ""
            if any(character.isalnum() for character in clause.spoken):
                self.clauses += 1
                self.running = f"{self.id}.{self.clauses}"
                self.running_clause = clause
                self.begun = False
                return clause
            self.unspoken = clause.text
        return None

    def count(self, ended: ClauseEnded) -> None:
        """Book a clause that is over."""
        self.running = self.running_clause = None
        self.cut_short = self.cut_short or ended.reason == "length"
        self.prompt_positions += ended.prompt_positions
        self.cached_positions += ended.cached_positions
        self.frames += ended.frames

    @property
    def exhausted(self) -> bool:
        """Everything there is to say has been generated."""
        return self.said_all and not self.waiting and self.running is None

    def shown(
        self, status: ResponseStatus, item: Item | None, reason: str | None = None, error: ResponseError | None = None
    ) -> Response:
        """The response as the client sees it."""
        details = None
        if status == "cancelled" or status == "failed" or status == "incomplete":
            details = StatusDetails(
                status, reason=UNSET if reason is None else reason, error=UNSET if error is None else error
            )
        usage = None
        if status != "in_progress":
            usage = Usage(
                total_tokens=self.prompt_positions + self.frames,
                input_tokens=self.prompt_positions,
                output_tokens=self.frames,
                input_token_details=TokenDetails(
                    text_tokens=self.prompt_positions, cached_tokens=self.cached_positions
                ),
                output_token_details=TokenDetails(audio_tokens=self.frames),
            )
        return Response(
            id=self.id,
            status=status,
            output=[item] if item is not None else [],
            conversation_id=self.conversation_id,
            output_modalities=["audio"],
            status_details=details,
            usage=usage,
            metadata=self.metadata,
        )
