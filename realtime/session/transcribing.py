"""Finds words for what the user says: decides which audio the recogniser is given, and what becomes of its answers.

A turn's audio is given early, when silence begins, so that the words are there when the turn ends; if the user speaks
on, that answer is dropped. While a turn lasts, the client of a session that only transcribes is told the words that are
sure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from msgspec.structs import replace

from protocol import server_events as server
from protocol.objects import DurationUsage, InputAudio, MessageItem, ResponseError
from realtime.session.agreement import Agreement
from realtime.session.conversation import Entry
from realtime.session.messages import DropTranscription, NotTranscribed, Transcribe, Transcribed
from realtime.session.shared import Shared

_PARTIAL_EVERY_S = 0.5
_NOBODY = NotTranscribed(
    "", "no_recogniser", "Nothing recognises speech on this server; its operator turns that on with --recogniser."
)

Outcome = Transcribed | NotTranscribed


@dataclass
class _Turn:
    """Follows a turn whose words are looked for.

    `early` is the job that was begun when silence began, and `outcome` what it gave. `partial` is the job whose words
    are compared with those of the one before; its audio goes up to the sample `partial_to`. `final` is the job that was
    begun when the turn was over, and `entry` then holds the item.
    """

    item_id: str
    agreement: Agreement = field(default_factory=Agreement)
    early: str | None = None
    outcome: Outcome | None = None
    partial: str | None = None
    partial_to: int = 0
    final: str | None = None
    entry: Entry | None = None


class Transcribing:
    """Asks the recogniser, tells the client, and gives each item its words.

    `on_known` is called with the entry of each item once its words are known, or it is known that there are none.
    """

    def __init__(self, shared: Shared, on_known: Callable[[Entry], None]) -> None:
        self._shared = shared
        self._on_known = on_known
        self._turns: dict[str, _Turn] = {}  # by item id
        self._jobs = 0

    @property
    def wanted(self) -> bool:
        """Tell whether the words of what the user says are wanted, by the client or by the brain."""
        return self._is_told or (self._shared.runtime.needs_transcripts and self._can)

    @property
    def _is_told(self) -> bool:
        settings = self._shared.settings
        return settings.transcribes_only or settings.listening.transcription is not None

    def silence_began(self, item_id: str, pcm: bytes) -> None:
        """Give a turn's audio to the recogniser before it is sure that the turn is over.

        Called again, it does nothing, until `speech_went_on` says that the turn was not over.
        """
        turn = self._turn(item_id)
        if turn.early is None and self._can:
            turn.early = self._ask(item_id, pcm, "early")

    def speech_went_on(self, item_id: str) -> None:
        """Forget what was recognised early, because it is not all that was said."""
        turn = self._turns.get(item_id)
        if turn is not None and turn.early is not None:
            self._drop(turn.early if turn.outcome is None else None)
            turn.early = turn.outcome = None

    def speech_so_far(self, item_id: str, pcm: Callable[[], bytes], end: int) -> None:
        """Look for sure words, in a session that only transcribes.

        `pcm` gives the audio of the turn so far, and is called only if it is needed. `end` is the sample that the turn
        has come to.
        """
        turn, rate = self._turn(item_id), self._shared.runtime.sample_rate
        if turn.partial_to == 0:
            turn.partial_to = end
        if turn.partial is not None or turn.early is not None or end - turn.partial_to < _PARTIAL_EVERY_S * rate:
            return
        if self._can and self._shared.settings.transcribes_only:
            turn.partial_to = end
            turn.partial = self._ask(item_id, pcm(), "partial")

    def finish(self, entry: Entry, pcm: bytes) -> None:
        """Find the words of an item, whose audio `pcm` is whole now."""
        turn = self._turn(entry.item.id)
        turn.entry = entry
        self._shared.awaiting_words.add(entry.item.id)
        if turn.partial is not None:
            self._drop(turn.partial)
        if turn.outcome is not None:
            self._close(turn, turn.outcome)
        elif not self._can:
            self._close(turn, _NOBODY)
        elif turn.early is None:
            turn.final = self._ask(entry.item.id, pcm, "final")

    def forget(self, item_id: str) -> None:
        """Stop looking for the words of a turn that becomes no item, or of an item that is deleted."""
        self._shared.awaiting_words.discard(item_id)
        turn = self._turns.pop(item_id, None)
        if turn is not None:
            for job in (turn.partial, turn.final, turn.early if turn.outcome is None else None):
                self._drop(job)

    def answered(self, outcome: Outcome) -> None:
        """Take the recogniser's answer to a job. The answer to a job that was dropped is ignored."""
        turn = self._turns.get(outcome.job_id.rpartition(".")[0])
        if turn is None:
            return
        if outcome.job_id == turn.partial:
            turn.partial = None
            if isinstance(outcome, Transcribed):
                self._tell_words(turn.item_id, turn.agreement.push(outcome.text))
        elif outcome.job_id == turn.final or (outcome.job_id == turn.early and turn.entry is not None):
            self._close(turn, outcome)
        elif outcome.job_id == turn.early:
            turn.outcome = outcome

    @property
    def _can(self) -> bool:
        return bool(self._shared.runtime.recogniser)

    def _turn(self, item_id: str) -> _Turn:
        return self._turns.setdefault(item_id, _Turn(item_id))

    def _ask(self, item_id: str, pcm: bytes, kind: Literal["final", "early", "partial"]) -> str:
        self._jobs += 1
        asked = self._shared.settings.listening.transcription
        language, prompt = ("", "") if asked is None else (_text(asked.language), _text(asked.prompt))
        job_id = f"{item_id}.{self._jobs}"
        self._shared.out.append(Transcribe(job_id, pcm, kind, language, prompt))
        return job_id

    def _drop(self, job_id: str | None) -> None:
        if job_id is not None:
            self._shared.out.append(DropTranscription(job_id))

    def _tell_words(self, item_id: str, words: str) -> None:
        if words and self._is_told:
            self._shared.send(server.InputTranscriptionDelta, item_id=item_id, delta=words)

    def _close(self, turn: _Turn, outcome: Outcome) -> None:
        """Give a turn's item the words that were found, and tell the client of them, or that there are none."""
        shared, entry, item_id = self._shared, turn.entry, turn.item_id
        assert entry is not None
        del self._turns[item_id]
        shared.awaiting_words.discard(item_id)
        if isinstance(outcome, Transcribed):
            assert isinstance(entry.item, MessageItem)
            entry.item = replace(entry.item, content=[InputAudio(transcript=outcome.text)])
            self._tell_words(item_id, turn.agreement.finish(outcome.text))
            if self._is_told:
                usage = DurationUsage(seconds=round(outcome.seconds, 3))
                shared.send(server.InputTranscriptionCompleted, item_id=item_id, transcript=outcome.text, usage=usage)
        elif self._is_told:
            kind = "invalid_request_error" if outcome.code == "nothing_heard" else "server_error"
            error = ResponseError(kind, outcome.code, outcome.message)
            shared.send(server.InputTranscriptionFailed, item_id=item_id, error=error)
        self._on_known(entry)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
