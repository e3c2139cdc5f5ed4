"""One budget of threads: results are made ahead in two and given in order; libraries get one thread each."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_LIBRARIES = {"torch": ("get_num_threads", "set_num_threads"), "cv2": ("getNumThreads", "setNumThreads")}

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


_budget = threading.Lock()
_before: dict[str, int] = {}  # what the libraries used before the outermost block
_blocks = 0


@contextlib.contextmanager
def one_thread_each() -> Iterator[None]:
    """Let torch and OpenCV use one thread each in the block, whatever the environment says; then what they used before.

    Both cores are busy anyway: this package draws and hears in ``N_WORKERS`` threads of its own, and x264 has its own.
    Pools for tasks of a millisecond wake, spin and wait for each other: a live frame takes 18 ms with one thread and
    250 ms with two on a busy machine. LiteRT always gets one, and nothing compiled here runs in parallel.
    Blocks may overlap in several threads: the last one to end puts back what was.
    """
    global _blocks
    with _budget:
        _blocks += 1
        for name, (getter, setter) in _LIBRARIES.items():
            if name not in _before and (library := sys.modules.get(name)) is not None:
                _before[name] = getattr(library, getter)()
                getattr(library, setter)(1)
    try:
        yield
    finally:
        with _budget:
            _blocks -= 1
            while not _blocks and _before:
                name, count = _before.popitem()
                getattr(sys.modules[name], _LIBRARIES[name][1])(count)


def limit_threads(count: int) -> None:
    """Let the libraries of this process use ``count`` threads each; to be called before they are imported.

    Several processes share a machine's cores: pools that each took all of them would wait for each other.
    """
    for variable in (
        "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENCV_FOR_THREADS_NUM",
    ):  # fmt: skip
        os.environ[variable] = str(count)
    for name, (_, setter) in _LIBRARIES.items():  # if they are there already
        if (library := sys.modules.get(name)) is not None:
            getattr(library, setter)(count)
