"""Films that are made in parts, as the process sees them that hands out the work: what is to be done after what."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from pathlib import Path

from portrait_anim.batch.film import SUFFIX, Outcome, Share, Task
from portrait_anim.batch.places import inside, is_url, remove
from portrait_anim.errors import StoreError
from portrait_anim.system.files import hidden_name, remove_orphans


@dataclass
class _Cut:
    """A film in parts: the task that joins them, how many are still to be drawn, what was said so far."""

    join: Task
    left: int
    seconds: float
    notes: dict[tuple[int, str], None] = field(default_factory=dict)


class Cuts:
    """The films of a list that are being made in parts. Nothing of a part stays when the block ends.

    Args:
        out: the folder or URL of the films, where parts lie under hidden names.
    """

    def __init__(self, out: str) -> None:
        self._out = out
        self._cuts: dict[str, _Cut] = {}

    def __enter__(self) -> Cuts:
        if not is_url(self._out):
            remove_orphans(Path(self._out))  # parts of a list that was killed
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._cuts):
            self.drop(name)

    def known(self, task: Task) -> bool:
        """Whether a task is worth doing: a part of a film that failed is not."""
        return task.share is None or task.job.id in self._cuts

    def follow(self, task: Task, outcome: Outcome) -> tuple[list[Task], Outcome | None]:
        """Return what is to be done next, and what became of the film if that is decided.

        Args:
            task: what was done.
            outcome: how it ended; it is not tried again.
        """
        cut = self._cuts.get(task.job.id)
        if outcome.plan is not None:
            return self._begin(task, outcome), None
        if cut is None:  # a whole film; or a part of one that failed meanwhile
            if task.share is None:
                return [], outcome
            self._remove(task.made)
            return [], None
        cut.seconds += outcome.seconds
        cut.notes |= dict.fromkeys(outcome.notes)
        if task.made != task.film and outcome.error is None:
            cut.left -= 1
            return ([cut.join] if cut.left == 0 else []), None
        error = outcome.error and (outcome.error if task.made == task.film else f"{task.name}: {outcome.error}")
        self.drop(task.job.id)
        return [], replace(outcome, seconds=cut.seconds, notes=tuple(cut.notes), error=error)

    def _begin(self, task: Task, outcome: Outcome) -> list[Task]:
        assert outcome.plan is not None  # noqa: S101
        plan = outcome.plan
        count, name = len(plan.borders), hidden_name(Path(task.job.id + SUFFIX)).stem  # this process's: workers may die
        places = tuple(inside(self._out, f"{name}-{number:05d}{SUFFIX}") for number in range(count))
        join = replace(task, share=Share(plan, places, None))
        self._cuts[task.job.id] = _Cut(join, count, outcome.seconds, dict.fromkeys(outcome.notes))
        return [replace(task, share=Share(plan.part(number), places, number)) for number in range(count)]

    def drop(self, name: str) -> None:
        """Forget a film and remove its parts."""
        share = self._cuts.pop(name).join.share
        for place in () if share is None else share.places:
            self._remove(place)

    @staticmethod
    def _remove(place: str) -> None:
        with contextlib.suppress(OSError, StoreError):
            remove(place)
