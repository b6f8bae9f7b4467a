"""Takes in what the user says: the input buffer, the turns in it, and the silence in which nobody speaks."""

from __future__ import annotations

from protocol import client_events as client
from protocol import server_events as server
from protocol.errors import Refused
from protocol.objects import InputAudio, MessageItem, ResponseConfig
from realtime.session.closing import Closing
from realtime.session.conversation import Entry
from realtime.session.idle_timeout import IdleTimeout
from realtime.session.messages import SCORE_SAMPLES, NotTranscribed, Transcribed, UserAudio
from realtime.session.recording import Recording
from realtime.session.responses import Responses
from realtime.session.shared import Shared
from realtime.session.transcribing import Transcribing
from realtime.session.turns import ScoredWindows, Started, Stopped, TurnDetector, TurnRules, rules_of

_EARLY_S = 0.16
"""After this much silence, in seconds, the words of a turn are looked for, though the turn may go on."""

_KEPT_SILENCE_S = 30.0
"""How many seconds without speech are kept where turns are detected, for a client that commits them all the same."""


class UserInput:
    """Keeps what the user says until it becomes an item: because the client commits it, or because a turn is over."""

    def __init__(self, shared: Shared, responses: Responses, closing: Closing) -> None:
        self._shared = shared
        self._responses = responses
        self._closing = closing
        self._recording = Recording(shared.runtime.sample_rate, shared.limits.max_input_s)
        self._longest_turn_s = min(shared.limits.max_input_s, shared.limits.max_clips_s)
        self._windows = ScoredWindows()
        self._turns = TurnDetector()
        self._turn: str | None = None  # the id of the item it will be
        self._to_answer: set[str] = set()  # items of turns that are answered once their words are known
        self._idle_timeout = IdleTimeout(shared, responses)
        self._transcribing = Transcribing(shared, self._words_known)

    def record(self, event: client.InputAudioAppend) -> None:
        """Take in more of what the user says, without scores of speech. Raises Refused as `take_in` does."""
        self.take_in(UserAudio(event.audio))

    def take_in(self, message: UserAudio) -> None:
        """Take in more of what the user says, and follow the turns in it.

        Raises Refused for half a sample, and for more than the buffer holds where the client plays and no turns are
        detected.
        """
        rules, heard = self._rules(), 0
        if rules is not None:
            ends = self._windows.ends(len(message.pcm) // 2, message.scores)
            for score, end in zip(message.scores, ends, strict=True):
                self._recording.append(message.pcm[2 * heard : 2 * end], rolling=True)
                heard = end
                self._follow(score, rules)
        self._recording.append(message.pcm[2 * heard :], rolling=rules is not None or self._shared.playback.by_server)

    def commit(self) -> None:
        """Make a user item of the buffered audio; a turn under way ends with it.

        Raises Refused where there is too little audio, or no room for an item.
        """
        self._rules()
        self._shared.conversation.check_room()
        self._recording.check_enough()
        end = self._recording.end
        if self._turn is not None:
            self._end_turn(self._turn, end)
        else:
            self._keep(self._shared.new_id("item_"), end)
        self._turns = TurnDetector()

    def clear(self) -> None:
        """Forget the buffered audio, and the turn it belongs to."""
        self._recording.clear()
        self._forget_turn()
        self._turns = TurnDetector()
        self._shared.send(server.InputCleared)

    def forget(self, item_id: str) -> None:
        """Stop looking for the words of an item that is deleted, was not made or holds none.

        What waited for its words goes on.
        """
        self._transcribing.forget(item_id)
        self._to_answer.discard(item_id)
        self._responses.words_known(item_id)

    @property
    def wants_words(self) -> bool:
        """Whether the words of what the user says are asked for, by the client or by the brain."""
        return self._transcribing.wanted

    def answered(self, outcome: Transcribed | NotTranscribed) -> None:
        """Take in the recogniser's answer to a job."""
        self._transcribing.answered(outcome)

    def tick(self) -> None:
        """Time out, once nobody has spoken for too long. This has to be called again and again."""
        rules = self._rules()
        if self._turn is not None:
            self._idle_timeout.user_spoke()
            return
        patience_s = rules.idle_s if rules is not None and self._shared.runtime.hears else None
        silent_from = self._idle_timeout.overdue(patience_s, self._recording.end)
        if silent_from is not None:
            self._time_out(silent_from)

    def _rules(self) -> TurnRules | None:
        """Return what a turn is now; None where turn detection is off.

        Then nothing remains of a turn under way, and the windows are counted anew once there are scores again.
        """
        detection = self._shared.settings.listening.turn_detection
        if detection is not None:
            return rules_of(detection, self._shared.runtime.sample_rate)
        self._forget_turn()
        self._turns, self._windows = TurnDetector(), ScoredWindows()
        return None

    def _forget_turn(self) -> None:
        if self._turn is not None:
            self._transcribing.forget(self._turn)
        self._turn = None

    def _follow(self, score: float, rules: TurnRules) -> None:
        """Begin, go on with or end a turn, by the score of the last window of the buffered audio."""
        end, rate, turn = self._recording.end, self._shared.runtime.sample_rate, self._turn
        event = self._turns.push(score, end, rules)
        if isinstance(event, Started):
            self._begin_turn(event.at_sample - rules.padding_samples, rules)
        elif turn is None:
            self._recording.forget_before(end - int(_KEPT_SILENCE_S * rate))
        elif isinstance(event, Stopped):
            # after a change to a shorter silence, the end may lie before the last part that a long turn was split into
            self._end_turn(turn, max(event.at_sample, self._recording.start))
        elif end + SCORE_SAMPLES > self._recording.start + int(self._longest_turn_s * rate):
            self._end_turn(turn, end)
            self._begin_turn(end, rules)
        elif self._transcribing.wanted:
            self._listen_for_words(turn, end)

    def _listen_for_words(self, turn: str, end: int) -> None:
        """Have the words of a turn under way looked for."""
        quiet_from = self._turns.quiet_from
        if quiet_from is None:
            self._transcribing.speech_went_on(turn)
            self._transcribing.speech_so_far(turn, lambda: self._recording.upto(end), end)
        elif end - quiet_from >= _EARLY_S * self._shared.runtime.sample_rate:
            self._transcribing.silence_began(turn, self._recording.upto(end))

    def _begin_turn(self, start: int, rules: TurnRules) -> None:
        shared = self._shared
        self._recording.forget_before(start)
        self._turn = shared.new_id("item_")
        self._idle_timeout.user_spoke()
        shared.send(server.SpeechStarted, audio_start_ms=self._ms(self._recording.start), item_id=self._turn)
        if rules.interrupts:
            self._closing.interrupt()

    def _end_turn(self, item_id: str, end: int) -> None:
        self._turn = None
        self._shared.send(server.SpeechStopped, audio_end_ms=self._ms(end), item_id=item_id)
        if self._shared.runtime.needs_transcripts:
            self._to_answer.add(item_id)
        self._keep(item_id, end)
        if not self._shared.runtime.needs_transcripts:
            self._answer()

    def _words_known(self, entry: Entry) -> None:
        """Go on with what waited for the words of an item, whether there are any or not."""
        self._responses.words_known(entry.item.id)
        if entry.item.id in self._to_answer:
            self._to_answer.discard(entry.item.id)
            if entry.text and self._turn is None:  # otherwise one response answers both turns
                self._answer()

    def _answer(self) -> None:
        """Begin a response to what was just said, where turns are answered and no response is being spoken."""
        detection = self._shared.settings.listening.turn_detection
        if detection is None or detection.create_response is not True or self._responses.spoken is not None:
            return
        try:
            self._responses.create(ResponseConfig())
        except Refused as refused:  # too many items, or the key has had its share: the client is told
            self._shared.error(refused.code, str(refused), refused.param, None)

    def _time_out(self, start: int) -> None:
        """Tell the client that nobody spoke, and make an item of the silence since the sample `start`, as of a turn."""
        end, item_id = self._recording.end, self._shared.new_id("item_")
        start_ms, end_ms = self._ms(start), self._ms(end)
        self._shared.send(server.InputTimeout, audio_start_ms=start_ms, audio_end_ms=end_ms, item_id=item_id)
        self._recording.forget_before(start)
        self._keep(item_id, end, spoken=False)

    def _keep(self, item_id: str, end: int, *, spoken: bool = True) -> None:
        """Make a user item of the buffered audio before the sample `end`.

        Its words are looked for if anything was `spoken`. Where there is no room for items the audio is lost, and an
        error says so.
        """
        shared, pcm = self._shared, self._recording.take(end)
        try:
            shared.conversation.check_room()
        except Refused as refused:
            shared.error(refused.code, str(refused), refused.param, None)
            self.forget(item_id)
            return
        item = MessageItem(item_id, "user", "completed", [InputAudio(transcript=None)])
        entry = Entry(item, clip=pcm or None, recorded=True)
        previous = shared.conversation.append(entry)
        shared.conversation.forget_recordings(int(shared.limits.max_clips_s * shared.runtime.sample_rate))
        shared.send(server.InputCommitted, item_id=item.id, previous_item_id=previous)
        shared.announce(item, previous)
        if spoken and self._transcribing.wanted:
            self._transcribing.finish(entry, pcm)
        else:
            self.forget(item_id)

    def _ms(self, sample: int) -> int:
        return sample * 1000 // self._shared.runtime.sample_rate
