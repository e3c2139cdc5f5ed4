"""Computes results ahead in threads and gives them in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

N_WORKERS = 2
MAX_AHEAD = N_WORKERS + 2  # results being made or ready but not taken yet; limits the memory


def in_order(make: Callable[[int], T], count: int) -> Generator[T, None, None]:
    """Yield ``make(0)`` to ``make(count - 1)``, made in two threads, never more than ``MAX_AHEAD`` ahead."""
    pool = ThreadPoolExecutor(N_WORKERS, thread_name_prefix="render")
    pending: deque[Future[T]] = deque()
    try:
        for i in range(count):
            if len(pending) == MAX_AHEAD:
                yield pending.popleft().result()
            pending.append(pool.submit(make, i))
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
