"""The conversation's items at the client's hands: created, retrieved, deleted, truncated, recorded."""

from __future__ import annotations

from msgspec.structs import replace

from protocol import client_events as client
from protocol import server_events as server
from protocol.errors import Refused
from protocol.objects import InputAudio, Item, MessageItem, ResponseConfig
from realtime.session.conversation import Entry, check_length, entry_from, too_much_audio, with_words
from realtime.session.idle_timeout import IdleTimeout
from realtime.session.messages import SCORE_SAMPLES, UserAudio
from realtime.session.recording import Recording
from realtime.session.responses import Responses
from realtime.session.shared import Shared
from realtime.session.turns import ScoredWindows, Started, Stopped, TurnDetector, TurnRules, rules_of

_TRUNCATE_TOLERANCE_MS = 200
"""Clients measure by their own clock; a cut this little past the end means the end."""


_KEPT_SILENCE_S = 30.0
"""With turn detection, what nobody has spoken in is kept so long, for a client that commits it all the same."""


class Items:
    """What a client may do with items, and the input buffer that becomes one."""

    def __init__(self, shared: Shared, responses: Responses) -> None:
        self._shared = shared
        self._responses = responses
        self._recording = Recording(shared.runtime.sample_rate, shared.limits.max_input_s)
        self._longest_turn_s = min(shared.limits.max_input_s, shared.limits.max_clips_s)
        self._windows = ScoredWindows()
        self._turns = TurnDetector()
        self._turn: str | None = None  # the id of the item it will be
        self._idle_timeout = IdleTimeout(shared, responses)

    def create(self, event: client.ItemCreate) -> None:
        """Add a client's item. Raises Refused."""
        shared, limits = self._shared, self._shared.limits
        entry = entry_from(event.item, shared.new_id, int(limits.max_clip_s * shared.runtime.sample_rate))
        check_length(entry, limits.max_item_chars, "item.content")
        given = [other.clip for other in shared.conversation.entries if other.clip is not None and not other.recorded]
        held = sum(map(len, given)) + len(entry.clip or b"")
        if entry.clip is not None and held > limits.max_clips_s * 2 * shared.runtime.sample_rate:
            raise too_much_audio(limits.max_clips_s, "item")
        previous = shared.conversation.insert(entry, event.previous_item_id)
        if _shapes_speech(entry):
            shared.renew_context()
        self._announce(entry.item, previous)

    def retrieve(self, event: client.ItemRetrieve) -> None:
        """Show an item as it stands, what was recorded with its audio. Raises Refused."""
        entry = self._shared.conversation.find(event.item_id, "item_retrieve_invalid_item_id")
        item = entry.item
        if entry.recorded and entry.clip is not None and isinstance(item, MessageItem):
            item = replace(item, content=[InputAudio(audio=entry.clip, transcript=entry.text or None)])
        self._shared.send(server.ItemRetrieved, item=item)

    def delete(self, event: client.ItemDelete) -> None:
        """Remove an item. Raises Refused, also for one that is being spoken."""
        if self._responses.speaking(event.item_id) is not None:
            raise Refused("item_delete_in_progress", "This item is being spoken; cancel its response first.", "item_id")
        entry = self._shared.conversation.find(event.item_id, "item_delete_invalid_item_id")
        self._shared.conversation.entries.remove(entry)
        if _shapes_speech(entry):
            self._shared.renew_context()
        self._shared.send(server.ItemDeleted, item_id=event.item_id)

    def truncate(self, event: client.ItemTruncate) -> None:
        """Cut speech to what the client's listener heard; what is still being spoken of it stops. Raises Refused."""
        entry = self._shared.conversation.find(event.item_id, "item_truncate_invalid_item_id")
        playout = entry.playout
        if playout is None or not isinstance(entry.item, MessageItem):
            raise Refused("invalid_value", "Only speech of this session can be truncated.", "item_id")
        rate = self._shared.runtime.sample_rate
        went_out = playout.played(self._shared.now) if self._shared.plays else playout.sent
        sent_ms = went_out * 1000 // rate
        if event.audio_end_ms > sent_ms + _TRUNCATE_TOLERANCE_MS:
            message = f"audio_end_ms is {event.audio_end_ms}, but only {sent_ms} ms of this item were sent."
            raise Refused("invalid_value", message, "audio_end_ms")
        samples = min(went_out, event.audio_end_ms * rate // 1000)
        samples = entry.played = (
            samples if entry.played is None else min(samples, entry.played)
        )  # what was cut stays cut
        told = self._responses.cut(event.item_id, "client_cancelled")
        entry.item = with_words(entry.item, playout.played_text(samples), entry.item.status)
        if not told:
            self._shared.send(server.ItemTruncated, item_id=event.item_id, audio_end_ms=samples * 1000 // rate)

    # --- the input buffer ---

    def record(self, event: client.InputAudioAppend) -> None:
        """More of what the user says, which nobody has listened to. Raises Refused."""
        self.take_in(UserAudio(event.audio))

    def take_in(self, message: UserAudio) -> None:
        """More of what the user says, and the turns in it. Raises Refused."""
        rules, heard = self._rules(), 0
        if rules is not None:
            ends = self._windows.ends(len(message.pcm) // 2, message.scores)
            for score, end in zip(message.scores, ends, strict=True):
                self._recording.append(message.pcm[2 * heard : 2 * end], rolling=True)
                heard = end
                self._follow(score, rules)
        self._recording.append(message.pcm[2 * heard :], rolling=rules is not None or self._shared.plays)

    def commit(self) -> None:
        """Make the buffered audio a user item; a turn under way ends with it. Raises Refused."""
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
        self._turn, self._turns = None, TurnDetector()
        self._shared.send(server.InputCleared)

    def tick(self) -> None:
        """Time passed: it may be too long that nobody has spoken."""
        rules = self._rules()
        if self._turn is not None:
            self._idle_timeout.user_spoke()
            return
        patience_s = rules.idle_s if rules is not None and self._shared.runtime.hears else None
        silent_from = self._idle_timeout.overdue(patience_s, self._recording.end)
        if silent_from is not None:
            self._time_out(silent_from)

    def _rules(self) -> TurnRules | None:
        """What a turn is now. When turn detection is off nothing remains of a turn, and whoever scores begins anew."""
        detection = self._shared.settings.listening.turn_detection
        if detection is not None:
            return rules_of(detection, self._shared.runtime.sample_rate)
        self._turn, self._turns, self._windows = None, TurnDetector(), ScoredWindows()
        return None

    def _follow(self, score: float, rules: TurnRules) -> None:
        """The last window of the buffered audio has this score."""
        end, rate, turn = self._recording.end, self._shared.runtime.sample_rate, self._turn
        event = self._turns.push(score, end, rules)
        if isinstance(event, Started):
            self._begin_turn(event.at_sample - rules.padding_samples, rules)
        elif turn is None:
            self._recording.forget_before(end - int(_KEPT_SILENCE_S * rate))
        elif isinstance(event, Stopped):
            # with less patience than before, it may have ended before this part of a long turn began
            self._end_turn(turn, max(event.at_sample, self._recording.start))
        elif end + SCORE_SAMPLES > self._recording.start + int(self._longest_turn_s * rate):
            self._end_turn(turn, end)
            self._begin_turn(end, rules)

    def _begin_turn(self, start: int, rules: TurnRules) -> None:
        shared = self._shared
        self._recording.forget_before(start)
        self._turn = shared.new_id("item_")
        self._idle_timeout.user_spoke()
        shared.send(server.SpeechStarted, audio_start_ms=self._ms(self._recording.start), item_id=self._turn)
        if rules.interrupts:
            self._responses.interrupt()

    def _end_turn(self, item_id: str, end: int) -> None:
        self._turn = None
        self._shared.send(server.SpeechStopped, audio_end_ms=self._ms(end), item_id=item_id)
        self._keep(item_id, end)
        self._answer()

    def _answer(self) -> None:
        """Ask for a response to what was just said, where turns are answered and nothing is being said."""
        detection = self._shared.settings.listening.turn_detection
        if detection is None or detection.create_response is not True or self._responses.spoken is not None:
            return
        try:
            self._responses.create(ResponseConfig())
        except Refused as refused:  # too many items, or the key has had its share: the client is told
            self._shared.error(refused.code, str(refused), refused.param, None)

    def _time_out(self, start: int) -> None:
        """Nobody spoke: what there was instead becomes an item, like a turn."""
        end, item_id = self._recording.end, self._shared.new_id("item_")
        start_ms, end_ms = self._ms(start), self._ms(end)
        self._shared.send(server.InputTimeout, audio_start_ms=start_ms, audio_end_ms=end_ms, item_id=item_id)
        self._recording.forget_before(start)
        self._keep(item_id, end)

    def _keep(self, item_id: str, end: int) -> None:
        """Make a user item of the buffered audio before the sample `end`. Where there is no room for items it is lost,
        and an error says so."""
        shared, pcm = self._shared, self._recording.take(end)
        try:
            shared.conversation.check_room()
        except Refused as refused:
            shared.error(refused.code, str(refused), refused.param, None)
            return
        item = MessageItem(item_id, "user", "completed", [InputAudio(transcript=None)])
        previous = shared.conversation.append(Entry(item, clip=pcm or None, recorded=True))
        shared.conversation.forget_recordings(int(shared.limits.max_clips_s * shared.runtime.sample_rate))
        shared.send(server.InputCommitted, item_id=item.id, previous_item_id=previous)
        self._announce(item, previous)

    def _ms(self, sample: int) -> int:
        return sample * 1000 // self._shared.runtime.sample_rate

    def _announce(self, item: Item, previous: str | None) -> None:
        self._shared.send(server.ItemAdded, item=item, previous_item_id=previous)
        self._shared.send(server.ItemDone, item=item, previous_item_id=previous)


def _shapes_speech(entry: Entry) -> bool:
    """The item is part of what comes before the speech: a system line, or a clip to take a voice from."""
    return entry.role == "system" or (entry.clip is not None and not entry.recorded)
