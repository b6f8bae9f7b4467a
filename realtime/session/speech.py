"""Turns words into speech: a response's clauses go to the engine one after another, and their audio to the client.

The fence is `clause_audio`: audio of a clause that is no longer the running one of its response is dropped there,
whatever is still under way.
"""

from __future__ import annotations

from msgspec import UNSET

from protocol import server_events as server
from protocol.objects import ResponseError
from realtime.request import Ended, Speak
from realtime.session.closing import Closing
from realtime.session.messages import AudioPlayed, AudioSent, ClauseAudio, FinishAudio, SendAudio, StopBrain
from realtime.session.playout import Word
from realtime.session.response import LiveResponse, RunningClause
from realtime.session.responses import Responses
from realtime.session.shared import Shared
from realtime.session.states import ResponseState


class Speech:
    """Speaks the responses of a session, one clause of each at a time."""

    def __init__(self, shared: Shared, responses: Responses, closing: Closing) -> None:
        self._shared = shared
        self._responses = responses
        self._closing = closing

    def pump(self, live: LiveResponse) -> None:
        """Start the next clause of a response if none runs; once all is said, finish its audio."""
        if live.running is None and live.frames_left == 0 and live.clauses_left:
            self._end_words(live)
        if live.running is None and (running := live.next_clause()) is not None:
            if live.state is ResponseState.QUEUED:
                live.enter(ResponseState.GENERATING)
            self._start(live, running)
        for _ in range(live.flushed()):
            self._shared.send(server.InputTextFlushed, response_id=live.id, stream=live.stream)
        if live.exhausted:
            if live.unspoken:
                live.playout.begin_clause(live.unspoken)
                self._transcribe(live, live.playout.end_clause())
                live.unspoken = ""
            live.enter(ResponseState.DRAINING)
            self._shared.out.append(FinishAudio(live.id, self._shared.new_id("event_")))
            self._closing.settle(live)

    def _end_words(self, live: LiveResponse) -> None:
        """Say no more of a response, because the client's limit is reached."""
        live.clauses_left.clear()
        live.cut_short = live.said_all = True
        self._shared.out.append(StopBrain(live.id))
        for _ in range(live.forget_flushes()):
            self._shared.send(server.InputTextFlushed, response_id=live.id, stream=live.stream)
        self._responses.streams.cut(live.stream, live.id)

    def _start(self, live: LiveResponse, running: RunningClause) -> None:
        shared, settings = self._shared, live.settings
        seed = settings.generation.seed
        if seed is UNSET:
            seed = int(shared.new_id("")[:15], 16)  # ids are random hex; nothing else here is random
        lead = settings.generation.max_lead_s
        shared.out.append(
            Speak(
                request_id=running.id,
                text=running.clause.spoken,
                voicing=live.voicing,
                context_id=live.context_id,
                sampling=settings.sampling,
                seed=seed + live.clauses - 1,
                lead_s=self._responses.still_playing.lead(live),
                paced=settings.generation.paced is not False,
                more=bool(live.clauses_left) or not live.said_all,
                max_lead_s=None if lead is UNSET else lead,
                max_frames=live.frames_left,
                speed=settings.speed,
            )
        )

    def clause_audio(self, message: ClauseAudio) -> None:
        """Send what the engine made of a clause, and tell its words."""
        live = self._responses.of_clause(message.clause_id)
        if live is None or live.running is None or live.item is None:
            return  # the fence: its response was cut, or is at another clause by now
        self._begin(live, live.running)
        live.running.used = message.used
        samples = len(message.pcm) // 2
        self._transcribe(live, live.playout.words(samples))
        live.playout.generate(samples)
        self._shared.account.spoke(samples / self._shared.runtime.sample_rate, self._shared.now)
        delta = server.AudioDelta(
            event_id=self._shared.new_id("event_"),
            response_id=live.id,
            item_id=live.item.id,
            delta=message.pcm,
            output_index=live.message_index,
        )
        self._shared.out.append(SendAudio(delta, samples, live.settings.format))
        self._responses.still_playing.add(live)

    def _begin(self, live: LiveResponse, running: RunningClause) -> None:
        if not running.begun:
            running.begun = True
            live.playout.begin_clause(running.clause.text)

    def _transcribe(self, live: LiveResponse, words: list[Word]) -> None:
        for word in words:
            self._responses.tell(
                live, server.TranscriptDelta, delta=word.text, start_time=word.start, end_time=word.end
            )

    def clause_ended(self, message: Ended) -> None:
        """Go on to the next clause, or fail the response as the engine says."""
        live = self._responses.of_clause(message.request_id)
        if live is None or live.running is None:
            return
        if message.reason in ("stop", "length"):
            self._begin(live, live.running)  # one that gave no audio still belongs to the transcript
            self._transcribe(live, live.playout.end_clause())
            live.count(message)
            if live.cut_short and live.frames_left == 0:
                self._end_words(live)
            self.pump(live)
            return
        live.count(message)
        code = {"overloaded": "overloaded", "invalid": "invalid_value"}.get(message.reason, "engine_failed")
        kind = "invalid_request_error" if message.reason == "invalid" else "server_error"
        text = message.error or "The speech engine stopped this response."
        self._closing.stop(live, ResponseState.FAILED, error=ResponseError(kind, code, text))

    def audio_sent(self, message: AudioSent) -> None:
        """Note what was handed to whoever plays it. A response is complete when all of it was."""
        live = self._responses.find(message.response_id)
        if live is not None:
            live.playout.send(message.samples, self._shared.now)
            self._closing.settle(live)

    def audio_played(self, message: AudioPlayed) -> None:
        """Note what the server has played."""
        self._responses.still_playing.played(message.response_id, message.samples)
