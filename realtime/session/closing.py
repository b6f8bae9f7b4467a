"""Ends responses: complete, cut or failed. Each has exactly one terminal event, `response.done`.

Where the server plays, a response that is over may still be heard. Falling silent takes the rest of it back too.
"""

from __future__ import annotations

from protocol import server_events as server
from protocol.objects import ResponseError, ResponseStatus
from realtime.session.conversation import Entry, with_words
from realtime.session.messages import CancelClause, DropAudio, DropContext, StopBrain
from realtime.session.response import LiveResponse
from realtime.session.responses import Responses
from realtime.session.shared import Shared
from realtime.session.states import ResponseState


class Closing:
    """Ends the responses of a session, and tells the client in the order that clients wait for."""

    def __init__(self, shared: Shared, responses: Responses) -> None:
        self._shared = shared
        self._responses = responses

    def settle(self, live: LiveResponse) -> None:
        """Complete a response, once all of it was generated and handed to whoever plays it."""
        if live.state is ResponseState.DRAINING and live.playout.sent == live.playout.generated:
            live.enter(ResponseState.DONE if live.failure is None else ResponseState.FAILED)
            if live.failure is not None:
                self._close(live, "failed", error=live.failure, whole=True)
            elif live.cut_short:
                self._close(live, "incomplete", reason="max_output_tokens")
            else:
                self._close(live, "completed")

    def stop(
        self,
        live: LiveResponse,
        state: ResponseState,
        reason: str | None = None,
        error: ResponseError | None = None,
        silently: bool = False,
    ) -> None:
        """End a response now, by cancellation or failure, as `state` says.

        `reason` and `error` are told to the client; `silently` tells it nothing, because it is gone.
        """
        live.enter(state)
        out = self._shared.out
        out.append(StopBrain(live.id))
        if live.running is not None:
            out.append(CancelClause(live.running.id))
            live.break_off()
        out.append(DropAudio(live.id))
        cut = self._responses.still_playing.forget(live)
        if silently:
            self._forget(live)
            return
        if cut:
            self._responses.still_playing.tell_cleared(live)
        self._close(live, "cancelled" if state is ResponseState.CANCELLED else "failed", reason, error)
        if cut:
            self._responses.still_playing.tell_played(live)

    def interrupt(self) -> None:
        """Fall silent because the user speaks: end the conversation's response, and whatever else is heard."""
        spoken = self._responses.spoken
        if spoken is not None:
            self.stop(spoken, ResponseState.CANCELLED, reason="turn_detected")
        self.silence("turn_detected")

    def silence(self, reason: str) -> None:
        """Take back all speech that the server has not played, and end the responses that it belongs to."""
        for live in self._responses.still_playing.all:
            self._cut(live, reason)

    def cut(self, item_id: str, reason: str) -> bool:
        """End the speech of a message, whether it is being made or heard.

        Return whether the client was told how much of it was heard.
        """
        live = self._responses.of_message(item_id) or self._responses.still_playing.of(item_id)
        if live is None:
            return False
        told = live in self._responses.still_playing.all
        self._cut(live, reason)
        return told

    def _cut(self, live: LiveResponse, reason: str) -> None:
        if live.state.terminal:
            self._responses.still_playing.take_back(live)
        else:
            self.stop(live, ResponseState.CANCELLED, reason=reason)

    def _close(
        self,
        live: LiveResponse,
        status: ResponseStatus,
        reason: str | None = None,
        error: ResponseError | None = None,
        whole: bool = False,
    ) -> None:
        """Send the closing events in the order that clients wait for; `response.done` is the one terminal event.

        `whole` says that the words are heard to their end, however the response ended.
        """
        if live.entry is not None:
            self._close_message(live, live.entry, status, whole or status == "completed")
        self._shared.send(server.ResponseDone, response=live.shown(status, reason, error))
        self._forget(live)

    def _close_message(self, live: LiveResponse, entry: Entry, status: ResponseStatus, whole: bool) -> None:
        assert live.item is not None
        written, playout = live.settings.writes, live.playout
        if written:
            words = live.written
        else:
            heard = playout.sent if whole or status == "incomplete" else playout.played(self._shared.now)
            # what a client has said it heard counts, and not the estimate
            words = playout.played_text(heard if entry.played is None else entry.played)
        item = with_words(live.item, words, "completed" if whole else "incomplete", written)
        entry.item = item
        if written:
            self._responses.tell(live, server.OutputTextDone, text=words)
        else:
            self._responses.tell(live, server.AudioDone)
            self._responses.tell(live, server.TranscriptDone, transcript=words)
        part = server.TextPart(words) if written else server.Part(words)
        self._responses.tell(live, server.ContentPartDone, part=part)
        self._shared.send(server.OutputItemDone, response_id=live.id, item=item, output_index=live.message_index)
        if live.conversation_id is not None:
            previous = self._shared.conversation.previous(item.id)
            self._shared.send(server.ItemDone, item=item, previous_item_id=previous)

    def _forget(self, live: LiveResponse) -> None:
        shared = self._shared
        self._responses.remove(live)
        shared.account.end_response()
        self._responses.streams.cut(live.stream, live.id)
        shared.contexts_in_use.discard(live.context_id)
        if live.context_id != shared.context_id:
            shared.out.append(DropContext(live.context_id))
        elif live.settings.manner != shared.settings.manner:
            shared.renew_context()
        self._responses.still_playing.settle(live)
