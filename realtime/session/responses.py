"""Keeps the responses of a session that are under way: one in the conversation, several out of band."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, to_builtins

from protocol import server_events as server
from protocol.errors import Refused
from protocol.objects import ItemReference, NewItem, RateLimit, ResponseConfig
from realtime.agent.brain import Dialogue
from realtime.session.clauses import ClauseSplitter
from realtime.session.conversation import Conversation, check_length, entry_from, too_much_audio
from realtime.session.messages import AskBrain
from realtime.session.playout import Playout
from realtime.session.response import LiveResponse
from realtime.session.shared import Shared
from realtime.session.still_playing import StillPlaying
from realtime.session.text_streams import TextStreams
from realtime.session.voicing import voicing_of


class Responses:
    """Begins responses and finds them.

    `streams` says which of them get their words from the client. `still_playing` says which have speech that the server
    has not played, also after their end. While `draining` is true, no more are begun.
    """

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._live: dict[str, LiveResponse] = {}
        self.still_playing = StillPlaying(shared)
        self.streams = TextStreams()
        self.draining = False

    def __len__(self) -> int:
        return len(self._live)

    @property
    def all(self) -> list[LiveResponse]:
        """List the responses under way, oldest first."""
        return list(self._live.values())

    @property
    def spoken(self) -> LiveResponse | None:
        """Return the conversation's own response, while it is under way."""
        return next((live for live in self._live.values() if live.conversation_id is not None), None)

    def find(self, response_id: str | None) -> LiveResponse | None:
        """Find a response under way by its id."""
        return self._live.get(response_id) if response_id is not None else None

    def of_message(self, item_id: str) -> LiveResponse | None:
        """Find the response whose message is `item_id`, while it is under way."""
        return next((live for live in self._live.values() if live.item is not None and live.item.id == item_id), None)

    def of_clause(self, clause_id: str) -> LiveResponse | None:
        """Find the response whose running clause is `clause_id`."""
        live = self._live.get(clause_id.rpartition(".")[0])
        return live if live is not None and live.running is not None and live.running.id == clause_id else None

    def remove(self, live: LiveResponse) -> None:
        """Forget a response that is over."""
        del self._live[live.id]

    def tell(self, live: LiveResponse, kind: type[Any], **fields: Any) -> None:
        """Ask for an event about a response's message to be sent."""
        assert live.item is not None
        self._shared.send(kind, response_id=live.id, item_id=live.item.id, output_index=live.message_index, **fields)

    def create(self, config: ResponseConfig, stream: str | None = None) -> LiveResponse:
        """Begin a response. Raises Refused where that cannot be done.

        Its words come from the client's text stream `stream`, or the one that `config` names; without either they come
        from the brain. When the response is refused, the words of its stream are dropped until the stream's end, unless
        another response speaks it.
        """
        if stream is None and config.voiced is not UNSET and config.voiced.text_stream is not UNSET:
            stream = config.voiced.text_stream
        if stream is not None and self.streams.response(stream) is not None:
            taken = f"The text stream {stream!r} already has a response; end it or use another name."
            raise Refused("text_stream_in_use", taken, "response.voiced.text_stream")
        try:
            return self._begin(config, stream)
        except Refused:
            if stream is not None:
                self.streams.refuse(stream)
            raise

    def _begin(self, config: ResponseConfig, stream: str | None) -> LiveResponse:
        shared, outside = self._shared, config.conversation == "none"
        self._check_room(outside)
        settings = shared.settings.updated(config, shared.runtime, "response")
        before = Conversation(list(shared.conversation.entries))
        if config.input is not UNSET and config.input is not None:
            before = self._input(config.input)
        voicing = voicing_of(settings, before, shared.runtime)
        shared.account.begin_response(shared.now)
        if not outside and settings.manner != shared.settings.manner:
            shared.renew_context()
        live = LiveResponse(
            id=shared.new_id("resp_"),
            settings=settings,
            voicing=voicing,
            before=before,
            context_id=shared.new_id("ctx_") if outside else shared.context_id,
            conversation_id=None if outside else shared.conversation_id,
            metadata=config.metadata,
            splitter=ClauseSplitter(shared.runtime.max_clause_chars),
            playout=Playout(
                shared.runtime.sample_rate, shared.playback.clock(shared.runtime.sample_rate), settings.speed
            ),
            stream=stream,
            fed_at=shared.now,
        )
        self._live[live.id] = live
        shared.contexts_in_use.add(live.context_id)
        shared.send(server.ResponseCreated, response=live.shown("in_progress"))
        shared.send(server.RateLimitsUpdated, rate_limits=[self._left()])
        if stream is not None:
            self.streams.open(stream, live.id)
        else:
            if shared.runtime.needs_transcripts:
                live.awaits_words = {entry.item.id for entry in before.entries} & shared.awaiting_words
            self._ask(live)
        return live

    def words_known(self, item_id: str) -> None:
        """Go on with the responses that waited for the words of an item, now that they are known or there are none."""
        for live in self.all:
            if item_id in live.awaits_words:
                live.awaits_words.discard(item_id)
                self._ask(live)

    def _ask(self, live: LiveResponse) -> None:
        """Ask the brain for the words of a response, once the words that it answers are known."""
        if live.awaits_words:
            return
        settings = live.settings
        choice = settings.tool_choice if isinstance(settings.tool_choice, str) else settings.tool_choice.name
        tools = tuple(to_builtins(tool) for tool in settings.tools)
        dialogue = Dialogue(live.before.dialogue(), settings.instructions, tools, choice, not settings.writes)
        self._shared.out.append(AskBrain(live.id, dialogue))

    def _check_room(self, outside: bool) -> None:
        if self._shared.settings.transcribes_only:
            raise Refused("unsupported_event", "A session of type 'transcription' makes no responses.", "type")
        if self.draining:
            raise Refused("server_draining", "The server is about to stop; connect again.")
        if not outside:
            spoken = self.spoken
            if spoken is not None:
                raise Refused(
                    "conversation_already_has_active_response",
                    f"Response {spoken.id} is still being spoken; cancel it or wait for its response.done.",
                )
            self._shared.conversation.check_room()
        elif self._outside() >= self._shared.limits.max_out_of_band:
            raise Refused(
                "too_many_responses",
                f"{self._outside()} responses are under way out of band; wait for one to end.",
                "response.conversation",
            )

    def _outside(self) -> int:
        return sum(live.conversation_id is None for live in self._live.values())

    def _left(self) -> RateLimit:
        limit = self._shared.limits.max_out_of_band + 1
        return RateLimit("requests", limit, limit - len(self._live), 0.0)

    def _input(self, given: list[NewItem | ItemReference]) -> Conversation:
        """Make a conversation of the items in `given` alone. Raises Refused for one that cannot be used."""
        conversation, limits = Conversation(), self._shared.limits
        samples = int(limits.max_clip_s * self._shared.runtime.sample_rate)
        clip_bytes = 0
        for index, new in enumerate(given):
            where = f"response.input[{index}]"
            if isinstance(new, ItemReference):
                entry = self._shared.conversation.find(new.id, "item_retrieve_invalid_item_id", f"{where}.id")
            else:
                entry = entry_from(new, self._shared.new_id, samples, where)
                check_length(entry, limits.max_item_chars, where)
            conversation.insert(entry, None, where)
            clip_bytes += 0 if entry.clip is None or entry.recorded else len(entry.clip)
            if clip_bytes > 2 * limits.max_clips_s * self._shared.runtime.sample_rate:
                raise too_much_audio(limits.max_clips_s, where)
        return conversation
