"""The conversation's items at the client's hands: created, retrieved, deleted, truncated, recorded."""

from __future__ import annotations

from msgspec.structs import replace

from protocol import client_events as client
from protocol import server_events as server
from protocol.objects import InputAudio, Item, MessageItem
from realtime.session.conversation import Entry, check_length, entry_from, too_much_audio, with_words
from realtime.session.desk import Desk
from realtime.session.errors import Refused
from realtime.session.recording import Recording
from realtime.session.responses import Responses
from realtime.session.states import ResponseState

_TRUNCATE_TOLERANCE_MS = 200
"""Clients measure by their own clock; a cut this little past the end means the end."""


class Items:
    """What a client may do with items, and the input buffer that becomes one."""

    def __init__(self, desk: Desk, responses: Responses) -> None:
        self._desk = desk
        self._responses = responses
        self._recording = Recording(desk.runtime.sample_rate, desk.limits.max_input_s)

    def create(self, event: client.ItemCreate) -> None:
        """Add a client's item. Raises Refused."""
        desk, limits = self._desk, self._desk.limits
        entry = entry_from(event.item, desk.new_id, int(limits.max_clip_s * desk.runtime.sample_rate))
        check_length(entry, limits.max_item_chars, "item.content")
        given = [other.clip for other in desk.conversation.entries if other.clip is not None and not other.recorded]
        held = sum(map(len, given)) + len(entry.clip or b"")
        if entry.clip is not None and held > limits.max_clips_s * 2 * desk.runtime.sample_rate:
            raise too_much_audio(limits.max_clips_s, "item")
        previous = desk.conversation.insert(entry, event.previous_item_id)
        if _shapes_speech(entry):
            desk.renew_context()
        self._announce(entry.item, previous)

    def retrieve(self, event: client.ItemRetrieve) -> None:
        """Show an item as it stands, what was recorded with its audio. Raises Refused."""
        entry = self._desk.conversation.find(event.item_id, "item_retrieve_invalid_item_id")
        item = entry.item
        if entry.recorded and entry.clip is not None and isinstance(item, MessageItem):
            item = replace(item, content=[InputAudio(audio=entry.clip, transcript=entry.text or None)])
        self._desk.send(server.ItemRetrieved, item=item)

    def delete(self, event: client.ItemDelete) -> None:
        """Remove an item. Raises Refused, also for one that is being spoken."""
        if self._responses.speaking(event.item_id) is not None:
            raise Refused("item_delete_in_progress", "This item is being spoken; cancel its response first.", "item_id")
        entry = self._desk.conversation.find(event.item_id, "item_delete_invalid_item_id")
        self._desk.conversation.entries.remove(entry)
        if _shapes_speech(entry):
            self._desk.renew_context()
        self._desk.send(server.ItemDeleted, item_id=event.item_id)

    def truncate(self, event: client.ItemTruncate) -> None:
        """Cut speech to what the client's listener heard; what is still being spoken of it stops. Raises Refused."""
        entry = self._desk.conversation.find(event.item_id, "item_truncate_invalid_item_id")
        playout = entry.playout
        if playout is None or not isinstance(entry.item, MessageItem):
            raise Refused("invalid_value", "Only speech of this session can be truncated.", "item_id")
        rate = self._desk.runtime.sample_rate
        sent_ms = playout.sent * 1000 // rate
        if event.audio_end_ms > sent_ms + _TRUNCATE_TOLERANCE_MS:
            message = f"audio_end_ms is {event.audio_end_ms}, but only {sent_ms} ms of this item were sent."
            raise Refused("invalid_value", message, "audio_end_ms")
        samples = min(playout.sent, event.audio_end_ms * rate // 1000)
        samples = entry.heard = samples if entry.heard is None else min(samples, entry.heard)  # what was cut stays cut
        live = self._responses.speaking(event.item_id)
        if live is not None:
            self._responses.stop(live, ResponseState.CANCELLED, reason="client_cancelled")
        entry.item = with_words(entry.item, playout.heard_text(samples), entry.item.status)
        self._desk.send(server.ItemTruncated, item_id=event.item_id, audio_end_ms=min(event.audio_end_ms, sent_ms))

    # --- the input buffer ---

    def record(self, event: client.InputAudioAppend) -> None:
        """More of what the user says. Raises Refused."""
        rolling = self._desk.settings.listening.turn_detection is not None
        self._recording.append(event.audio, rolling=rolling)

    def commit(self) -> None:
        """Make the buffered audio a user item. Raises Refused."""
        desk = self._desk
        desk.conversation.check_room()
        item = MessageItem(desk.new_id("item_"), "user", "completed", [InputAudio(transcript=None)])
        previous = desk.conversation.append(Entry(item, clip=self._recording.take(), recorded=True))
        desk.conversation.forget_recordings(int(desk.limits.max_clips_s * desk.runtime.sample_rate))
        desk.send(server.InputCommitted, item_id=item.id, previous_item_id=previous)
        self._announce(item, previous)

    def clear(self) -> None:
        """Forget the buffered audio."""
        self._recording.clear()
        self._desk.send(server.InputCleared)

    def _announce(self, item: Item, previous: str | None) -> None:
        self._desk.send(server.ItemAdded, item=item, previous_item_id=previous)
        self._desk.send(server.ItemDone, item=item, previous_item_id=previous)


def _shapes_speech(entry: Entry) -> bool:
    """The item is part of what comes before the speech: a system line, or a clip to take a voice from."""
    return entry.role == "system" or (entry.clip is not None and not entry.recorded)
