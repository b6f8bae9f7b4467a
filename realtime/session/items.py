"""Creates, retrieves, deletes and truncates the conversation's items for the client."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from protocol import client_events as client
from protocol import server_events as server
from protocol.errors import Refused
from protocol.objects import InputAudio, MessageItem
from realtime.session.closing import Closing
from realtime.session.conversation import Entry, check_length, entry_from, too_much_audio, with_words
from realtime.session.responses import Responses
from realtime.session.shared import Shared

_TRUNCATE_TOLERANCE_MS = 200
"""How far past the end a cut may lie and be taken for the end, since clients measure by their own clock."""


class Items:
    """Does with items what a client asks for. `on_deleted` is called with the id of each item that is deleted."""

    def __init__(
        self, shared: Shared, responses: Responses, closing: Closing, on_deleted: Callable[[str], None]
    ) -> None:
        self._shared = shared
        self._responses = responses
        self._closing = closing
        self._on_deleted = on_deleted

    def create(self, event: client.ItemCreate) -> None:
        """Add a client's item. Raises Refused for one that cannot be used, or that there is no room for."""
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
        self._shared.announce(entry.item, previous)

    def retrieve(self, event: client.ItemRetrieve) -> None:
        """Show an item as it stands; a recorded one is shown with its audio. Raises Refused if there is none."""
        entry = self._shared.conversation.find(event.item_id, "item_retrieve_invalid_item_id")
        item = entry.item
        if entry.recorded and entry.clip is not None and isinstance(item, MessageItem):
            item = replace(item, content=[InputAudio(audio=entry.clip, transcript=entry.text or None)])
        self._shared.send(server.ItemRetrieved, item=item)

    def delete(self, event: client.ItemDelete) -> None:
        """Remove an item. Raises Refused for one that does not exist, or that is being spoken."""
        if self._responses.of_message(event.item_id) is not None:
            raise Refused("item_delete_in_progress", "This item is being spoken; cancel its response first.", "item_id")
        entry = self._shared.conversation.find(event.item_id, "item_delete_invalid_item_id")
        self._shared.conversation.entries.remove(entry)
        if _shapes_speech(entry):
            self._shared.renew_context()
        self._shared.send(server.ItemDeleted, item_id=event.item_id)
        self._on_deleted(event.item_id)

    def truncate(self, event: client.ItemTruncate) -> None:
        """Cut speech to what the client's listener heard, and stop what is still being spoken of it.

        Raises Refused for an item that is no speech of this session, and for a cut past the end of what was sent.
        """
        entry = self._shared.conversation.find(event.item_id, "item_truncate_invalid_item_id")
        playout = entry.playout
        if playout is None or not isinstance(entry.item, MessageItem):
            raise Refused("invalid_value", "Only speech of this session can be truncated.", "item_id")
        rate = self._shared.runtime.sample_rate
        sent_ms = playout.left * 1000 // rate
        if event.audio_end_ms > sent_ms + _TRUNCATE_TOLERANCE_MS:
            message = f"audio_end_ms is {event.audio_end_ms}, but only {sent_ms} ms of this item were sent."
            raise Refused("invalid_value", message, "audio_end_ms")
        samples = min(playout.left, event.audio_end_ms * rate // 1000)
        if entry.played is not None:
            samples = min(samples, entry.played)  # a later cut brings nothing back
        entry.played = samples
        told = self._closing.cut(event.item_id, "client_cancelled")
        entry.item = with_words(entry.item, playout.played_text(samples), entry.item.status)
        if not told:
            self._shared.send(server.ItemTruncated, item_id=event.item_id, audio_end_ms=samples * 1000 // rate)


def _shapes_speech(entry: Entry) -> bool:
    """Tell whether an item is part of what comes before the speech: a system line, or a clip to take a voice from."""
    return entry.role == "system" or (entry.clip is not None and not entry.recorded)
