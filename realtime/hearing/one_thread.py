"""Loads a library that computes on OpenMP threads so that it uses the caller's thread alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

_LIMIT = "OMP_THREAD_LIMIT"


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit OpenMP to one thread in each library that is first imported in this context.

    OpenMP reads the limit from the environment as it is loaded. Four threads that wait for each other take five times
    as long over a small net. Afterwards the variable is as it was before, since processes that are started inherit it.
    """
    before = os.environ.get(_LIMIT)
    os.environ[_LIMIT] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_LIMIT]
        else:
            os.environ[_LIMIT] = before
