"""Runs the loop of the engine: schedule, run, take the delay out, decode, publish. One call of `step` is one pass.

It holds every request from submission to its one `Ended`. It is single-threaded; the worker process calls it in a loop,
tests call it directly. Time is an argument.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np

from codec_stream.decoder import DecodeJob, DecoderState, StreamingDecoder
from codec_stream.delay import DelayBuffer
from codec_stream.pcm import to_pcm16
from realtime.engine.clips import Clips
from realtime.engine.contexts import Contexts
from realtime.engine.errors import EngineError, Overloaded, RequestError, Silent
from realtime.engine.kv_pages import page_hashes
from realtime.engine.length import frame_cap
from realtime.engine.messages import Audio, Event, Gauges, StepOutput
from realtime.engine.models.speech_model import Prompts, Spoken
from realtime.engine.runner import PromptPart, Runner
from realtime.engine.scheduler import CHUNK_SIZES, Phase, Scheduler, Stream
from realtime.engine.slots import SlotSampling
from realtime.request import Clip, Ended, EndReason, RegisteredClip, Speak, Used


@dataclass
class _Utterance:
    """Holds one admitted request while it runs."""

    request: Speak
    stream: Stream
    tokens: np.ndarray  # [N, K] the prompt
    max_rows: int
    delay: DelayBuffer
    audio_positions: int  # of the prompt
    rows: list[np.ndarray] = field(default_factory=list)  # as drawn, from row 1 on
    frames: int = 0
    samples: int = 0
    reason: EndReason = "stop"

    @property
    def used(self) -> Used:
        """Return what the request has taken so far."""
        stream = self.stream
        return Used(stream.prompt_positions, self.audio_positions, stream.cached_positions, self.frames)


@dataclass
class _Waiting:
    """Holds a request whose reference clips are still being encoded."""

    request: Speak
    clips: list[Future[np.ndarray]]


class Engine:
    """Turns each `Speak` into its audio, for all requests at once. `now` is monotonic seconds."""

    def __init__(
        self,
        runner: Runner,
        prompts: Prompts,
        decoder: StreamingDecoder,
        clips: Clips,
        scheduler: Scheduler,
        contexts: Contexts,
        *,
        defaults: SlotSampling,
        max_frames: int,
        frame_rate: float,
    ) -> None:
        self._runner = runner
        self._prompts = prompts
        self._decoder = decoder
        self.clips = clips
        self._scheduler = scheduler
        self._contexts = contexts
        self._defaults = defaults
        self._max_frames = max_frames
        self._frame_rate = frame_rate
        self._codec_state: DecoderState = decoder.new_state(scheduler.policy.slots)
        self._utterances: dict[str, _Utterance] = {}
        self._waiting: dict[str, _Waiting] = {}
        self._events: list[Event] = []
        self._steps = 0
        self._rows = 0
        self._step_ms = 0.0
        self.row_tap: Callable[[str, list[np.ndarray]], None] | None = None
        """Is called with the rows of every admitted request when it ends, for parity checks."""

    def submit(self, request: Speak, now: float) -> None:
        """Take a request in. What is wrong with it comes back as its `Ended`, with the next step."""
        try:
            if request.request_id in self._utterances or request.request_id in self._waiting:
                raise RequestError("request_id", f"A request {request.request_id!r} is already running.")
            if not any(character.isalnum() for character in request.text):
                raise RequestError("text", "There is nothing to say: the text holds no letter and no digit.")
            waiting = _Waiting(request, self.clips.start(request.voicing.clips, request.context_id))
            if all(future.done() for future in waiting.clips):
                self._admit(request, now)
            else:
                self._waiting[request.request_id] = waiting
        except EngineError as error:
            self._refuse(request, error)

    def cancel(self, request_id: str) -> None:
        """Stop a request in whatever phase it is. Unknown and finished ids are ignored."""
        if self._waiting.pop(request_id, None) is not None:
            self._events.append(Ended(request_id, "cancelled"))
        utterance = self._utterances.get(request_id)
        if utterance is not None:
            self._end(utterance, "cancelled")

    def hold(self, request_id: str, held: bool) -> None:
        """Stop (or go on) serving a request whose listener does not take audio."""
        self._scheduler.hold(request_id, held)

    def drop_context(self, context_id: str) -> None:
        """Forget what a context spoke."""
        self._contexts.drop(context_id)
        self.clips.drop_context(context_id)
        self._scheduler.forget(context_id)

    def wake_at(self, now: float) -> float | None:
        """Return when `step` will next have something to do; None says that it has nothing until a message comes."""
        if self._events:
            return now
        if self._waiting:
            return min(now + 0.01, self._scheduler.wake_at(now) or now + 0.01)
        return self._scheduler.wake_at(now)

    def gauges(self) -> Gauges:
        """Return the current state of the engine in numbers."""
        return Gauges(
            requests=len(self._utterances) + len(self._waiting),
            slots=self._scheduler.slots_used,
            pages_held=self._scheduler.pool.held,
            contexts=len(self._contexts),
            steps=self._steps,
            rows=self._rows,
            step_ms=self._step_ms,
        )

    def step(self, now: float) -> StepOutput:
        """Do one pass: admit what is ready, run the plan, decode what is due, and hand over all events."""
        begun = time.perf_counter()
        self._admit_ready(now)
        plan = self._scheduler.plan(now)
        if plan.prefill:
            self._runner.prefill([self._chunk(span.request_id, span.start, span.count) for span in plan.prefill])
            for span in plan.prefill:
                self._publish_prompt(self._utterances[span.request_id])
        if plan.decode:
            self._decode_rows(plan.decode)
        self._decode_audio(now)
        if plan.decode:
            elapsed = time.perf_counter() - begun
            self._scheduler.cost.observe(len(plan.decode), elapsed)
            self._steps += 1
            self._rows += len(plan.decode)
            self._step_ms += 0.1 * (elapsed * 1e3 - self._step_ms)
        events, self._events = self._events, []
        return StepOutput(events, self.gauges())

    def close(self) -> None:
        """Stop the thread that encodes clips."""
        self.clips.close()

    def _admit_ready(self, now: float) -> None:
        for request_id, waiting in list(self._waiting.items()):
            if all(future.done() for future in waiting.clips):
                del self._waiting[request_id]
                try:
                    self._admit(waiting.request, now)
                except EngineError as error:
                    self._refuse(waiting.request, error)

    def _admit(self, request: Speak, now: float) -> None:
        text_cap = frame_cap(request.text, self._frame_rate)
        frames = min(text_cap, self._max_frames, request.max_frames or self._max_frames)
        books = self._runner.alphabet.num_codebooks
        max_rows = frames + books  # frame t completes with row t + books, and the row after the last frame's ends it
        room = self._runner.model.config.max_positions - max_rows - 1
        tokens = self._prompt(request, room)
        hashes = self._page_hashes(tokens)
        stream = self._scheduler.admit(
            request.request_id,
            hashes,
            len(tokens),
            max_rows,
            lead_s=request.lead_s,
            paced=request.paced,
            now=now,
            context_id=request.context_id,
            max_lead_s=request.max_lead_s,
            speed=request.speed,
        )
        self._codec_state.reset(stream.slot)
        delay = DelayBuffer(books, min(self._runner.alphabet.bos, self._runner.alphabet.eos))
        self._utterances[request.request_id] = _Utterance(
            request, stream, tokens, max_rows, delay, int((tokens[:, 1:] >= 0).any(1).sum())
        )

    def _prompt(self, request: Speak, room: int) -> np.ndarray:
        """Return the tokens [N, K] of the prompt, with as much of the context's past as fits into `room` positions.

        Raises RequestError where it does not fit even without the past.
        """

        def rows_of(part: RegisteredClip | Clip) -> np.ndarray:
            return self.clips.rows(part, request.context_id)

        spoken = self._contexts.past(request.context_id)
        while True:
            tokens = self._prompts.prompt(request.voicing, spoken, request.text, rows_of)
            if len(tokens) <= room:
                return tokens
            if not spoken:
                raise RequestError(
                    "text", f"The prompt takes {len(tokens)} positions, and there is room for {room}: shorten the text."
                )
            spoken = self._contexts.shorten(request.context_id)

    def _sampling(self, request: Speak) -> SlotSampling:
        asked, base = request.sampling, self._defaults
        greedy = base.greedy if asked.greedy is None else asked.greedy
        temperature = base.temperature if asked.temperature is None else asked.temperature
        return SlotSampling(
            greedy=greedy or temperature <= 0.0,
            temperature=temperature if temperature > 0.0 else 1.0,
            top_k=base.top_k if asked.top_k is None else asked.top_k,
            top_p=base.top_p if asked.top_p is None else asked.top_p,
            ras=base.ras and asked.ras is not False,
            seed=request.seed,
        )

    def _chunk(self, request_id: str, start: int, count: int) -> PromptPart:
        utterance = self._utterances[request_id]
        return PromptPart(utterance.tokens[start : start + count], start, utterance.stream.pages)

    def _decode_rows(self, request_ids: list[str]) -> None:
        batch = [self._utterances[request_id] for request_id in request_ids]
        for utterance in batch:
            if not utterance.rows:  # its pages are final only now: until its prefill began they could change
                stream = utterance.stream
                sampling = self._sampling(utterance.request)
                self._runner.open_slot(stream.slot, stream.prompt_positions, stream.pages, sampling)
        drawn = self._runner.decode([utterance.stream.slot for utterance in batch])
        for utterance, ids, ended, broken in zip(batch, drawn.ids, drawn.ended, drawn.broken, strict=True):
            if broken:
                self._fail(utterance, "The model's output was not finite; the request was stopped.")
                continue
            utterance.rows.append(ids)
            capped = len(utterance.rows) >= utterance.max_rows
            if ended or not capped:  # the row at the cap would complete one frame too many
                utterance.delay.push(ids)
            if ended or capped:
                utterance.reason = "stop" if ended else "length"
                utterance.delay.finish()
                utterance.stream.enter(Phase.FLUSH)

    def _decode_audio(self, now: float) -> None:
        """Decode the audio that is due, grouped by chunk size, and end the requests that are finished."""
        groups: dict[int, list[tuple[_Utterance, DecodeJob]]] = {}
        for utterance in self._utterances.values():
            stream, pending = utterance.stream, utterance.delay.pending
            flushing = stream.phase is Phase.FLUSH
            size = CHUNK_SIZES[-1] if flushing else self._scheduler.chunk_frames(stream, now)
            if not flushing and pending < size:
                continue
            final = flushing and pending <= size
            codes = utterance.delay.take(size, self._decoder.partial_frames)
            job = DecodeJob(stream.slot, codes, final)
            groups.setdefault(0 if final else size, []).append((utterance, job))
        for members in groups.values():
            pcm = self._decoder.decode(self._codec_state, [job for _, job in members])
            for (utterance, job), samples in zip(members, pcm, strict=True):
                self._publish(utterance, job, samples, now)

    def _publish(self, utterance: _Utterance, job: DecodeJob, samples: np.ndarray, now: float) -> None:
        utterance.frames += len(job.codes.frames)
        if len(samples):
            request_id = utterance.request.request_id
            self._events.append(Audio(request_id, utterance.samples, to_pcm16(samples), utterance.used))
            utterance.samples += len(samples)
            frames = len(samples) / self._decoder.samples_per_frame
            seconds = frames * self._scheduler.policy.frame_s / utterance.request.speed
            self._scheduler.delivered(utterance.stream, seconds, now)
        if job.final:
            self._remember(utterance)
            request = utterance.request
            self._end(utterance, utterance.reason, keep_for=request.context_id if request.more else "", now=now)

    def _publish_prompt(self, utterance: _Utterance) -> None:
        """Let others find the pages that the prompt has filled so far."""
        full = utterance.stream.prefilled // self._scheduler.pool.page_size
        self._publish_pages(utterance, utterance.stream.hashes[:full])

    def _publish_pages(self, utterance: _Utterance, hashes: Sequence[bytes]) -> None:
        for page, digest in zip(utterance.stream.pages, hashes, strict=False):
            self._scheduler.pool.publish(page, digest)

    def _page_hashes(self, tokens: np.ndarray) -> list[bytes]:
        books = self._runner.alphabet.num_codebooks
        return page_hashes(tokens.astype(np.int32).tobytes(), 4 * books, self._scheduler.pool.page_size)

    def _remember(self, utterance: _Utterance) -> None:
        """Keep what was said as the context's past, and publish its pages for the next clause's prompt."""
        if not utterance.request.context_id or utterance.reason != "stop" or not utterance.rows:
            return
        rows = np.stack([np.full_like(utterance.rows[0], self._runner.alphabet.bos), *utterance.rows])
        self._contexts.add(utterance.request.context_id, Spoken(utterance.request.text, rows))
        self._publish_pages(utterance, self._page_hashes(np.concatenate((utterance.tokens, rows[:-1]))))

    def _fail(self, utterance: _Utterance, why: str) -> None:
        pool = self._scheduler.pool
        for page in utterance.stream.pages:  # the shared start too: if that is what broke, it must not be found again
            pool.forget(page)
        # Leave pages that others still read: wiping one would garble them silently. If such a page is broken, each of
        # its readers fails by itself, and the last one wipes it.
        self._runner.wipe([page for page in utterance.stream.pages if not pool.is_shared(page)])
        self._end(utterance, "failed", why)

    def _refuse(self, request: Speak, error: EngineError) -> None:
        if isinstance(error, Silent):
            self._events.append(Ended(request.request_id, "stop"))
            return
        reason: EndReason = "overloaded" if isinstance(error, Overloaded) else "invalid"
        field_name = error.field if isinstance(error, RequestError) else ""
        self._events.append(Ended(request.request_id, reason, error=str(error), field=field_name))

    def _end(
        self, utterance: _Utterance, reason: EndReason, error: str = "", *, keep_for: str = "", now: float = 0.0
    ) -> None:
        stream = utterance.stream
        del self._utterances[utterance.request.request_id]
        self._scheduler.release(stream, keep_for=keep_for, now=now)
        if self.row_tap is not None:
            self.row_tap(utterance.request.request_id, utterance.rows)
        self._events.append(
            Ended(
                utterance.request.request_id,
                reason,
                error=error,
                prompt_positions=stream.prompt_positions,
                audio_positions=utterance.audio_positions,
                cached_positions=stream.cached_positions,
                frames=utterance.frames,
                samples=utterance.samples,
            )
        )
