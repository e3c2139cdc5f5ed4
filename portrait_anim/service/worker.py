"""A process that makes films one after the other: its nets stay loaded, and it can be ended in the middle of anything.

The two sides talk through a pipe. To the process: a :class:`Task`, or the id of one to stop. From it: ``("progress",
step, done, total)``, ``("note", text)``, and at the end ``("done", facts)``, ``("failed", line)`` or ``("stopped",)``.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import queue
import signal
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from portrait_anim.errors import PortraitAnimError

logger = logging.getLogger(__name__)

POLL_S = 0.1  # between two looks whether the work shall stop; between two reports of drawn frames
STOP_S = 2.0  # for the work to end by itself; then its process is ended
OUT_OF_MEMORY = "out of memory: reduce the picture with max_size"


@dataclass(frozen=True)
class Task:
    """What the process makes.

    Attributes:
        id: of the job.
        folder: where its files lie.
        choices, files: as of a :class:`portrait_anim.service.jobs.Job`.
        film: the mp4 to write.
    """

    id: str
    folder: Path
    choices: dict[str, Any]
    files: dict[str, Any]
    film: Path

    def keywords(self) -> dict[str, Any]:
        """Return the keywords of :func:`portrait_anim.animate`, with paths; a text is spoken for it."""
        placed = {
            keyword: [str(self.folder / name) for name in names]
            if isinstance(names, list)
            else str(self.folder / names)
            for keyword, names in self.files.items()
        }
        chosen = dict(self.choices)
        if chosen.get("morph"):
            chosen["morph"] = [(str(self.folder / name), *when) for name, *when in chosen["morph"]]
        if (text := chosen.pop("say", None)) is not None:
            from portrait_anim.audio.spoken import speeches

            several = len(text.strip().splitlines()) > 1
            chosen["audio"] = [*speeches(text, chosen.pop("voice", []), dialogue=several)]
        return {**chosen, **placed}


class StoppedError(Exception):
    """The work was stopped, as asked."""


class FilmError(Exception):
    """The film could not be made; the message is one line."""


class Worker:
    """The program's side of one process. Made again when it has ended.

    Args:
        choices: keywords of :func:`portrait_anim.animate` of every film, such as ``sign_cert``.
    """

    def __init__(self, choices: Mapping[str, Any]) -> None:
        self._choices = dict(choices)
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")  # a fork of a program with threads may hang
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, self._choices), daemon=True, name="films")
        self._process.start()
        theirs.close()

    def make(
        self, task: Task, told: Callable[[str, int, int], None], note: Callable[[str], None], stop: Callable[[], bool]
    ) -> dict[str, float]:
        """Make a film and return its facts.

        Args:
            task: the film.
            told: called with step, done, total.
            note: called with what there is to say about photo and sound.
            stop: asked ten times a second whether the work shall end.

        Raises:
            StoppedError: it was stopped; nothing works on it any more.
            FilmError: it could not be made.
        """
        if not self._process.is_alive():
            self._restart()
        asked_s: float | None = None
        try:
            self._pipe.send(task)
            while True:
                while not self._pipe.poll(POLL_S):
                    if asked_s is None and stop():
                        asked_s = time.monotonic()
                        self._pipe.send(task.id)
                    if asked_s is not None and time.monotonic() > asked_s + STOP_S:
                        self._restart()
                        raise StoppedError
                kind, *said = self._pipe.recv()
                if kind == "progress":
                    told(*said)
                    if asked_s is None and stop():
                        asked_s = time.monotonic()
                        self._pipe.send(task.id)
                elif kind == "note":
                    note(said[0])
                elif kind == "bug":
                    logger.error("job %s: %s", task.id, said[0])
                elif kind == "done":
                    return dict(said[0])
                elif kind == "failed":
                    raise FilmError(said[0])
                else:
                    raise StoppedError
        except (EOFError, OSError) as e:
            code = self._restart()
            if asked_s is not None:
                raise StoppedError from e
            raise FilmError(f"the process that made the film has ended (exit code {code}), perhaps for memory") from e

    def _restart(self) -> int | None:
        code = self.close()
        self._start()
        return code

    def close(self) -> int | None:
        """End the process now and return its exit code."""
        self._process.join(0.2)  # it may be ending by itself: then the code is its own
        self._process.kill()
        self._process.join()
        self._pipe.close()
        return self._process.exitcode


def _work(pipe: Connection, choices: Mapping[str, Any]) -> None:
    """Make films until the pipe is closed: the process's side."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the program's, which ends this process
    tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()
    stopped: set[str] = set()
    sending = threading.Lock()

    def say(*message: Any) -> None:
        with sending, contextlib.suppress(OSError):  # the program has gone: listen() ends this process
            pipe.send(message)

    def listen() -> None:
        while True:
            try:
                message = pipe.recv()
            except (EOFError, OSError):
                os._exit(0)  # the program has gone, perhaps killed
            if isinstance(message, Task):
                tasks.put(message)
            else:
                stopped.add(message)

    threading.Thread(target=listen, daemon=True, name="listen").start()
    from portrait_anim.pipeline import animate  # takes seconds, and is not needed by the program's side

    log = logging.getLogger("portrait_anim")
    log.setLevel(logging.INFO)
    log.propagate = False
    while True:
        task = tasks.get()
        notes = _Notes(lambda text, folder=task.folder: say("note", _line(text, folder)))  # type: ignore[misc]
        log.addHandler(notes)
        try:
            say("done", _film(task, choices, animate, say, stopped))
        except StoppedError:
            say("stopped")
        except PortraitAnimError as e:
            say("failed", _line(str(e), task.folder))
        except MemoryError:
            say("failed", OUT_OF_MEMORY)
        except Exception as e:
            say("bug", traceback.format_exc())
            say("failed", _line(f"{type(e).__name__}: {e}; this is a bug: the server's log says more", task.folder))
        finally:
            log.removeHandler(notes)


def _film(
    task: Task, choices: Mapping[str, Any], animate: Callable[..., Any], say: Callable[..., None], stopped: set[str]
) -> dict[str, float]:
    said_s = 0.0

    def progress(step: str, done: int, total: int) -> None:
        nonlocal said_s
        if task.id in stopped:
            raise StoppedError
        now = time.monotonic()
        if step != "drawing" or done in (0, 1, total) or now > said_s + POLL_S:
            say("progress", step, done, total)
            said_s = now

    progress("starting", 0, 1)
    film = animate(output=task.film, overwrite=True, progress=progress, **task.keywords(), **choices)
    width, height = film.size
    return {
        "duration_s": film.duration_s, "n_frames": film.n_frames, "fps": film.fps, "width": width, "height": height,
        "bytes": film.path.stat().st_size,
    }  # fmt: skip


def _line(text: str, folder: Path) -> str:
    """Return a message as one line that names files without the server's folders."""
    return " ".join(text.replace(f"{folder}{os.sep}", "").split())


class _Notes(logging.Handler):
    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(logging.INFO)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        """Pass one record on as a line."""
        self._say(record.getMessage())
