"""A crew of Ray actors on the machines of a cluster (extra ``ray``). Ray is imported here only, when it is asked for.

Retries are the list's own business (``run``): actors are never restarted by Ray, and no call is made twice by it. A
call that failed may have run all the same, which is harmless: a film takes its name when it is whole, and its own
earlier try may be replaced.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from portrait_anim.batch.film import Outcome, Task, make
from portrait_anim.batch.places import is_url
from portrait_anim.errors import DependencyError, StoreError
from portrait_anim.system.files import remove_unfinished
from portrait_anim.system.threads import limit_threads

logger = logging.getLogger(__name__)

WAIT_S = 1.0
STOP_S = 10.0  # actors have to clean up after themselves; then they are killed
KNOCK_S = 10.0
EMPTY_S = 300.0  # that a cluster may have no room for a single worker


class _Maker:
    """What an actor is: the nets, and one film at a time; it listens while it makes it."""

    def __init__(self, threads: int) -> None:
        limit_threads(threads)
        self._stopped = False

    def start(self) -> int:
        """Say that the actor is there; return its process."""
        return os.getpid()

    def make(self, task: Task) -> Outcome | None:
        """Make a film; None when it was stopped."""
        try:
            return make(task, lambda: self._stopped)
        except KeyboardInterrupt:
            return None

    def stop(self) -> None:
        """Stop the film at its next frame."""
        self._stopped = True


@dataclass
class _Worker:
    actor: Any
    waits_for: Any  # the reference of what it does: starting, or a film; None: idle
    process: int | None = None
    task: Task | None = None


class RayCrew:
    """Actors on the machines of a Ray cluster; one that dies is replaced wherever there is room.

    Args:
        address: of the cluster, as ``ray.init`` takes it: ``auto``, ``host:6379``, ``ray://host:10001``, ``local``.
        workers: how many at most; None: as many as the cluster has cores.
        films: how many there are to make: no more workers than that.
        out: where the films go.
        threads: cores of each worker.

    Raises:
        DependencyError: Ray is not installed, or the cluster cannot be reached.
    """

    def __init__(self, address: str, workers: int | None, films: int, out: str, threads: int = 1) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
        try:
            import ray
        except ImportError as e:
            raise DependencyError(f"Ray is not installed ({e}): pip install 'portrait-anim[ray]'") from e
        self._ray, self._out, self._threads = ray, out, threads
        self._began = not ray.is_initialized()
        if self._began:
            try:
                _knock(address)
                ray.init(address, logging_level=logging.ERROR, log_to_driver=False)
            except (ConnectionError, ValueError, RuntimeError, OSError) as e:
                reason = " ".join(str(e).split())
                raise DependencyError(f"no Ray cluster at {address} ({reason}): start it with ray start --head") from e
        there = int(ray.cluster_resources().get("CPU", 1)) // threads
        self._make = ray.remote(
            num_cpus=threads, max_restarts=0, max_task_retries=0, concurrency_groups={"control": 1}
        )(_remote_maker(ray))  # fmt: skip
        self._workers = [self._hired() for _ in range(max(1, min(workers or there, films)))]
        self._alone_since = time.monotonic()

    def _hired(self) -> _Worker:
        actor = self._make.remote(self._threads)
        return _Worker(actor, actor.start.remote())

    def idle(self) -> int:
        """Return how many workers can take a film now."""
        return sum(worker.waits_for is None for worker in self._workers)

    def give(self, task: Task) -> None:
        """Give a task to an idle worker."""
        worker = next(worker for worker in self._workers if worker.waits_for is None)
        worker.task, worker.waits_for = task, worker.actor.make.remote(task)

    def wait(self) -> list[tuple[Task, Outcome | str]]:
        """Wait up to a second for outcomes, deaths and new workers.

        Raises:
            StoreError: the cluster has had no room for a worker for minutes.
        """
        waited = [worker.waits_for for worker in self._workers if worker.waits_for is not None]
        ready, _ = self._ray.wait(waited, num_returns=1, timeout=WAIT_S)
        happened: list[tuple[Task, Outcome | str]] = []
        for number, worker in enumerate(self._workers):
            if worker.waits_for not in ready:
                continue
            task, worker.task = worker.task, None
            try:
                answer = self._ray.get(worker.waits_for)
            except self._ray.exceptions.RayError as e:  # its process or its machine is gone
                logger.debug("a worker died: %s", e)
                answer = f"its worker died ({type(e).__name__})"
                self._tidy(worker)
                self._workers[number] = self._hired()
            else:
                worker.waits_for = None
                if task is None:
                    worker.process = answer
            if task is not None:
                happened.append((task, answer if answer is not None else "its worker was stopped"))
        self._check_room()
        return happened

    def _check_room(self) -> None:
        if any(worker.process is not None for worker in self._workers):
            self._alone_since = time.monotonic()
        elif time.monotonic() - self._alone_since > EMPTY_S:
            raise StoreError(f"the cluster has had no room for a worker for {EMPTY_S:.0f} s: add a machine to it")

    def _tidy(self, worker: _Worker) -> None:
        """Make sure that a worker is gone, one that only could not be reached too, and remove what it left."""
        self._ray.kill(worker.actor)
        if worker.process is not None and not is_url(self._out) and Path(self._out).is_dir():
            remove_unfinished(Path(self._out), worker.process)

    def close(self) -> None:
        """End all workers; films are stopped at their next frame and leave nothing."""
        busy = [worker for worker in self._workers if worker.task is not None]
        with contextlib.suppress(self._ray.exceptions.RayError):
            for worker in busy:
                worker.actor.stop.remote()
            if busy:
                self._ray.wait([worker.waits_for for worker in busy], num_returns=len(busy), timeout=STOP_S)
        for worker in self._workers:
            self._tidy(worker)
        self._workers = []
        if self._began:
            self._ray.shutdown()


def _knock(address: str) -> None:
    """Raise OSError unless somebody answers there: Ray would try for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), KNOCK_S).close()


def _remote_maker(ray: Any) -> type:
    """Return :class:`_Maker` with ``stop`` in a thread of its own, so that it is heard while a film is made."""

    class Maker(_Maker):
        @ray.method(concurrency_group="control")  # type: ignore[untyped-decorator]
        def stop(self) -> None:
            super().stop()

    return Maker
