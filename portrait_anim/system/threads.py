"""Computes results ahead in threads and gives them in order; limits how many threads a process uses."""

from __future__ import annotations

import os
import sys
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


def limit_threads(count: int) -> None:
    """Let the libraries of this process use ``count`` threads each; to be called before they are imported.

    Several processes share a machine's cores: pools that each took all of them would wait for each other.
    """
    for variable in (
        "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENCV_FOR_THREADS_NUM",
    ):  # fmt: skip
        os.environ[variable] = str(count)
    for name, setter in (("torch", "set_num_threads"), ("cv2", "setNumThreads")):  # if they are there already
        if (library := sys.modules.get(name)) is not None:
            getattr(library, setter)(count)
