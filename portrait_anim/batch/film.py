"""Makes one film of a list, in a worker: fetches what lies in a store, animates, puts the film where it belongs."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from portrait_anim.batch.jobs import Job, with_files
from portrait_anim.batch.places import fetch, inside, is_url, put, state_of
from portrait_anim.errors import OutputError, PortraitAnimError, StoreError
from portrait_anim.system.files import temporary_prefix

if TYPE_CHECKING:
    from portrait_anim.batch.parts import CutFilm, Plan

SUFFIX = ".mp4"
MAX_NOTES = 10  # of one film
PASSING = (OutputError, StoreError)  # errors that another try may not meet: a full disk, a store that is away
UNSEEN_OPTIONS = ("sign_key", "audit_log", "save_motion")  # they do not change the film
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Share:
    """What a worker does of a film that is cut.

    Attributes:
        plan: of the film; with the motion of one part, or of all where they are joined.
        places: of the parts, paths or URLs.
        number: of the part to draw; None: join them all.
    """

    plan: Plan
    places: tuple[str, ...]
    number: int | None


@dataclass(frozen=True)
class Task:
    """A job as a worker gets it.

    Attributes:
        job: what to make.
        out: the folder or URL it goes to.
        overwrite: replace a film that is there.
        longest_s: a film that is longer is not made but planned, in parts of this length; None: films are whole.
        share: what is to be done of a film that has been planned.
    """

    job: Job
    out: str
    overwrite: bool
    longest_s: float | None = None
    share: Share | None = None

    @property
    def film(self) -> str:
        """The film's place."""
        return inside(self.out, self.job.id + SUFFIX)

    @property
    def made(self) -> str:
        """The place of what is made: of the film, or of a part."""
        if self.share is None or self.share.number is None:
            return self.film
        return self.share.places[self.share.number]

    @property
    def name(self) -> str:
        """What messages call it, and what tries are counted by."""
        if self.share is None:
            return self.job.id
        return f"{self.job.id}, " + ("joining" if self.share.number is None else f"part {self.share.number + 1}")


@dataclass(frozen=True)
class Outcome:
    """What became of a task.

    Attributes:
        seconds: that it took.
        error: why there is no film, in one line; None: it is there.
        passing: whether another try may go better.
        sha256: of the film.
        content_id: that its marks carry, hexadecimal.
        inputs: the sum of everything the film depends on, see :func:`inputs_of`.
        notes: what the library logged: (level, line).
        plan: of a film that is to be made in parts; nothing has been written then.
    """

    seconds: float
    error: str | None = None
    passing: bool = False
    sha256: str = ""
    content_id: str = ""
    inputs: str = ""
    notes: tuple[tuple[int, str], ...] = ()
    plan: Plan | None = None


def never() -> bool:
    """Say that a film is not to be stopped."""
    return False


def make(task: Task, stopped: Callable[[], bool] = never) -> Outcome:
    """Make a task's film. Whatever happens is in the outcome.

    Args:
        task: what to make.
        stopped: is asked with every frame; once it says yes, KeyboardInterrupt is raised and nothing is left behind.
    """
    start = time.perf_counter()
    notes: list[tuple[int, str]] = []
    with _kept(notes):
        try:
            if task.job.error is not None:
                raise PortraitAnimError(task.job.error)
            outcome = _made(task, stopped)
        except PortraitAnimError as e:
            outcome = Outcome(0, " ".join(str(e).split()), isinstance(e, PASSING))
        except Exception as e:  # a bug, no memory, a broken disk: the other films go on
            outcome = Outcome(0, f"{type(e).__name__}: {' '.join(str(e).split())}", passing=True)
    return replace(outcome, seconds=time.perf_counter() - start, notes=tuple(notes))


