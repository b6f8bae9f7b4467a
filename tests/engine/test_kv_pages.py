"""Scope: page bookkeeping by example and against a naive model."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from realtime.engine.kv_pages import TRASH_PAGE, PagePool, page_hashes


def test_the_padding_page_is_never_handed_out() -> None:
    pool = PagePool(5, 16)
    pages = pool.allocate([], 4)
    assert sorted(pages) == [1, 2, 3, 4]
    assert TRASH_PAGE not in pages


def test_a_pool_of_the_padding_page_alone_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        PagePool(1, 16)


def test_too_many_pages_are_refused_before_anything_is_taken() -> None:
    pool = PagePool(6, 16)
    first = pool.allocate([], 2)
    pool.publish(first[0], b"start")
    pool.release(first)
    with pytest.raises(MemoryError):
        pool.allocate(pool.match([b"start"]), 5)
    assert (pool.free, pool.held) == (5, 0)
    assert pool.match([b"start"]) == [first[0]], "a refusal must not evict"


def test_a_cached_page_cannot_be_shared_and_evicted_at_once() -> None:
    pool = PagePool(4, 16)
    [page] = pool.allocate([], 1)
    pool.publish(page, b"start")
    pool.release([page])
    pages = pool.allocate(pool.match([b"start"]), 2)
    assert len(set(pages)) == 3
    assert pages[0] == page


def test_match_stops_at_the_first_unknown_page() -> None:
    pool = PagePool(6, 16)
    pages = pool.allocate([], 3)
    for page, digest in zip(pages, (b"a", b"b", b"c"), strict=True):
        pool.publish(page, digest)
    assert pool.match([b"a", b"b", b"c"]) == pages
    assert pool.match([b"a", b"x", b"c"]) == pages[:1]
    assert pool.match([b"x", b"a"]) == []


def test_the_longest_unused_content_goes_first_and_the_start_of_a_prompt_last() -> None:
    pool = PagePool(5, 16)
    old = pool.allocate([], 2)
    new = pool.allocate([], 2)
    for page, digest in zip(old + new, (b"old 0", b"old 1", b"new 0", b"new 1"), strict=True):
        pool.publish(page, digest)
    pool.release(old)
    pool.release(new)
    pool.allocate([], 1)
    assert pool.match([b"old 0", b"old 1"]) == [old[0]]
    pool.allocate([], 1)
    assert pool.match([b"old 0"]) == []
    assert pool.match([b"new 0", b"new 1"]) == new


def test_releasing_more_often_than_holding_is_a_bug() -> None:
    pool = PagePool(3, 16)
    pages = pool.allocate([], 1)
    pool.release(pages)
    with pytest.raises(ValueError, match="released more often"):
        pool.release(pages)


def test_the_first_page_of_a_content_wins() -> None:
    pool = PagePool(4, 16)
    one, two = pool.allocate([], 2)
    pool.publish(one, b"same")
    pool.publish(two, b"same")
    assert pool.match([b"same"]) == [one]
    pool.publish(one, b"other")
    assert pool.match([b"other"]) == [], "a page has one content"


def test_a_forgotten_page_is_not_found_and_still_belongs_to_its_holders() -> None:
    pool = PagePool(3, 16)
    [page] = pool.allocate([], 1)
    pool.publish(page, b"bad")
    pool.forget(page)
    assert pool.match([b"bad"]) == []
    assert pool.held == 1
    pool.release([page])
    assert (pool.free, pool.held) == (2, 0)
    pool.forget(page)  # a free page: nothing to do
    assert sorted(pool.allocate([], 2)) == [1, 2]


def test_hashes_name_everything_up_to_a_pages_end() -> None:
    tokens = np.arange(5 * 4 * 8, dtype=np.int32)
    hashes = page_hashes(tokens.tobytes(), 4 * 8, 4)
    assert len(hashes) == 5
    assert len(set(hashes)) == 5
    assert page_hashes(tokens[:-1].tobytes(), 4 * 8, 4) == hashes[:4], "an unfilled page has no name"
    assert page_hashes(tokens[: 3 * 32].tobytes(), 4 * 8, 4) == hashes[:3]
    changed = tokens.copy()
    changed[40] += 1  # in the second page
    other = page_hashes(changed.tobytes(), 4 * 8, 4)
    assert other[0] == hashes[0]
    assert not set(other[1:]) & set(hashes), "what follows a change is another content"


def test_equal_pages_at_other_places_have_other_names() -> None:
    tokens = np.tile(np.arange(32, dtype=np.int32), 3)
    assert len(set(page_hashes(tokens.tobytes(), 4 * 8, 4))) == 3


class PoolAgainstModel(RuleBasedStateMachine):
    """Random holders of prompts drawn from few contents; the model keeps what each page holds and who holds it."""

    PAGES = 12

    def __init__(self) -> None:
        super().__init__()
        self.pool = PagePool(self.PAGES, 16)
        self.holders: list[list[int]] = []
        self.contents: dict[int, bytes] = {}  # page -> content written by its last owner
        self.poisoned: set[bytes] = set()

    @rule(prompt=st.lists(st.sampled_from("abc"), max_size=5), extra=st.integers(0, 4))
    def admit(self, prompt: list[str], extra: int) -> None:
        hashes = ["".join(prompt[: n + 1]).encode() for n in range(len(prompt))]
        shared = self.pool.match(hashes)
        for page, digest in zip(shared, hashes, strict=False):
            assert self.contents[page] == digest, "a page with other content was found"
            assert digest not in self.poisoned
        before = (self.pool.free, self.pool.held)
        fresh = len(prompt) - len(shared) + extra
        try:
            pages = self.pool.allocate(shared, fresh)
        except MemoryError:
            assert (self.pool.free, self.pool.held) == before
            assert fresh > self.pool.free - sum(1 for page in shared if self._count()[page] == 0)
            return
        assert pages[: len(shared)] == shared
        assert not set(pages[len(shared) :]) & set(self._count()), "a page that somebody holds was handed out"
        for page in pages[len(shared) :]:
            self.contents.pop(page, None)
        for page, digest in list(zip(pages, hashes, strict=False))[len(shared) :]:
            self.contents[page] = digest
            self.poisoned.discard(digest)
            self.pool.publish(page, digest)
        self.holders.append(pages)

    @precondition(lambda self: self.holders)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        pages = self.holders.pop(data.draw(st.integers(0, len(self.holders) - 1)))
        self.pool.release(pages)

    @rule(page=st.integers(1, PAGES - 1))
    def forget(self, page: int) -> None:
        named = self.contents.get(page)
        self.pool.forget(page)
        if named is not None and self.pool.match([named]) == []:
            self.contents.pop(page)

    @rule()
    def fill_up(self) -> None:
        self.holders.append(self.pool.allocate([], self.pool.free))
        for page in self.holders[-1]:
            self.contents.pop(page, None)

    def _count(self) -> Counter[int]:
        return Counter(page for pages in self.holders for page in pages)

    @invariant()
    def every_page_is_held_or_free(self) -> None:
        count = self._count()
        assert TRASH_PAGE not in count
        assert self.pool.held == len(count)
        assert self.pool.free == self.PAGES - 1 - len(count)
        for page in range(1, self.PAGES):
            assert self.pool.is_shared(page) == (count[page] > 1)
        assert all(len(set(pages)) == len(pages) for pages in self.holders)


TestPoolAgainstModel = PoolAgainstModel.TestCase
TestPoolAgainstModel.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
