"""Keeps account of KV pages as numbers: who holds which page, and which finished page can serve another prompt.

Pure Python. A page holds the keys and values of `page_size` consecutive positions. Pages are reference-counted, and a
full page is known by the hash of everything up to its end, so that two prompts with the same beginning share it. A page
nobody holds keeps its content until the room is needed (least recently used goes first).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from hashlib import blake2b

TRASH_PAGE = 0
"""The page that padding slots write to. It is never handed out."""


def page_hashes(tokens: memoryview | bytes, bytes_per_token: int, page_size: int) -> list[bytes]:
    """Return the chained hash of every full page of a token sequence given as contiguous bytes."""
    view = memoryview(tokens).cast("B")
    step = page_size * bytes_per_token
    hashes: list[bytes] = []
    previous = b""
    for start in range(0, len(view) - step + 1, step):
        previous = blake2b(view[start : start + step], digest_size=16, key=previous).digest()
        hashes.append(previous)
    return hashes


class PagePool:
    """Hands out reference-counted pages, and finds those whose content can be used again."""

    def __init__(self, num_pages: int, page_size: int) -> None:
        if num_pages < 2:
            raise ValueError(f"num_pages is {num_pages}; at least 2 are needed (page 0 takes padding writes)")
        self.page_size = page_size
        self.num_pages = num_pages
        self._references = [0] * num_pages
        self._hash_of: dict[int, bytes] = {}
        self._page_of: dict[bytes, int] = {}
        self._blank: deque[int] = deque(range(1, num_pages))
        self._idle: OrderedDict[int, None] = OrderedDict()  # cached content, no holder; oldest first

    @property
    def free(self) -> int:
        """Return how many pages can be allocated now. Cached pages that nobody holds count as free."""
        return len(self._blank) + len(self._idle)

    @property
    def held(self) -> int:
        """Return how many pages are held."""
        return self.num_pages - 1 - self.free

    def pages_for(self, positions: int) -> int:
        """Return how many pages `positions` positions take."""
        return -(-positions // self.page_size)

    def match(self, hashes: Sequence[bytes]) -> list[int]:
        """Return the longest run of cached pages that starts the sequence, without taking hold of them."""
        pages = []
        for digest in hashes:
            page = self._page_of.get(digest)
            if page is None:
                break
            pages.append(page)
        return pages

    def allocate(self, shared: Sequence[int], fresh: int, spare: int = 0) -> list[int]:
        """Take hold of `shared` (from `match`) and of `fresh` new pages, and leave `spare` free.

        Raises MemoryError where that is not possible, having taken nothing.
        """
        revived = sum(1 for page in shared if self._references[page] == 0)
        free = self.free - revived - spare
        if free < fresh:
            raise MemoryError(f"{fresh} pages wanted, {max(0, free)} free")
        for page in shared:
            self._hold(page)
        return [*shared, *(self._take() for _ in range(fresh))]

    def publish(self, page: int, digest: bytes) -> None:
        """Let others find a held, fully written page by its hash. The first page with this content wins."""
        if digest not in self._page_of and page not in self._hash_of:
            self._page_of[digest] = page
            self._hash_of[page] = digest

    def release(self, pages: Sequence[int]) -> None:
        """Let go of pages, the last first, so that the start of a prompt outlives its end.

        Raises ValueError for a page that is not held.
        """
        for page in reversed(pages):
            if self._references[page] <= 0:
                raise ValueError(f"page {page} released more often than held")
            self._references[page] -= 1
            if self._references[page] == 0:
                if page in self._hash_of:
                    self._idle[page] = None
                else:
                    self._blank.append(page)

    def is_shared(self, page: int) -> bool:
        """Tell whether more than one holder reads this page."""
        return self._references[page] > 1

    def forget(self, page: int) -> None:
        """Make sure that this page's content is never used again, since it may be poisoned."""
        digest = self._hash_of.pop(page, None)
        if digest is not None:
            del self._page_of[digest]
        if page in self._idle:
            del self._idle[page]
            self._blank.append(page)

    def _hold(self, page: int) -> None:
        if self._references[page] == 0:
            del self._idle[page]
        self._references[page] += 1

    def _take(self) -> int:
        if self._blank:
            page = self._blank.popleft()
        else:
            page, _ = self._idle.popitem(last=False)
            del self._page_of[self._hash_of.pop(page)]
        self._references[page] = 1
        return page
