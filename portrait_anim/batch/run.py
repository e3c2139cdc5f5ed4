"""Makes the films of a list with a crew of workers, keeps account of them, and goes on where an earlier run ended."""

from __future__ import annotations

import logging
import os
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from portrait_anim.batch.crew import Crew
from portrait_anim.batch.cuts import Cuts
from portrait_anim.batch.film import SUFFIX, Outcome, Task, inputs_of, same_film
from portrait_anim.batch.jobs import Job
from portrait_anim.batch.places import inside, is_url, names_in
from portrait_anim.batch.results import DONE, FAILED, OPEN, Result, Results
from portrait_anim.errors import OutputError, PortraitAnimError
from portrait_anim.system.files import printable

logger = logging.getLogger(__name__)

LOCK = ".portrait_anim-batch.lock"


@dataclass(frozen=True)
class Summary:
    """How far a list is.

    Attributes:
        total: films of the list.
        made: films made by this run.
        skipped: films that were there already, of the same inputs and options.
        failed: films that could not be made.
    """

    total: int
    made: int = 0
    skipped: int = 0
    failed: int = 0

    @property
    def left(self) -> int:
        """Films that nobody has tried to make yet."""
        return self.total - self.made - self.skipped - self.failed


Report = Callable[[Summary, Result | None], None]


def run(
    jobs: Sequence[Job], out: str, crew_of: Callable[[int], Crew], report: Report, *, retry: int, overwrite: bool,
    longest_s: float | None = None,
) -> Summary:  # fmt: skip
    """Make the films and return how many there are; a film that fails never stops the others.

    Args:
        jobs: what to make.
        out: the folder or URL of the films, and of results.csv.
        crew_of: returns the workers, given for how many films; not called when nothing is left to do.
        report: is told after every film how far it is, and what became of it.
        retry: how many more tries a film gets whose worker died, or whose error may pass.
        overwrite: replace films that are there already.
        longest_s: a longer film is made in parts of this length, by several workers; None: films are whole.

    Raises:
        OutputError, StoreError: OUT cannot be used, or another batch is at work in it.
    """
    with _Lock(out):
        results = Results(out)
        try:
            return _Run(jobs, out, results, report, retry, longest_s).work(crew_of, overwrite=overwrite)
        finally:
            results.save()


class _Lock:
    """Keeps a second batch out of a folder; a killed one's lock is gone with it. Stores have no locks."""

    def __init__(self, out: str) -> None:
        self._folder = None if is_url(out) else Path(out)

    def __enter__(self) -> None:
        if self._folder is None:
            return
        import filelock

        name = printable(self._folder)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if not os.access(self._folder, os.W_OK | os.X_OK):
                raise OutputError(f"no permission to write in the folder {name}: choose another --out")
            self._lock = filelock.FileLock(self._folder / LOCK, timeout=0)
            self._lock.acquire()
        except filelock.Timeout as e:
            raise OutputError(f"another batch is at work in {name}: wait for it, or choose another --out") from e
        except OSError as e:
            raise OutputError(f"cannot make the folder {name} ({e.strerror}): choose another --out") from e

    def __exit__(self, *_: object) -> None:
        if self._folder is not None:
            self._lock.release()
            (self._folder / LOCK).unlink(missing_ok=True)


class _Run:
    def __init__(
        self, jobs: Sequence[Job], out: str, results: Results, report: Report, retry: int, longest_s: float | None
    ) -> None:
        self._jobs, self._out, self._results, self._report, self._retry = jobs, out, results, report, retry
        self._longest_s = longest_s
        self._made = self._skipped = self._failed = 0

    def work(self, crew_of: Callable[[int], Crew], *, overwrite: bool) -> Summary:
        waiting = deque(self._tasks(overwrite=overwrite))
        self._report(self._summary(), None)
        if not waiting:
            return self._summary()
        self._results.add(Result(task.job.id, OPEN) for task in waiting)  # from here on these films are this batch's
        tries: Counter[str] = Counter()
        with Cuts(self._out) as cuts, closing(crew_of(len(waiting))) as crew:
            working = 0
            while waiting or working:
                while waiting and crew.idle():
                    if cuts.known(waiting[0]):
                        crew.give(waiting[0])
                        working += 1
                    waiting.popleft()
                for task, answer in crew.wait():
                    working -= 1
                    tries[task.name] += 1
                    outcome = self._checked(task, answer)
                    if outcome.error is not None and outcome.passing and tries[task.name] <= self._retry:
                        logger.info("%s is tried again: %s", task.name, outcome.error)
                        waiting.append(replace(task, overwrite=True))  # what is there now is its own
                        continue
                    following, final = cuts.follow(task, outcome)
                    waiting.extendleft(reversed(following))  # what has begun is finished first
                    if final is not None:
                        self._finish(task, final)
        return self._summary()

    def _tasks(self, *, overwrite: bool) -> list[Task]:
        """Return what is to be made; films that are there are skipped, or refused if they are of something else."""
        names = names_in(self._out)
        tasks = []
        for job in self._jobs:
            before = self._results.lines.pop(job.id, None)
            again = overwrite or (before is not None and before.status == OPEN)
            task = Task(job, self._out, again, self._longest_s)
            there = job.id + SUFFIX in names
            if before is not None and before.status == DONE and not overwrite and self._same(task, before, names):
                self._results.lines[job.id] = before
                self._skipped += 1
            elif there and not task.overwrite:
                of = (
                    "of other inputs or options" if before is not None and before.status == DONE else "not of this list"
                )
                error = f"{printable(task.film)} is there already, {of}: allow --overwrite, or move it away"
                self._results.lines[job.id] = before or Result(job.id, FAILED, error=error)
                self._failed += 1
                self._report(self._summary(), Result(job.id, FAILED, error=error))
            else:
                self._results.lines[job.id] = Result(job.id, OPEN)
                tasks.append(task)
        return tasks

    @staticmethod
    def _same(task: Task, before: Result, names: set[str]) -> bool:
        try:
            return same_film(task.film, before.sha256, names) and before.inputs == inputs_of(task.job) != ""
        except PortraitAnimError:  # the store does not answer: the film's own try will tell
            return False

    def _checked(self, task: Task, answer: Outcome | str) -> Outcome:
        """Return an answer as an outcome; a film in a folder must be there."""
        if isinstance(answer, str):
            return Outcome(
                0, f"{answer}: see whether the photo or the sound is too large for this machine", passing=True
            )
        if answer.error is None and answer.plan is None and not is_url(self._out) and not Path(task.made).is_file():
            return Outcome(
                answer.seconds, "the film is on the machine that made it: give --out a URL, or a folder that all share"
            )
        return answer

    def _finish(self, task: Task, outcome: Outcome) -> None:
        for level, note in outcome.notes:
            logger.log(level if level >= logging.WARNING else logging.DEBUG, "%s: %s", task.job.id, note)
        result = Result(
            task.job.id, DONE if outcome.error is None else FAILED, f"{outcome.seconds:.2f}", outcome.error or "",
            outcome.sha256, outcome.content_id, outcome.inputs,
        )  # fmt: skip
        self._made += outcome.error is None
        self._failed += outcome.error is not None
        self._results.add([result])
        self._report(self._summary(), result)

    def _summary(self) -> Summary:
        return Summary(len(self._jobs), self._made, self._skipped, self._failed)


def out_of(given: str) -> str:
    """Return where films go, as a whole path or a URL without a slash at its end."""
    from portrait_anim.batch.places import place_of

    place = place_of(given, Path.cwd())
    return inside(place, "").rstrip("/") if is_url(place) else place
