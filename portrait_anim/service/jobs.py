"""A film that somebody asked for, and the folder in which such jobs outlive the program.

``FOLDER/ID/job.json`` holds one job; beside it lie its uploads until it is finished, then the film until it is fetched.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from filelock import FileLock, Timeout

from portrait_anim.errors import OutputError
from portrait_anim.system.files import printable

logger = logging.getLogger(__name__)

QUEUED, WORKING, DONE, FAILED, CANCELLED = STATES = ("queued", "working", "done", "failed", "cancelled")
FINISHED = (DONE, FAILED, CANCELLED)
MAX_STARTS = 2  # of the work on one job: it is begun again once after the program was killed
FILM = "film.mp4"
_JOB, _LOCK, _NEW = "job.json", ".lock", ".new-"
_NOT_KEPT = {"step", "share", "seconds_left"}
_ID_BYTES = 16
_ID = re.compile(rf"[0-9a-f]{{{2 * _ID_BYTES}}}")
COPY_BYTES = 1 << 20  # at a time


@dataclass
class Job:
    """One film to make.

    Attributes:
        choices: keywords of :func:`portrait_anim.animate` that name no file but those of ``morph``.
        files: which uploads lie in the job's folder: keyword -> name, or a list of names.
        id: random, 32 hexadecimal digits.
        state: one of :data:`STATES`.
        created_s, finished_s: Unix times.
        starts: how often the work was begun.
        error: one line, of a failed job.
        notes: what the command line shows as ``note:`` and ``warning:``.
        film: of a finished one: duration_s, n_frames, fps, width, height, bytes.
        fetched: the film was fetched, and is gone.
        step, share, seconds_left: how far the work is, 0 to 1; the seconds are known while frames are drawn.
    """

    choices: dict[str, Any]
    files: dict[str, Any] = field(default_factory=dict)
    id: str = field(default_factory=lambda: secrets.token_hex(_ID_BYTES))
    state: str = QUEUED
    created_s: float = field(default_factory=time.time)
    finished_s: float | None = None
    starts: int = 0
    error: str | None = None
    notes: list[str] = field(default_factory=list)
    film: dict[str, float] | None = None
    fetched: bool = False
    step: str | None = None
    share: float = 0.0
    seconds_left: float | None = None


@dataclass(frozen=True)
class Upload:
    """A file that belongs to a job.

    Attributes:
        keyword: of :func:`portrait_anim.animate` that takes it: photo, audio, actor, motion or morph.
        name: what it is called in the job's folder.
        content: open for reading.
    """

    keyword: str
    name: str
    content: BinaryIO


Check: TypeAlias = Callable[[Upload, Path], None]


class JobFolder:
    """The jobs on the disk; one program at a time uses a folder.

    Raises:
        OutputError: the folder cannot be made or written, or another program uses it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).absolute()
        name = printable(self.path)
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = FileLock(self.path / _LOCK)
            self._lock.acquire(timeout=0)
        except Timeout as e:
            raise OutputError(f"the jobs in {name} belong to a running program: give another folder") from e
        except OSError as e:
            raise OutputError(f"cannot keep jobs in {name} ({e.strerror}): give another folder") from e
        for path in self.path.iterdir():
            no_job = _ID.fullmatch(path.name) and not (path / _JOB).exists()  # deleted while something was written
            if path.name.startswith(_NEW) or no_job:
                shutil.rmtree(path, ignore_errors=True)

    def close(self) -> None:
        """Let another program use the folder."""
        self._lock.release()

    def of(self, job: Job) -> Path:
        """Return a job's own folder."""
        return self.path / job.id

    def load(self) -> Iterator[Job]:
        """Yield the jobs, the oldest first; what cannot be read is told in the log and left alone."""
        known = {part.name for part in fields(Job)}
        found = []
        for path in self.path.glob(f"*/{_JOB}"):
            try:
                kept = json.loads(path.read_text("utf-8"))
                job = Job(**{name: value for name, value in kept.items() if name in known})
                if job.id != path.parent.name or job.state not in STATES:
                    raise ValueError("not written by this program")
                found.append(job)
            except (OSError, ValueError, TypeError, AttributeError) as e:
                logger.warning("the job %s cannot be read (%s): it is left alone", printable(path), e)
        yield from sorted(found, key=lambda job: job.created_s)

    def add(self, job: Job, uploads: Sequence[Upload], check: Check | None = None) -> None:
        """Keep a new job with its uploads: all of it, or nothing.

        Args:
            job: the new one.
            uploads: its files.
            check: called with each upload and its file; what it raises ends this.

        Raises:
            OutputError: the disk does not take it.
        """
        new = self.path / f"{_NEW}{job.id}"
        try:
            new.mkdir(mode=0o700)
            for upload in uploads:
                with (new / upload.name).open("wb") as file:
                    shutil.copyfileobj(upload.content, file, COPY_BYTES)
                if check is not None:
                    check(upload, new / upload.name)
            self._write(job, new)
            new.rename(self.of(job))
        except BaseException as e:
            shutil.rmtree(new, ignore_errors=True)
            if not isinstance(e, OSError):
                raise
            raise OutputError(f"cannot keep what was sent ({e.strerror}): free some space on the server") from e

    def save(self, job: Job) -> None:
        """Keep how a job stands. A disk that does not take it is told in the log: the work goes on."""
        try:
            self._write(job, self.of(job))
        except OSError as e:
            logger.warning("cannot keep how job %s stands (%s): free some space", job.id, e.strerror)

    def _write(self, job: Job, folder: Path) -> None:
        kept = {name: value for name, value in asdict(job).items() if name not in _NOT_KEPT}
        temporary = folder / f".{_JOB}"
        try:
            with temporary.open("w", encoding="utf-8") as file:
                json.dump(kept, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(folder / _JOB)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise

    def clear(self, job: Job, *, film: bool = True) -> None:
        """Delete a job's uploads and what is half written; ``film``: the film too."""
        kept = {_JOB} if film else {_JOB, FILM}
        with contextlib.suppress(OSError):
            for path in self.of(job).iterdir():
                if path.name not in kept:
                    path.unlink(missing_ok=True)

    def forget(self, job: Job) -> None:
        """Delete all of a job."""
        shutil.rmtree(self.of(job), ignore_errors=True)
