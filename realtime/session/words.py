"""Gives responses their words, which come from the brain or from a text stream of the client."""

from __future__ import annotations

from msgspec import UNSET
from msgspec.structs import replace

from protocol import server_events as server
from protocol.errors import Refused
from protocol.objects import CallItem, Generation, MessageItem, ResponseConfig, ResponseError
from realtime.session.closing import Closing
from realtime.session.conversation import Entry, too_long
from realtime.session.messages import BrainCalled, BrainDone, BrainFailed, BrainSaid
from realtime.session.response import LiveResponse
from realtime.session.responses import Responses
from realtime.session.shared import Shared
from realtime.session.speech import Speech
from realtime.session.states import ResponseState


class Words:
    """Gives responses their words as they come, and opens a response for a text stream that has none."""

    def __init__(self, shared: Shared, responses: Responses, speech: Speech, closing: Closing) -> None:
        self._shared = shared
        self._responses = responses
        self._speech = speech
        self._closing = closing

    def brain_said(self, message: BrainSaid) -> None:
        """Speak more text of the brain."""
        live = self._listened_to(message.response_id)
        if live is not None:
            self.feed(live, message.text)

    def brain_done(self, message: BrainDone) -> None:
        """Note that the brain has said everything."""
        live = self._listened_to(message.response_id)
        if live is not None:
            self.finish_words(live)

    def brain_failed(self, message: BrainFailed) -> None:
        """End the response whose brain has nothing (more) to say. What it has said is heard, and a last sentence where
        there is one; then it has failed."""
        live = self._listened_to(message.response_id)
        if live is None:
            return
        kind = "invalid_request_error" if message.code == "nothing_to_say" else "server_error"
        error = ResponseError(kind, message.code, message.message)
        if message.spoken or live.entry is not None:
            live.failure = error
            self.feed(live, f" {message.spoken}" if message.spoken and live.entry is not None else message.spoken)
            self.finish_words(live)
        else:
            self._closing.stop(live, ResponseState.FAILED, error=error)

    def brain_called(self, message: BrainCalled) -> None:
        """Ask the client to call a function, by an item of its own that is whole at once."""
        live, shared = self._listened_to(message.response_id), self._shared
        if live is None:
            return
        index, call_id = len(live.output), message.call_id or shared.new_id("call_")
        done = CallItem(shared.new_id("item_"), message.name, message.arguments, call_id, "completed")
        begun = replace(done, arguments="", status="in_progress")
        previous = None
        shared.send(server.OutputItemAdded, response_id=live.id, item=begun, output_index=index)
        if live.conversation_id is not None:
            previous = shared.conversation.append(Entry(done))
            shared.send(server.ItemAdded, item=begun, previous_item_id=previous)
        where = {"response_id": live.id, "item_id": done.id, "call_id": call_id, "output_index": index}
        shared.send(server.CallArgumentsDelta, delta=message.arguments, **where)
        shared.send(server.CallArgumentsDone, name=message.name, arguments=message.arguments, **where)
        shared.send(server.OutputItemDone, response_id=live.id, item=done, output_index=index)
        if live.conversation_id is not None:
            shared.send(server.ItemDone, item=done, previous_item_id=previous)
        live.calls.append(done)

    def _listened_to(self, response_id: str) -> LiveResponse | None:
        """Find a response, if it still takes words of its brain. A brain that was stopped may go on for a moment."""
        live = self._responses.find(response_id)
        return None if live is None or live.said_all else live

    def feed(self, live: LiveResponse, text: str) -> None:
        """Take in more words of a response."""
        live.fed_at = self._shared.now
        if not text:
            return
        self._open_message(live)
        if live.settings.writes:
            live.written += text
            self._responses.tell(live, server.OutputTextDelta, delta=text)
            return
        live.clauses_left.extend(live.splitter.push(text))
        self._speech.pump(live)

    def feed_stream(self, name: str, text: str) -> None:
        """Take in more words of a text stream. The first words begin a response for it.

        Raises Refused where that response cannot be begun, or has too many words that wait.
        """
        if self._responses.streams.is_cut(name):
            return  # its response has ended: words that were still on the way are not wanted
        live = self._responses.find(self._responses.streams.response(name))
        if live is None:
            config = ResponseConfig() if not name else ResponseConfig(voiced=Generation(text_stream=name))
            live = self._responses.create(config, stream=name)
        if live.held + len(text) > self._shared.limits.max_item_chars:
            raise too_long(live.held + len(text), self._shared.limits.max_item_chars, "text")
        self.feed(live, text)

    def flush_stream(self, name: str) -> None:
        """Speak what has come of a stream so far, even in the middle of a sentence.

        Raises Refused when no such stream is open.
        """
        live = self._of_stream(name)
        if live is not None:
            live.flush()
            self._speech.pump(live)

    def end_stream(self, name: str) -> None:
        """End a stream that has no more words. Raises Refused when no such stream is open."""
        live = self._of_stream(name)
        self._responses.streams.end(name)
        if live is not None:
            self.finish_words(live)

    def _of_stream(self, name: str) -> LiveResponse | None:
        """Find the response that speaks a stream; None says that the stream was cut.

        Raises Refused when no such stream is open.
        """
        live = self._responses.find(self._responses.streams.response(name))
        if live is None and not self._responses.streams.is_cut(name):
            unknown = f"No response speaks the text stream {name!r}; append text first."
            raise Refused("input_text_not_open", unknown, "stream")
        return live

    def finish_words(self, live: LiveResponse) -> None:
        """Note that a response has all its words."""
        live.clauses_left.extend(live.splitter.flush())
        live.said_all = True
        self._speech.pump(live)

    def tick(self) -> None:
        """Speak streamed words that have stopped coming in the middle of a sentence.

        A stream that its client has forgotten is ended.
        """
        limits = self._shared.limits
        for live in self._responses.all:
            if live.stream is None or live.said_all or live.running is not None:
                continue
            idle_s, asked = self._shared.now - live.fed_at, live.settings.generation.text_patience_s
            patience_s = limits.text_patience_s if asked is UNSET else asked
            if idle_s > limits.text_idle_s:
                self.end_stream(live.stream)
            elif idle_s > patience_s and live.splitter.pending:
                live.clauses_left.extend(live.splitter.release())
                self._speech.pump(live)

    def _open_message(self, live: LiveResponse) -> None:
        """Begin the message of a response, unless it has begun."""
        if live.entry is not None:
            return
        item = MessageItem(self._shared.new_id("item_"), "assistant", "in_progress", [])
        spoken = None if live.settings.writes else live.playout
        live.entry, live.message_index = Entry(item, playout=spoken), len(live.output)
        self._shared.send(server.OutputItemAdded, response_id=live.id, item=item, output_index=live.message_index)
        if live.conversation_id is not None:
            previous = self._shared.conversation.append(live.entry)
            self._shared.send(server.ItemAdded, item=item, previous_item_id=previous)
        part = server.TextPart("") if live.settings.writes else server.Part("")
        self._responses.tell(live, server.ContentPartAdded, part=part)
