"""Decides who runs when: admission, prefill, decode steps and chunk sizes, by what each listener still has to play.

Pure Python: the clock, the leads and the measured step times are inputs. A listener consumes 25 frames a second, so a
stream far ahead of its listener gains nothing from another row, and a stream about to run dry must come first. Each
step serves streams by the moment their listener runs out (earliest first; a stream that has not spoken yet is due
shortly after it came in), and leaves out those that are far enough ahead. Admission refuses what would not keep up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from realtime.engine.errors import Overloaded
from realtime.engine.kv_pages import PagePool

CHUNK_SIZES = (1, 8)
"""Frames per codec call. They are few, so that streams share calls: sizes in between split each step's streams over
more calls. In simulation, (1, 2, 4, 8) refuses more at most loads, and first audio is mostly no earlier."""


class Phase(Enum):
    """Names how far an admitted request is. ENDED is final and comes with one release."""

    WAITING = "waiting"
    PREFILL = "prefill"
    DECODE = "decode"
    FLUSH = "flush"
    ENDED = "ended"


_NEXT = {
    Phase.WAITING: {Phase.PREFILL, Phase.DECODE, Phase.ENDED},
    Phase.PREFILL: {Phase.DECODE, Phase.ENDED},
    Phase.DECODE: {Phase.FLUSH, Phase.ENDED},
    Phase.FLUSH: {Phase.ENDED},
    Phase.ENDED: set(),
}


@dataclass(frozen=True)
class Policy:
    """Holds the numbers behind the decisions. Times are in seconds."""

    slots: int = 16
    step_streams: int = 16  # streams per decode step
    prefill_positions: int = 256  # prompt positions per step
    max_lead_s: float = 2.0  # a stream that is further ahead of its listener is not served
    # The same, while another stream waits for its first audio. Fewer streams make a faster step, which shortens that
    # wait by a third at a load of 50 % on a GPU, by a sixth at 80 % (`voiced bench schedule`).
    waiting_lead_s: float = 1.0
    first_audio_s: float = 0.25  # a new stream is due this long after it came in
    frame_s: float = 0.04
    # The share of real time that paced streams may take up. It may exceed 1: the prediction takes every live stream to
    # be in every step, which those far ahead are not, and leads carry a short excess. At 1.3 no simulated load has a
    # gap yet; at 0.9 a tenth of a load of 80 % is refused for nothing (`voiced bench schedule`).
    utilisation: float = 1.2
    admit_by_rate: bool = True
    reservation_s: float = 5.0  # a voice between two clauses keeps its place this long


class Playout:
    """Models what one listener holds: it starts to play with the first audio and runs dry at `empties_at`."""

    def __init__(self, lead_s: float, now: float) -> None:
        self.empties_at = now + lead_s

    def lead(self, now: float) -> float:
        """Return the seconds of audio that are not played yet."""
        return max(0.0, self.empties_at - now)

    def deliver(self, seconds: float, now: float) -> float:
        """Take in that `seconds` of audio arrived, and return the gap in seconds that the listener heard before it."""
        gap = max(0.0, now - self.empties_at)
        self.empties_at = max(self.empties_at, now) + seconds
        return gap


@dataclass
class Stream:
    """Holds one admitted request as the scheduler sees it. The engine reads it; only the scheduler writes."""

    request_id: str
    slot: int
    pages: list[int]
    prompt_positions: int
    cached_positions: int
    paced: bool
    playout: Playout
    due_at: float
    max_lead_s: float
    speed: float = 1.0
    hashes: Sequence[bytes] = ()
    phase: Phase = Phase.WAITING
    prefilled: int = 0
    heard: bool = False
    held: bool = False

    @property
    def listeners(self) -> float:
        """Return how many listeners at normal speed would take as much time as this one."""
        return max(1.0, self.speed) if self.paced else 0.0

    def enter(self, phase: Phase) -> None:
        """Change the phase. Raises RuntimeError for an illegal transition, which is a bug."""
        if phase not in _NEXT[self.phase]:
            raise RuntimeError(f"request {self.request_id}: {self.phase.value} -> {phase.value} is not a transition")
        self.phase = phase

    def deadline(self) -> float:
        """Return when this stream must have its next audio."""
        return self.playout.empties_at if self.heard else self.due_at


@dataclass(frozen=True)
class PrefillSpan:
    """Names the positions `start` … `start + count` of a request's prompt."""

    request_id: str
    start: int
    count: int


@dataclass(frozen=True)
class Plan:
    """Says what one step does: prompt parts first, then one row for each of `decode`.

    Requests whose prompts the same step finishes may be among them.
    """

    prefill: list[PrefillSpan]
    decode: list[str]

    def __bool__(self) -> bool:
        return bool(self.prefill or self.decode)


