"""The queue of films: the page and the HTTP service both put their jobs into it."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from portrait_anim.errors import BusyError
from portrait_anim.service.jobs import (
    CANCELLED,
    DONE,
    FAILED,
    FILM,
    FINISHED,
    MAX_STARTS,
    QUEUED,
    WORKING,
    Check,
    Job,
    JobFolder,
    Upload,
)
from portrait_anim.service.worker import FilmError, StoppedError, Task, Worker

logger = logging.getLogger(__name__)

MAX_QUEUED = 20
KEEP_S = 24 * 3600.0  # s that a finished job and its film are kept
SWEEP_S = 60.0  # s from one search for older ones to the next
STEP_SHARES = {"starting": (0.0, 0.02), "reading": (0.02, 0.05), "listening": (0.05, 0.25), "drawing": (0.25, 0.98),
               "signing": (0.98, 1.0)}  # fmt: skip
"""Where in the whole each step begins and ends: rough, it depends on the photo's size and the sound's length."""


class FilmQueue:
    """Jobs, and the processes that work on them in the order in which they came.

    A context manager. Jobs outlive it in their folder: those that were waiting, and those that were being made, are
    taken up by the next queue of the folder.

    Args:
        folder: of the jobs.
        workers: how many films are made at a time, each in a process of its own.
        max_queued: how many may wait; more are refused.
        keep_s: how long a finished job and its film are kept.
        choices: keywords of :func:`portrait_anim.animate` of every film, such as ``sign_cert``.

    Raises:
        OutputError: see :class:`portrait_anim.service.jobs.JobFolder`.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        workers: int = 1,
        max_queued: int = MAX_QUEUED,
        keep_s: float = KEEP_S,
        choices: Mapping[str, Any] | None = None,
    ) -> None:
        self._folder = JobFolder(folder)
        self._max_queued, self._keep_s, self._choices = max_queued, keep_s, dict(choices or {})
        self._jobs: dict[str, Job] = {}
        self._waiting: deque[Job] = deque()
        self._changed = threading.Condition()  # holds for all of the above
        self._closing = threading.Event()
        self._drawing_since_s: dict[str, float] = {}
        for job in self._folder.load():
            self._take_up(job)
        self._sweep()
        self._threads = [threading.Thread(target=self._work, daemon=True, name="films") for _ in range(workers)]
        for thread in (*self._threads, threading.Thread(target=self._sweep_often, daemon=True, name="sweep")):
            thread.start()

    def _take_up(self, job: Job) -> None:
        """Take a job from the folder: one on which the last program worked when it was killed is begun again once."""
        self._jobs[job.id] = job
        if job.state == WORKING and job.starts >= MAX_STARTS:
            self._finish(job, FAILED, error=f"the server ended {job.starts} times while it made this film: send less")
        elif job.state not in FINISHED:
            job.state = QUEUED
            self._waiting.append(job)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the work. What was being made will be begun anew by the next queue of the folder."""
        with self._changed:
            self._closing.set()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        self._folder.close()

    def check_room(self) -> None:
        """Raise BusyError unless one more job may wait."""
        with self._changed:
            n_queued = sum(job.state == QUEUED for job in self._jobs.values())
        if n_queued >= self._max_queued:
            raise BusyError(f"{n_queued} films are waiting, as many as may: come back later")

    def add(self, choices: Mapping[str, Any], uploads: Sequence[Upload], check: Check | None = None) -> Job:
        """Put a film into the queue.

        Args:
            choices: checked keywords of :func:`portrait_anim.animate`.
            uploads: photo, sounds and other files; several of a keyword in their order.
            check: called with each upload and where it lies; what it raises is raised, and nothing is kept.

        Raises:
            BusyError: as many films are waiting as may.
            OutputError: the disk does not take the uploads.
        """
        job = Job(dict(choices))
        for upload in uploads:
            if upload.keyword in ("audio", "motion"):
                job.files.setdefault(upload.keyword, []).append(upload.name)
            elif upload.keyword != "morph":
                job.files[upload.keyword] = upload.name
        with self._changed:
            self.check_room()
            self._jobs[job.id] = job
        try:
            self._folder.add(job, uploads, check)
        except BaseException:
            with self._changed:
                del self._jobs[job.id]
            raise
        with self._changed:
            self._waiting.append(job)
            self._changed.notify()
        return job

    def get(self, id: str) -> Job | None:
        """Return a job; None for one that is not known, or not any more."""
        with self._changed:
            return self._jobs.get(id)

    def place(self, job: Job) -> int | None:
        """Return how many films are made before a waiting one; None for one that does not wait."""
        with self._changed:
            return self._waiting.index(job) if job in self._waiting else None

    def status(self, job: Job) -> dict[str, Any]:
        """Return a job's attributes and its place, all of the same moment."""
        with self._changed:
            return {**vars(job), "notes": list(job.notes), "place": self.place(job)}

    def film(self, job: Job) -> Path:
        """Return where a job's film is, or will be."""
        return self._folder.of(job) / FILM

    def fetched(self, job: Job) -> None:
        """Delete a film: it was fetched."""
        with self._changed:
            job.fetched = True
            self._folder.clear(job)
            if job.id in self._jobs:  # not forgotten meanwhile
                self._folder.save(job)

    def cancel(self, job: Job) -> None:
        """Stop a job that waits or is being made. A finished one is forgotten, with its film."""
        with self._changed:
            if job.state in FINISHED:
                self._forget(job)
                return
            waited = job in self._waiting
            if waited:
                self._waiting.remove(job)
            self._finish(job, CANCELLED, clear=waited)  # its worker clears when it has stopped

    def forget_finished(self, *, but: int) -> None:
        """Forget finished jobs except for the last ones."""
        with self._changed:
            finished = sorted(
                (job for job in self._jobs.values() if job.finished_s is not None), key=lambda job: job.finished_s or 0
            )
            for job in finished[: max(len(finished) - but, 0)]:
                self._forget(job)

    def _forget(self, job: Job) -> None:
        self._jobs.pop(job.id, None)
        self._folder.forget(job)

    def _finish(self, job: Job, state: str, *, clear: bool = True, **more: Any) -> None:
        job.finished_s, job.seconds_left, job.step = time.time(), None, None
        for name, value in more.items():
            setattr(job, name, value)
        job.state = state  # last: who sees it sees the rest
        self._folder.save(job)
        if clear:
            self._folder.clear(job, film=state != DONE)

    def _sweep(self) -> None:
        oldest_s = time.time() - self._keep_s
        with self._changed:
            for job in list(self._jobs.values()):
                if job.state in FINISHED and (job.finished_s or 0) < oldest_s:
                    self._forget(job)

    def _sweep_often(self) -> None:
        while not self._closing.wait(min(SWEEP_S, self._keep_s)):
            self._sweep()

    def _work(self) -> None:
        """Make films until the queue is closed: one of its threads."""
        worker = Worker(self._choices)
        try:
            while (job := self._next()) is not None:
                try:
                    self._make(job, worker)
                except Exception:  # of ours: this thread must go on
                    logger.exception("job %s", job.id)
                    with self._changed:
                        self._finish(job, FAILED, error="a bug: the server's log says more")
        finally:
            worker.close()

    def _next(self) -> Job | None:
        with self._changed:
            while not self._waiting and not self._closing.is_set():
                self._changed.wait()
            if self._closing.is_set():
                return None
            job = self._waiting.popleft()
            job.state, job.starts, job.error = WORKING, job.starts + 1, None
            job.notes.clear()
            self._folder.save(job)
            return job

    def _make(self, job: Job, worker: Worker) -> None:
        folder = self._folder.of(job)
        for left in folder.glob(".portrait_anim-*"):  # by a killed program
            left.unlink(missing_ok=True)
        task = Task(job.id, folder, job.choices, job.files, self.film(job))
        state, more = FAILED, dict[str, Any]()
        try:
            more["film"] = worker.make(
                task, partial(self._told, job), job.notes.append,
                lambda: job.state == CANCELLED or self._closing.is_set(),
            )  # fmt: skip
            state, more["share"] = DONE, 1.0
        except FilmError as e:
            more["error"] = str(e)
        except StoppedError:
            state = QUEUED
        with self._changed:
            if job.state == CANCELLED:
                self._folder.clear(job)
            elif state == QUEUED:  # the queue is being closed, which is no fault of the job's
                job.state, job.starts = QUEUED, job.starts - 1
                self._folder.save(job)
            else:
                self._finish(job, state, **more)

    def _told(self, job: Job, step: str, done: int, total: int) -> None:
        """Note how far the work is."""
        begins, ends = STEP_SHARES[step]
        now_s, left_s = time.monotonic(), None
        if step == "drawing":
            since_s = self._drawing_since_s.setdefault(job.id, now_s) if done > 1 else now_s
            self._drawing_since_s[job.id] = since_s
            if done > 2:
                left_s = round((total - done) * (now_s - since_s) / (done - 1), 1)
        else:
            self._drawing_since_s.pop(job.id, None)
        with self._changed:
            if job.state == WORKING:
                share = round(begins + (ends - begins) * done / max(total, 1), 3)
                job.step, job.share, job.seconds_left = step, max(share, job.share), left_s