def _made(task: Task, stopped: Callable[[], bool]) -> Outcome:
    from portrait_anim.batch.parts import CutFilm
    from portrait_anim.pipeline import animate
    from portrait_anim.provenance.manifest import read_manifest

    def watch(step: str, done: int, total: int) -> None:
        if stopped():
            raise KeyboardInterrupt

    part = task.made != task.film
    inputs = "" if part else inputs_of(task.job)
    with contextlib.ExitStack() as stack:
        here = Here(stack)
        try:
            photo = here(task.job.photo)
            sounds = [place if part else here(place) for place in task.job.audio]  # a part is silent
            options = with_files(task.job.options, here)
            if options.get("morph") is not None:
                options["morph"] = [
                    (place if face is None else f"{place}#{face}", second, length)
                    for place, second, length, face in options["morph"]
                ]
            made = here.new(Path(task.made).name) if is_url(task.out) else Path(task.made)
            if task.longest_s is None:
                animate(photo, list(sounds) or None, made, **options, progress=watch, overwrite=task.overwrite)
            else:
                plan = _shared(task, CutFilm(photo, sounds, options, watch), made, here)
                if plan is not None:
                    return Outcome(0, plan=plan)
        except PortraitAnimError as e:
            raise type(e)(here.named(str(e))) from e
        sha256, content_id = ("", None) if part else (_sha256(made), read_manifest(made).content_id)
        if is_url(task.out):
            put(made, task.made)
    return Outcome(0, None, False, sha256, "" if content_id is None else f"{content_id:08x}", inputs)


def _shared(task: Task, film: CutFilm, made: Path, here: Here) -> Plan | None:
    """Do a worker's share of a film, or plan it."""
    share = task.share
    if share is None:
        assert task.longest_s is not None  # noqa: S101
        return film.plan(made, task.longest_s, overwrite=task.overwrite)
    if share.number is not None:
        film.part(share.plan, share.number, made)
    else:
        film.join(share.plan, here.together(share.places), made, overwrite=task.overwrite)
    return None


class Here:
    """Brings places to this machine: paths stay what they are, URLs are fetched once into a folder that goes with it.

    Args:
        stack: is left when the copies are not needed any more.
    """

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack
        self._copies: dict[str, str] = {}

    def __call__(self, place: str) -> str:
        """Return the path at which a place can be read."""
        if not is_url(place):
            return place
        if place not in self._copies:
            self._copies[place] = str(fetch(place, self._folder()))
        return self._copies[place]

    def together(self, places: Sequence[str]) -> list[Path]:
        """Return the paths at which places can be read that lie in one folder, or copies of them that do."""
        if not any(is_url(place) for place in places):
            return [Path(place) for place in places]
        folder = self._folder()
        return [fetch(place, folder) for place in places]

    def new(self, name: str) -> Path:
        """Return the path of a file to be written."""
        return self._folder() / name

    def named(self, message: str) -> str:
        """Return a message with the places as the user knows them."""
        for place, copy in self._copies.items():
            message = message.replace(copy, place)
        return message

    def _folder(self) -> Path:
        folder = tempfile.TemporaryDirectory(prefix=temporary_prefix(), ignore_cleanup_errors=True)
        return Path(self._stack.enter_context(folder))


def inputs_of(job: Job) -> str:
    """Return the sum of everything a film depends on: its files' bytes and its options. Empty: a file is not there.

    Objects in a store are not fetched for it: the store's own sums stand for them.

    Raises:
        StoreError: a store cannot be reached.
    """
    try:
        record = {
            "files": [_state(place) for place in (job.photo, *job.audio)],
            "options": {
                name: value for name, value in with_files(job.options, _state).items() if name not in UNSEEN_OPTIONS
            },
        }
    except OSError:
        return ""
    return hashlib.sha256(json.dumps(record, sort_keys=True, default=str).encode()).hexdigest()


def _state(place: str) -> str:
    return state_of(place) if is_url(place) else _sha256(Path(place))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def same_film(place: str, sha256: str, names: Sequence[str] | set[str]) -> bool:
    """Whether the film that was made is still there: of a store its name is enough, of a folder its bytes count."""
    if place.rsplit("/", 1)[-1] not in names:
        return False
    try:
        return is_url(place) or _sha256(Path(place)) == sha256
    except OSError:
        return False


class _Notes(logging.Handler):
    def __init__(self, notes: list[tuple[int, str]]) -> None:
        super().__init__(logging.INFO)
        self._notes = notes

    def emit(self, record: logging.LogRecord) -> None:
        note = record.levelno, " ".join(record.getMessage().split())
        if len(self._notes) < MAX_NOTES and note not in self._notes:
            self._notes.append(note)


@contextlib.contextmanager
def _kept(notes: list[tuple[int, str]]) -> Iterator[None]:
    """Keep what the library logs in the block, for the process that shows it."""
    log = logging.getLogger("portrait_anim")
    handler, before, level = _Notes(notes), log.propagate, log.level
    log.addHandler(handler)
    log.propagate = False
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.propagate = before
        log.setLevel(level)