@dataclass
class StepCost:
    """Predicts step times by a line over batch size, fitted with fading memory to what was measured."""

    memory: float = 0.98
    _n: float = 0.0
    _b: float = 0.0
    _bb: float = 0.0
    _t: float = 0.0
    _bt: float = 0.0
    seen: int = 0

    def observe(self, batch: int, seconds: float) -> None:
        """Take in that a step over `batch` streams took `seconds` (model, codec and all)."""
        m = self.memory
        self._n, self._b, self._bb = m * self._n + 1, m * self._b + batch, m * self._bb + batch * batch
        self._t, self._bt = m * self._t + seconds, m * self._bt + batch * seconds
        self.seen += 1

    def predict(self, batch: int) -> float:
        """Return how many seconds a step over `batch` streams will take; 0 while too little was seen."""
        if self.seen < 50:
            return 0.0
        spread = self._n * self._bb - self._b * self._b
        mean_batch, mean_time = self._b / self._n, self._t / self._n
        if spread < 1e-6 * self._n * self._n:  # one batch size only: more streams cost at least nothing extra
            return mean_time
        slope = max(0.0, (self._n * self._bt - self._b * self._t) / spread)
        return max(0.0, mean_time + slope * (batch - mean_batch))


@dataclass(frozen=True)
class Reservation:
    """Keeps the place of a voice between two clauses: one slot, and the pages its last clause had to itself."""

    pages: int
    paced: bool
    until: float
    speed: float = 1.0

    @property
    def listeners(self) -> float:
        """Return how many listeners at normal speed would take as much time as this one."""
        return max(1.0, self.speed) if self.paced else 0.0


