"""Scope: who runs when, with a fake clock: order, leads, chunk sizes, prefill budget, admission, transitions; and a
stateful fuzz of all of it against the invariants."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from realtime.engine.errors import Overloaded
from realtime.engine.kv_pages import PagePool
from realtime.engine.scheduler import _NEXT, CHUNK_SIZES, Phase, Policy, Scheduler, StepCost, Stream

PAGE = 16


def _scheduler(pages: int = 1000, **policy: Any) -> Scheduler:
    return Scheduler(Policy(**{"slots": 8, "step_streams": 8, **policy}), PagePool(pages, PAGE))


def _admit(
    scheduler: Scheduler, name: str, now: float = 0.0, *, prompt: int = 20, rows: int = 50, lead: float = 0.0,
    paced: bool = True, hashes: tuple[bytes, ...] = (),
) -> Stream:  # fmt: skip
    return scheduler.admit(name, hashes, prompt, rows, lead_s=lead, paced=paced, now=now)


def _speaking(scheduler: Scheduler, name: str, lead: float, now: float = 0.0, paced: bool = True) -> Stream:
    """A stream past its prefill whose listener holds `lead` seconds."""
    stream = _admit(scheduler, name, now, paced=paced)
    stream.enter(Phase.DECODE)
    stream.prefilled = stream.prompt_positions
    if lead:
        scheduler.delivered(stream, lead, now)
    return stream


def test_who_runs_dry_first_is_served_first() -> None:
    scheduler = _scheduler()
    for name, lead in (("a", 1.5), ("b", 0.2), ("c", 0.9), ("d", 0.1)):
        _speaking(scheduler, name, lead)
    assert scheduler.plan(0.0).decode == ["d", "b", "c", "a"]


def test_only_the_most_urgent_fit_into_a_small_step() -> None:
    scheduler = _scheduler(step_streams=2)
    for name, lead in (("a", 1.5), ("b", 0.2), ("c", 0.9)):
        _speaking(scheduler, name, lead)
    assert scheduler.plan(0.0).decode == ["b", "c"]


def test_first_audio_is_due_soon_after_it_was_asked_for() -> None:
    scheduler = _scheduler(first_audio_s=0.25)
    _speaking(scheduler, "fed", 0.5)
    _speaking(scheduler, "starving", 0.1)
    new = _admit(scheduler, "new", 0.0)
    assert scheduler.plan(0.0).decode == ["starving", "new", "fed"]
    assert new.phase is Phase.DECODE
    assert scheduler.plan(0.5).decode[0] in ("starving", "new")


def test_a_new_stream_grows_more_urgent_as_it_waits() -> None:
    scheduler = _scheduler(step_streams=1)
    stream = _admit(scheduler, "new", 0.0)
    fed = _speaking(scheduler, "fed", 0.2)
    scheduler.delivered(fed, 0.3, 0.3)  # runs dry at 0.6; the new one was due at 0.25
    assert stream.deadline() == pytest.approx(0.25)
    assert scheduler.plan(0.3).decode == ["new"]


def test_a_continuation_with_audio_left_is_due_when_that_ends() -> None:
    scheduler = _scheduler()
    _admit(scheduler, "next clause", 0.0, lead=1.3)
    _admit(scheduler, "first words", 0.5)
    assert scheduler.plan(0.5).decode == ["first words", "next clause"]


def test_streams_with_lead_enough_are_left_out_until_they_need_more() -> None:
    scheduler = _scheduler(max_lead_s=2.0)
    _speaking(scheduler, "fed", 2.5)
    _speaking(scheduler, "hungry", 0.5)
    assert scheduler.plan(0.0).decode == ["hungry"]
    assert scheduler.plan(0.6).decode == ["hungry", "fed"]


def test_while_somebody_waits_for_first_audio_others_get_less_far_ahead() -> None:
    scheduler = _scheduler(max_lead_s=2.0, waiting_lead_s=1.0)
    _speaking(scheduler, "fed", 1.5)
    _speaking(scheduler, "hungry", 0.5)
    assert scheduler.plan(0.0).decode == ["hungry", "fed"]
    new = _admit(scheduler, "new")
    assert scheduler.plan(0.0).decode == ["new", "hungry"]
    scheduler.delivered(new, 0.04, 0.0)
    assert scheduler.plan(0.0).decode == ["new", "hungry", "fed"]


def test_unpaced_streams_come_last_and_are_never_left_out() -> None:
    scheduler = _scheduler(step_streams=2, max_lead_s=2.0)
    file = _speaking(scheduler, "file", 0.0, paced=False)
    scheduler.delivered(file, 100.0, 0.0)
    _speaking(scheduler, "fed", 2.5)
    assert scheduler.plan(0.0).decode == ["file"]
    _speaking(scheduler, "call", 1.0)
    assert scheduler.plan(0.0).decode == ["call", "file"]


def test_held_streams_are_left_out_and_come_back() -> None:
    scheduler = _scheduler()
    _speaking(scheduler, "a", 0.1)
    _admit(scheduler, "b")
    for name in "ab":
        scheduler.hold(name, True)
    scheduler.hold("nobody", True)
    assert not scheduler.plan(0.0)
    assert scheduler.wake_at(0.0) is None
    for name in "ab":
        scheduler.hold(name, False)
    plan = scheduler.plan(0.0)
    assert sorted(plan.decode) == ["a", "b"]
    assert [span.request_id for span in plan.prefill] == ["b"]


def test_a_long_prompt_takes_no_more_positions_per_step_than_allowed() -> None:
    scheduler = _scheduler(prefill_positions=64)
    _admit(scheduler, "long", prompt=200)
    _speaking(scheduler, "talks", 0.1)
    spans = []
    for _ in range(4):
        plan = scheduler.plan(0.0)
        assert sum(span.count for span in plan.prefill) <= 64
        assert "talks" in plan.decode, "a prefill left a running stream out"
        spans += [(span.start, span.count) for span in plan.prefill]
        assert ("long" in plan.decode) == (len(spans) == 4)
    assert spans == [(0, 64), (64, 64), (128, 64), (192, 8)]


def test_the_prefill_budget_goes_to_the_most_urgent_and_the_rest_to_the_next() -> None:
    scheduler = _scheduler(prefill_positions=64)
    _admit(scheduler, "later", 0.1, prompt=100)
    _admit(scheduler, "sooner", 0.0, prompt=40)
    plan = scheduler.plan(0.1)
    assert [(span.request_id, span.count) for span in plan.prefill] == [("sooner", 40), ("later", 24)]
    assert plan.decode == ["sooner"]


def test_a_prompt_that_is_all_cached_needs_no_prefill() -> None:
    scheduler = _scheduler()
    pages = scheduler.pool.allocate([], 2)
    for page, digest in zip(pages, (b"1", b"2"), strict=True):
        scheduler.pool.publish(page, digest)
    scheduler.pool.release(pages)
    stream = _admit(scheduler, "a", prompt=32, hashes=(b"1", b"2"))
    assert stream.cached_positions == 32
    plan = scheduler.plan(0.0)
    assert (plan.prefill, plan.decode) == ([], ["a"])


@pytest.mark.parametrize(("lead", "frames"), [(0.0, 1), (0.1, 1), (0.33, 1), (1.27, 1), (1.29, 8), (9.0, 8)])
def test_chunks_grow_with_the_lead(lead: float, frames: int) -> None:
    scheduler = _scheduler()
    stream = _speaking(scheduler, "a", lead)
    assert scheduler.chunk_frames(stream, 0.0) == frames
    assert frames * 0.04 <= max(0.04, lead), "a chunk that takes longer to fill than the listener can wait"


def test_who_has_no_listener_gets_the_largest_chunks() -> None:
    scheduler = _scheduler()
    assert scheduler.chunk_frames(_speaking(scheduler, "file", 0.0, paced=False), 0.0) == CHUNK_SIZES[-1]


def test_playout_falls_with_time_and_reports_gaps() -> None:
    scheduler = _scheduler()
    playout = _speaking(scheduler, "a", 1.0, now=5.0).playout
    assert playout.lead(5.25) == pytest.approx(0.75)
    assert playout.lead(7.0) == 0.0
    assert playout.deliver(0.5, 6.5) == pytest.approx(0.5), "the listener heard half a second of nothing"
    assert playout.lead(6.5) == pytest.approx(0.5)
    assert playout.deliver(0.5, 6.6) == 0.0


def test_it_wakes_when_the_first_lead_has_fallen_far_enough() -> None:
    scheduler = _scheduler(max_lead_s=2.0)
    assert scheduler.wake_at(0.0) is None
    _speaking(scheduler, "a", 2.5)
    _speaking(scheduler, "b", 3.5)
    assert scheduler.wake_at(0.0) == pytest.approx(0.5)
    assert not scheduler.plan(0.49)
    assert scheduler.plan(0.51).decode == ["a"]
    _admit(scheduler, "new", 0.1)
    assert scheduler.wake_at(0.1) == 0.1


def test_admission_reserves_the_worst_case() -> None:
    scheduler = _scheduler()
    stream = _admit(scheduler, "a", prompt=20, rows=50)
    assert len(stream.pages) * PAGE >= 20 + 50 + 1
    assert scheduler.pool.held == len(stream.pages)


def _state(scheduler: Scheduler) -> tuple[Any, ...]:
    pool = scheduler.pool
    return scheduler.slots_used, pool.held, pool.free, sorted(scheduler.streams), pool.match([b"1"])


def test_a_refusal_takes_nothing() -> None:
    scheduler = _scheduler(pages=12, slots=3)
    [page] = scheduler.pool.allocate([], 1)
    scheduler.pool.publish(page, b"1")
    scheduler.pool.release([page])
    _admit(scheduler, "a", prompt=20, rows=50)
    before = _state(scheduler)
    with pytest.raises(Overloaded, match="No room"):
        _admit(scheduler, "too long", prompt=100, rows=80, hashes=(b"1",))
    assert _state(scheduler) == before
    _admit(scheduler, "b", prompt=5, rows=5)
    _admit(scheduler, "c", prompt=5, rows=5)
    before = _state(scheduler)
    with pytest.raises(Overloaded, match="All 3 voices"):
        _admit(scheduler, "d", prompt=5, rows=5)
    assert _state(scheduler) == before


def test_admission_refuses_what_would_not_keep_up() -> None:
    scheduler = _scheduler(slots=8)
    for batch in range(1, 9):
        for _ in range(20):
            scheduler.cost.observe(batch, 0.004 * batch + 0.002)  # 8 streams take 34 of 40 ms
    for number in range(8):
        _admit(scheduler, f"{number}")
    scheduler.release(scheduler.streams["7"])
    for batch in range(1, 9):
        for _ in range(100):
            scheduler.cost.observe(batch, 0.010 * batch)
    before = _state(scheduler)
    with pytest.raises(Overloaded, match="take all the time"):
        _admit(scheduler, "7")
    assert _state(scheduler) == before
    _admit(scheduler, "file", paced=False)  # it takes what is left over
    for stream in list(scheduler.streams.values()):
        scheduler.release(stream)
    _admit(scheduler, "alone")  # a machine too slow for one voice still speaks


def test_who_is_listened_to_twice_as_fast_takes_the_place_of_two() -> None:
    scheduler = _scheduler(slots=16)
    for _ in range(20):
        for batch in (2, 4, 8):
            scheduler.cost.observe(batch, 0.006 * batch)  # 8 streams take 48 of 40 ms, as much as is admitted
    for name in "abcd":
        scheduler.admit(name, [], 16, 16, lead_s=0.0, paced=True, now=0.0, speed=2.0)
    with pytest.raises(Overloaded, match="8 voices already"):
        scheduler.admit("e", [], 16, 16, lead_s=0.0, paced=True, now=0.0)


def test_step_cost_is_a_line_through_what_was_measured() -> None:
    cost = StepCost()
    assert cost.predict(8) == 0.0
    for _ in range(40):
        for batch in (1, 4, 8):
            cost.observe(batch, 0.002 + 0.001 * batch)
    assert cost.predict(16) == pytest.approx(0.018, rel=1e-3)
    for _ in range(400):
        for batch in (1, 4, 8):
            cost.observe(batch, 0.004 + 0.002 * batch)
    assert cost.predict(16) == pytest.approx(0.036, rel=1e-2), "old measurements fade"


def test_step_cost_with_one_batch_size_is_the_mean() -> None:
    cost = StepCost()
    for _ in range(60):
        cost.observe(4, 0.01)
    assert cost.predict(16) == pytest.approx(0.01)


def test_a_voice_between_two_clauses_keeps_its_place_for_a_while() -> None:
    scheduler = _scheduler(slots=2, reservation_s=5.0)
    first = scheduler.admit("a", (), 20, 50, lead_s=0.0, paced=True, now=0.0, context_id="call")
    _admit(scheduler, "b")
    scheduler.release(first, keep_for="call", now=1.0)
    assert scheduler.slots_used == 1
    before = _state(scheduler)
    with pytest.raises(Overloaded):
        _admit(scheduler, "stranger", 2.0)
    assert _state(scheduler) == before
    scheduler.admit("a2", (), 20, 50, lead_s=1.0, paced=True, now=2.0, context_id="call")
    assert scheduler.slots_used == 2


@pytest.mark.parametrize("how", ["time", "forget"])
def test_a_place_not_taken_up_is_given_away(how: str) -> None:
    scheduler = _scheduler(slots=1, reservation_s=5.0)
    first = scheduler.admit("a", (), 20, 50, lead_s=0.0, paced=True, now=0.0, context_id="call")
    scheduler.release(first, keep_for="call", now=1.0)
    if how == "forget":
        scheduler.forget("call")
    _admit(scheduler, "stranger", 6.1 if how == "time" else 1.1)
    assert scheduler.slots_used == 1


def test_a_kept_place_keeps_its_pages() -> None:
    scheduler = _scheduler(pages=11)  # ten to give
    first = scheduler.admit("a", (), 20, 50, lead_s=0.0, paced=True, now=0.0, context_id="call")
    assert len(first.pages) == 5
    scheduler.release(first, keep_for="call", now=1.0)
    with pytest.raises(Overloaded, match="No room"):
        _admit(scheduler, "large", 2.0, prompt=60, rows=30)
    _admit(scheduler, "small", 2.0, prompt=20, rows=50)
    scheduler.admit("a2", (), 20, 50, lead_s=1.0, paced=True, now=2.0, context_id="call")
    assert scheduler.pool.free == 0


LEGAL = {
    (Phase.WAITING, Phase.PREFILL), (Phase.WAITING, Phase.DECODE), (Phase.PREFILL, Phase.DECODE),
    (Phase.DECODE, Phase.FLUSH), *((phase, Phase.ENDED) for phase in Phase if phase is not Phase.ENDED),
}  # fmt: skip


@pytest.mark.parametrize("before", Phase)
@pytest.mark.parametrize("after", Phase)
def test_every_transition_is_either_legal_or_raises(before: Phase, after: Phase) -> None:
    stream = _admit(_scheduler(), "a")
    stream.phase = before
    if (before, after) in LEGAL:
        stream.enter(after)
        assert stream.phase is after
    else:
        with pytest.raises(RuntimeError, match="is not a transition"):
            stream.enter(after)
        assert stream.phase is before


def test_the_table_of_transitions_is_total() -> None:
    assert set(_NEXT) == set(Phase)


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.ENDED])
def test_a_release_gives_slot_and_pages_back_exactly_once(phase: Phase) -> None:
    scheduler = _scheduler()
    other = _admit(scheduler, "other")
    stream = _admit(scheduler, "a")
    stream.phase = phase
    scheduler.release(stream)
    assert (scheduler.slots_used, scheduler.pool.held) == (1, len(other.pages))
    with pytest.raises(RuntimeError):
        scheduler.release(stream)
    assert (scheduler.slots_used, scheduler.pool.held) == (1, len(other.pages))


class SchedulerFuzz(RuleBasedStateMachine):
    """Sessions that come, are served, hold, end and go at random, on a clock that only moves forward."""

    SLOTS, PAGES = 5, 40

    def __init__(self) -> None:
        super().__init__()
        self.scheduler = Scheduler(
            Policy(slots=self.SLOTS, step_streams=3, prefill_positions=32, max_lead_s=2.0, waiting_lead_s=1.0),
            PagePool(self.PAGES, PAGE),
        )
        self.now = 0.0
        self.number = 0
        self.live: dict[str, Stream] = {}
        self.delivered: Counter[str] = Counter()
        self.drawn: Counter[str] = Counter()
        self.hashes: dict[str, list[bytes]] = {}

    @rule(
        start=st.integers(0, 2), prompt=st.integers(1, 90), rows=st.integers(9, 60),
        lead=st.sampled_from([0.0, 0.5, 3.0]), paced=st.booleans(),
    )  # fmt: skip
    def admit(self, start: int, prompt: int, rows: int, lead: float, paced: bool) -> None:
        self.number += 1
        name = f"r{self.number}"
        hashes = [f"{start}:{page}".encode() for page in range(prompt // PAGE)]
        before = (self.scheduler.slots_used, self.scheduler.pool.held)
        try:
            stream = self.scheduler.admit(name, hashes, prompt, rows, lead_s=lead, paced=paced, now=self.now)
        except Overloaded:
            assert (self.scheduler.slots_used, self.scheduler.pool.held) == before
            return
        assert stream.slot not in {other.slot for other in self.live.values()}
        assert len(stream.pages) * PAGE >= prompt + rows + 1
        own = stream.pages[stream.cached_positions // PAGE :]
        assert not set(own) & {page for other in self.live.values() for page in other.pages}, (
            "a page to write is shared"
        )
        self.live[name], self.hashes[name] = stream, hashes

    @rule(seconds=st.floats(0.001, 0.5))
    def step(self, seconds: float) -> None:
        self.now += seconds
        wake_at = self.scheduler.wake_at(self.now)
        phases = {name: stream.phase for name, stream in self.live.items()}
        plan = self.scheduler.plan(self.now)
        assert sum(span.count for span in plan.prefill) <= 32
        assert len(plan.decode) == len(set(plan.decode)) <= 3
        assert bool(plan) <= (wake_at is not None and wake_at <= self.now), "it would have slept over work"
        for span in plan.prefill:
            assert phases[span.request_id] in (Phase.WAITING, Phase.PREFILL)
            assert not self.live[span.request_id].held
            assert span.start + span.count <= self.live[span.request_id].prompt_positions
        for name in plan.decode:
            stream = self.live[name]
            assert stream.phase is Phase.DECODE
            assert stream.prefilled == stream.prompt_positions
            assert not stream.held
            assert not stream.paced or stream.playout.lead(self.now) < 2.0
            self.drawn[name] += 1
            for page, digest in zip(stream.pages, self.hashes[name], strict=False):
                self.scheduler.pool.publish(page, digest)
        left_out = [n for n, s in self.live.items() if s.phase is Phase.DECODE and not s.held and n not in plan.decode]
        speaking = [s for s in self.live.values() if s.phase is Phase.DECODE and s.paced]
        limit = 1.0 if any(not s.heard and not s.held and s.playout.lead(self.now) < 1.0 for s in speaking) else 2.0
        if len(plan.decode) < 3:
            assert all(self.live[n].paced and self.live[n].playout.lead(self.now) >= limit for n in left_out)
        elif any(self.live[n].paced for n in plan.decode):
            last = max(self.live[n].deadline() for n in plan.decode if self.live[n].paced)
            hungry = [n for n in left_out if self.live[n].paced and self.live[n].playout.lead(self.now) < limit]
            assert all(self.live[n].deadline() >= last for n in hungry), "a less urgent stream was preferred"

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.live)))
        stream = self.live[name]
        frames = min(self.scheduler.chunk_frames(stream, self.now), self.drawn[name])
        if stream.phase is Phase.DECODE and frames:
            self.drawn[name] -= frames
            self.scheduler.delivered(stream, frames * 0.04, self.now)
            self.delivered[name] += frames

    @precondition(lambda self: self.live)
    @rule(data=st.data(), held=st.booleans())
    def hold(self, data: st.DataObject, held: bool) -> None:
        self.scheduler.hold(data.draw(st.sampled_from([*sorted(self.live), "gone"])), held)

    @precondition(lambda self: self.live)
    @rule(data=st.data(), flush=st.booleans())
    def end(self, data: st.DataObject, flush: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.live)))
        stream = self.live.pop(name)
        if flush and stream.phase is Phase.DECODE:
            stream.enter(Phase.FLUSH)
        self.scheduler.release(stream)
        with pytest.raises(RuntimeError):
            self.scheduler.release(stream)

    @invariant()
    def nothing_leaks(self) -> None:
        assert set(self.scheduler.streams) == set(self.live)
        assert self.scheduler.slots_used == len(self.live)
        assert self.scheduler.pool.held == len({page for stream in self.live.values() for page in stream.pages})

    @invariant()
    def nobody_heard_more_than_was_delivered(self) -> None:
        for name, stream in self.live.items():
            if stream.heard:
                lead = stream.playout.lead(self.now)
                assert 0.0 <= lead <= self.delivered[name] * 0.04 + 3.0 + 1e-9
                assert self.delivered[name] > 0

    def teardown(self) -> None:
        for stream in self.live.values():
            self.scheduler.release(stream)
        assert self.scheduler.slots_used == self.scheduler.pool.held == 0


TestSchedulerFuzz = SchedulerFuzz.TestCase
TestSchedulerFuzz.settings = settings(max_examples=80, stateful_step_count=50, deadline=None)
