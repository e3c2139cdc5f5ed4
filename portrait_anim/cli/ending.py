"""Ends a command on Ctrl-C, SIGTERM or SIGHUP within a second, with nothing left behind, whatever it is doing.

Python runs signal handlers between two of its own steps, in the main thread. There they raise, and what is half done is
taken back by the code that began it. Three things stand in the way:

- An exception raised in a callback of the interpreter (a weak reference's, a finaliser) is dropped. Imports are full of
  them. The hook for dropped exceptions then raises it again a little later.
- Libraries turn it into errors of their own. ``Interruption.came`` tells those from bugs.
- A native call may last (loading a library from a slow disk, signing a long film), and no handler runs until it
  returns. So a small process, forked before anything large is imported, hears of each signal at once, through the pipe
  that Python's C code writes to (``signal.set_wakeup_fd``). If no handler has run after ``PATIENCE_S`` it kills the
  command and removes its unfinished files. If the command is killed by somebody else, it removes them too.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from portrait_anim.system.files import remove_unfinished, tell_folders

NAMES = tuple(name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
INTERRUPTED = 130  # a shell's code for SIGINT
LINE = "interrupted, nothing was written"
PATIENCE_S = 0.7  # after a signal, until a handler must have run
AGAIN_S = 0.05  # until a dropped exception is raised again
SETTLED_S = 0.3  # after a command was killed, until its encoder has noticed and ended
MAX_SIGNALS = 3  # after which nothing is waited for any more
_AWAKE, _FOLDER, _DONE = b"\xff", b"\xfe", b"\xfd"  # what goes down the pipe beside the numbers of signals
_pipe: int | None = None  # to the process that watches this one


class Interrupted(KeyboardInterrupt):
    """Ctrl-C. Not KeyboardInterrupt itself: where that passes through ``exec``, Python ends by killing itself."""


class Interruption:
    """Whether a signal to end has come.

    Attributes:
        came: it has.
    """

    def __init__(self) -> None:
        self.count = 0

    @property
    def came(self) -> bool:
        """Whether one has come."""
        return self.count > 0

    def handle(self, signum: int, frame: FrameType | None) -> None:
        """Raise at the first signal; more are ignored during the clean-up, unless somebody insists."""
        _tell(_AWAKE)
        self.count += 1
        if self.count == 1:
            raise Interrupted
        if self.count > MAX_SIGNALS:
            os._exit(INTERRUPTED)

    def again(self, signum: int, frame: FrameType | None) -> None:
        """Raise what was dropped."""
        raise Interrupted


@contextlib.contextmanager
def interruptible() -> Iterator[Interruption]:
    """Turn SIGINT, SIGTERM and SIGHUP into one KeyboardInterrupt; further ones are ignored during the clean-up."""
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    before: dict[int, Any] = {}
    hook = sys.unraisablehook

    def dropped(unraisable: Any) -> None:
        if issubclass(unraisable.exc_type, Interrupted):
            signal.setitimer(signal.ITIMER_REAL, AGAIN_S)
        else:
            hook(unraisable)

    try:
        if hasattr(signal, "setitimer"):
            before[signal.SIGALRM] = signal.signal(signal.SIGALRM, interruption.again)
            sys.unraisablehook = dropped
        for name in NAMES:
            number = getattr(signal, name)
            before[number] = signal.signal(number, interruption.handle)
        yield interruption
    finally:
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)


def watch() -> None:
    """Start the process that watches this one. Only where a fork is harmless: in a process that has done nothing yet.

    Elsewhere (Windows, in somebody's program) signals are handled by Python alone.
    """
    global _pipe
    if not hasattr(os, "fork") or threading.active_count() > 1 or "numpy" in sys.modules or _pipe is not None:
        return
    reading, writing = os.pipe()
    watched = os.getpid()
    if os.fork() == 0:
        try:
            os.close(writing)
            _watch(reading, watched)
        finally:
            os._exit(0)
    os.close(reading)
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    _pipe = writing
    tell_folders(lambda folder: _tell(_FOLDER + os.fsencode(folder) + b"\0"))


def done() -> None:
    """Let the watching process go: nothing is left to clean up."""
    _tell(_DONE)


def _tell(what: bytes) -> None:
    if _pipe is not None:
        with contextlib.suppress(OSError):
            os.write(_pipe, what)


def _watch(pipe: int, watched: int) -> None:
    """Read the pipe until the watched process is done, killed, or hears no signal."""
    for name in NAMES:  # a terminal sends them to every process of the command
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    folders = {Path(tempfile.gettempdir())}
    waits = False
    while True:
        ready, _, _ = select.select([pipe], [], [], PATIENCE_S if waits else None)
        if not ready:
            with contextlib.suppress(OSError):
                os.write(2, f"error: {LINE}\n".encode())
            os.kill(watched, signal.SIGKILL)
            waits = False  # its end of the pipe is closed now
            continue
        what = os.read(pipe, 1)
        if what == _DONE:
            return
        if not what:
            break
        if what == _FOLDER:
            letters = iter(lambda: os.read(pipe, 1) or b"\0", b"\0")
            folders.add(Path(os.fsdecode(b"".join(letters))))
        else:
            waits = what != _AWAKE and what[0] in {getattr(signal, name) for name in NAMES}
    for wait_s in (0.0, SETTLED_S):
        time.sleep(wait_s)
        for folder in folders:
            remove_unfinished(folder, watched)