@dataclass
class Scheduler:
    """Keeps the slots, pages and deadlines of everything admitted. `now` is monotonic seconds."""

    policy: Policy
    pool: PagePool
    cost: StepCost = field(default_factory=StepCost)
    streams: dict[str, Stream] = field(default_factory=dict)
    _free_slots: list[int] = field(init=False)
    _reserved: dict[str, Reservation] = field(default_factory=dict)  # by context

    def __post_init__(self) -> None:
        self._free_slots = list(range(self.policy.slots))[::-1]

    @property
    def slots_used(self) -> int:
        """Return how many slots are taken."""
        return self.policy.slots - len(self._free_slots)

    def admit(
        self,
        request_id: str,
        hashes: Sequence[bytes],
        prompt_positions: int,
        max_rows: int,
        *,
        lead_s: float,
        paced: bool,
        now: float,
        context_id: str = "",
        max_lead_s: float | None = None,
        speed: float = 1.0,
    ) -> Stream:
        """Reserve a slot and the worst case of pages for a request. Raises Overloaded, having taken nothing.

        `hashes` name the prompt's full pages; those already in the pool are shared and need no prefill. A context that
        kept its place (`release` with `keep_for`) comes before everybody else.
        """
        self._reserved = {name: kept for name, kept in self._reserved.items() if kept.until > now}
        others = [kept for name, kept in self._reserved.items() if name != context_id]
        if len(self._free_slots) <= len(others):
            raise Overloaded(f"All {self.policy.slots} voices are in use.")
        if paced and self.policy.admit_by_rate and context_id not in self._reserved:
            before = sum(stream.listeners for stream in self.streams.values()) + sum(kept.listeners for kept in others)
            live = math.ceil(before + max(1.0, speed))
            rounds = -(-live // self.policy.step_streams)
            busy = rounds * self.cost.predict(min(live, self.policy.step_streams)) / self.policy.frame_s
            if before and busy > self.policy.utilisation:
                raise Overloaded(f"{math.ceil(before)} voices already take all the time there is.")
        shared = self.pool.match(hashes)
        total = self.pool.pages_for(prompt_positions + max_rows + 1)
        set_aside = sum(kept.pages for kept in others)
        try:
            pages = self.pool.allocate(shared, total - len(shared), spare=set_aside)
        except MemoryError as error:
            raise Overloaded(f"No room for {prompt_positions + max_rows} more positions: {error}.") from error
        self._reserved.pop(context_id, None)
        cached = len(shared) * self.pool.page_size
        stream = Stream(
            request_id,
            self._free_slots.pop(),
            pages,
            prompt_positions,
            cached,
            paced,
            Playout(lead_s, now),
            due_at=now + max(self.policy.first_audio_s, lead_s),
            max_lead_s=self.policy.max_lead_s if max_lead_s is None else max_lead_s,
            speed=speed,
            hashes=hashes,
            prefilled=cached,
        )
        self.streams[request_id] = stream
        return stream

    def plan(self, now: float) -> Plan:
        """Decide what the next step does. Moves streams from WAITING over PREFILL to DECODE as their prompts get
        done.
        """
        ordered = sorted(self.streams.values(), key=lambda stream: (not stream.paced, stream.deadline()))
        budget, prefill = self.policy.prefill_positions, []
        underway: set[bytes] = set()
        for stream in ordered:
            if stream.phase not in (Phase.WAITING, Phase.PREFILL) or stream.held:
                continue
            if stream.phase is Phase.WAITING:
                self._share(stream)
                if (to_come := self._to_come(stream)) and to_come[0] in underway:
                    continue  # an earlier stream is filling the same pages: they will serve both
            underway.update(self._to_come(stream))
            left = stream.prompt_positions - stream.prefilled
            count = min(left, budget)
            if count:
                if stream.phase is Phase.WAITING:
                    stream.enter(Phase.PREFILL)
                prefill.append(PrefillSpan(stream.request_id, stream.prefilled, count))
                stream.prefilled += count
                budget -= count
            if stream.prefilled == stream.prompt_positions:
                stream.enter(Phase.DECODE)
        limit = float("inf")
        decoding = [stream for stream in ordered if stream.phase is Phase.DECODE]
        waiting = (stream for stream in decoding if stream.paced and not stream.heard)
        if any(self._wants(stream, now, self.policy.waiting_lead_s) for stream in waiting):
            limit = self.policy.waiting_lead_s
        wanting = [stream for stream in decoding if self._wants(stream, now, limit)]
        return Plan(prefill, [stream.request_id for stream in wanting[: self.policy.step_streams]])

    def wake_at(self, now: float) -> float | None:
        """Return when a step will next be worthwhile; None says not before something arrives."""
        times = []
        for stream in self.streams.values():
            if stream.held:
                continue
            if stream.phase is Phase.DECODE and stream.paced:
                times.append(max(now, stream.playout.empties_at - stream.max_lead_s))
            else:
                return now
        return min(times) if times else None

    def chunk_frames(self, stream: Stream, now: float) -> int:
        """Return how many frames the codec should wait for: few while the listener waits, more once it is fed."""
        if not stream.paced:
            return CHUNK_SIZES[-1]
        lead = stream.playout.lead(now)
        for size in reversed(CHUNK_SIZES):
            if lead >= 4 * size * self.policy.frame_s:
                return size
        return CHUNK_SIZES[0]

    def delivered(self, stream: Stream, seconds: float, now: float) -> None:
        """Take in that `seconds` of a stream's audio went out."""
        stream.playout.deliver(seconds, now)
        stream.heard = True

    def hold(self, request_id: str, held: bool) -> None:
        """Note that the listener of a request stopped taking audio, or goes on."""
        stream = self.streams.get(request_id)
        if stream is not None:
            stream.held = held

    def release(self, stream: Stream, *, keep_for: str = "", now: float = 0.0) -> None:
        """End a stream and give its slot and pages back. Ending it twice raises RuntimeError.

        `keep_for` names a context that is about to speak its next clause: until it does, or for `reservation_s`, its
        place is not given away, so that a voice is never refused in the middle of what it says.
        """
        stream.enter(Phase.ENDED)
        del self.streams[stream.request_id]
        self._free_slots.append(stream.slot)
        self.pool.release(stream.pages)
        if keep_for:
            own = len(stream.pages) - stream.cached_positions // self.pool.page_size
            self._reserved[keep_for] = Reservation(own, stream.paced, now + self.policy.reservation_s, stream.speed)

    def forget(self, context_id: str) -> None:
        """Give the place of a context away, since it will not go on."""
        self._reserved.pop(context_id, None)

    def _to_come(self, stream: Stream) -> Sequence[bytes]:
        """Return the hashes of the full pages that a prompt still has to fill."""
        return stream.hashes[stream.prefilled // self.pool.page_size :]

    def _share(self, stream: Stream) -> None:
        """Replace a stream's pages by those with the same content that others filled since it was admitted."""
        size, known = self.pool.page_size, self.pool.match(stream.hashes)
        have = stream.cached_positions // size
        if len(known) > have:
            taken = self.pool.allocate(known[have:], 0)
            self.pool.release(stream.pages[have : len(known)])
            stream.pages[have : len(known)] = taken
            stream.cached_positions = stream.prefilled = len(known) * size

    @staticmethod
    def _wants(stream: Stream, now: float, limit_s: float) -> bool:
        ahead = stream.playout.lead(now)
        return not stream.held and (not stream.paced or ahead < min(limit_s, stream.max_lead_s))
