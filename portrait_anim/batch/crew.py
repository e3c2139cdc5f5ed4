"""Workers that make films: what a crew must be able to do, and one of processes on this machine."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
from multiprocessing import connection
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from portrait_anim.batch.film import Outcome, Task, make
from portrait_anim.batch.places import is_url
from portrait_anim.errors import DependencyError
from portrait_anim.system.files import remove_unfinished
from portrait_anim.system.threads import limit_threads

logger = logging.getLogger(__name__)

WAIT_S = 1.0
STOP_S = 10.0  # a worker has to clean up after itself; then it is killed
MAX_IDLE_DEATHS = 5  # of workers that never made a film


class Crew(Protocol):
    """Workers that hold the nets and make one film at a time each."""

    def idle(self) -> int:
        """Return how many workers can take a film now."""
        ...

    def give(self, task: Task) -> None:
        """Give a task to an idle worker."""
        ...

    def wait(self) -> list[tuple[Task, Outcome | str]]:
        """Wait a while for something to happen: outcomes, and for tasks whose worker died why it did."""
        ...

    def close(self) -> None:
        """End all workers, whatever they do; a film that is not finished leaves nothing."""
        ...


class _Worker:
    """One process and the pipe to it."""

    def __init__(self, context: Any, threads: int) -> None:
        self.pipe, theirs = context.Pipe()
        self.task: Task | None = None
        self.process = context.Process(target=_work, args=(theirs, threads), name="portrait_anim-worker", daemon=True)
        self.process.start()
        theirs.close()

    def died(self) -> str:
        """Return how the process ended."""
        self.process.join(STOP_S)
        code = self.process.exitcode
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                return f"its worker was ended by {signal.Signals(-code).name}"
        return f"its worker ended with status {code}"


class LocalCrew:
    """Processes on this machine, each started anew (spawn), with the nets of its own and a share of the cores.

    Args:
        workers: how many.
        out: where the films go; what a killed worker leaves there is removed.
        threads: that each may use for its nets.
    """

    def __init__(self, workers: int, out: str, threads: int = 1) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._threads, self._out = threads, out
        self._idle_deaths = 0
        self._workers = [_Worker(self._context, threads) for _ in range(workers)]

    def idle(self) -> int:
        """Return how many workers can take a film now."""
        return sum(worker.task is None for worker in self._workers)

    def give(self, task: Task) -> None:
        """Give a task to an idle worker."""
        worker = next(worker for worker in self._workers if worker.task is None)
        worker.task = task
        with contextlib.suppress(OSError):  # it died: wait() sees that
            worker.pipe.send(task)

    def wait(self) -> list[tuple[Task, Outcome | str]]:
        """Wait up to a second for outcomes and deaths; a worker that died is replaced.

        Raises:
            DependencyError: workers die before they have a film to make.
        """
        waited: list[Any] = [worker.pipe for worker in self._workers if worker.task is not None]
        waited += [worker.process.sentinel for worker in self._workers]
        ready = set(connection.wait(waited, WAIT_S))
        happened: list[tuple[Task, Outcome | str]] = []
        for number, worker in enumerate(self._workers):
            if not {worker.pipe, worker.process.sentinel} & ready:
                continue
            task, answer = worker.task, None
            with contextlib.suppress(EOFError, OSError):
                answer = worker.pipe.recv() if worker.pipe.poll() else None
            if answer is None:
                answer = worker.died()
                self._replace(number)
            else:
                worker.task = None
            if task is not None:
                happened.append((task, answer))
        return happened

    def _replace(self, number: int) -> None:
        worker = self._workers[number]
        if worker.task is None:
            self._idle_deaths += 1
            if self._idle_deaths > MAX_IDLE_DEATHS:
                raise DependencyError("workers end as soon as they start: try the command animate with one of the rows")
        self._tidy(worker)
        self._workers[number] = _Worker(self._context, self._threads)

    def _tidy(self, worker: _Worker) -> None:
        worker.pipe.close()
        if not is_url(self._out) and worker.process.pid is not None:
            remove_unfinished(Path(self._out), worker.process.pid)

    def close(self) -> None:
        """End all workers, whatever they do; a film that is not finished leaves nothing."""
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join(STOP_S)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join(STOP_S)
            self._tidy(worker)
        self._workers = []


def _work(pipe: Any, threads: int) -> None:
    """Make films until the pipe is closed. The nets are loaded with the first of them and kept."""

    def end(signum: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the first process decides
    signal.signal(signal.SIGTERM, end)
    limit_threads(threads)
    with contextlib.suppress(KeyboardInterrupt, EOFError, OSError):
        while True:
            pipe.send(make(pipe.recv()))


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
