"""The commands' output while they work: a progress bar or lines, and the library's notes."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import IO, Any, cast

Update = Callable[[str, int, int], None]  # step, done, total

LINES = 10  # of progress, when stderr is not a terminal
ERASE_LINE = "\r\x1b[K"  # on a terminal


class Unfailing:
    """A text stream that never fails: what cannot be written is dropped, and the reason is kept.

    Args:
        stream: sys.stdout or sys.stderr; None when the process was started without one.
        ends: whether BrokenPipeError is raised when its reader has ended, so that the command can end too.

    Attributes:
        lost: why something could not be written, None while everything could.
    """

    def __init__(self, stream: IO[str] | None, *, ends: bool = False) -> None:
        self._ends = ends
        self._stream = stream if stream is not None else open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
        self.lost: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write, or drop what cannot be written. Returns the number of characters."""
        with self._dropping():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Send what is written on its way, or drop it."""
        with self._dropping():
            self._stream.flush()

    @contextlib.contextmanager
    def _dropping(self) -> Iterator[None]:
        try:
            yield
        except ValueError:  # closed
            self.lost = self.lost or OSError(errno.EBADF, os.strerror(errno.EBADF))
        except OSError as e:
            self.lost = self.lost or e
            with contextlib.suppress(OSError, ValueError):  # what the stream still holds goes nowhere, not to the end
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self._stream.fileno())
                os.close(nowhere)
            if self._ends and isinstance(e, BrokenPipeError):
                raise


def open_descriptors() -> None:
    """Open those of the descriptors 0 to 2 that are closed on the null device.

    Otherwise the next file that is opened (the photo, the film) would get such a number, and native libraries would
    print into it.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number


@contextlib.contextmanager
def unfailing_streams() -> Iterator[None]:
    """Replace stdout and stderr in the block by streams that never fail, except for BrokenPipeError of stdout.

    A service or a cron job may start the process without them, or with a full disk.
    """
    open_descriptors()
    before = sys.stdout, sys.stderr
    out, err = Unfailing(before[0], ends=True), Unfailing(before[1])
    sys.stdout, sys.stderr = cast(Any, out), cast(Any, err)
    try:
        yield
    finally:
        with contextlib.suppress(BrokenPipeError):
            out.flush()
        err.flush()
        sys.stdout, sys.stderr = before


@contextlib.contextmanager
def progress_display(*, quiet: bool) -> Iterator[Update | None]:
    """Yield a progress callback: a bar on a terminal (of known width), ten lines elsewhere, None when quiet."""
    if quiet:
        yield None
    elif terminal_columns():
        with progress_bar() as update:
            yield update
    else:
        yield progress_lines()


def terminal_columns() -> int:
    """Return the width of the terminal on stderr, 0 when there is none or it is unknown."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns if sys.stderr.isatty() else 0
    except (OSError, ValueError):  # it has gone, or never had a descriptor
        return 0


@contextlib.contextmanager
def progress_bar() -> Iterator[Update]:
    """Yield a callback that shows the current step, and for frames a bar with frames/s and the time left."""
    from tqdm import tqdm

    layout = "{percentage:3.0f}% |{bar}| {n}/{total}, {rate_noinv_fmt}, {remaining} left"
    bar: Any = None

    def update(step: str, done: int, total: int) -> None:
        nonlocal bar
        if step != "drawing":
            print(f"{ERASE_LINE}{step} ..." if done < total else ERASE_LINE, end="", file=sys.stderr, flush=True)
            return
        if bar is None:
            bar = tqdm(total=total, unit=" frames", bar_format=layout, file=sys.stderr, dynamic_ncols=True)
        bar.update(done - bar.n)
        if done == total:
            bar.close()

    try:
        yield update
    finally:
        if bar is not None:
            bar.close()
        else:
            print(ERASE_LINE, end="", file=sys.stderr, flush=True)


def progress_lines() -> Update:
    """Return a callback that prints a line about every tenth of the film."""
    start = time.perf_counter()

    def update(step: str, done: int, total: int) -> None:
        nonlocal start
        if step != "drawing" or not done:
            return
        if done == 1:
            start = time.perf_counter()  # the first frame's own time is not counted
        if done * LINES // total > (done - 1) * LINES // total and done > 1:
            rate = (done - 1) / max(time.perf_counter() - start, 1e-6)
            left = (total - done) / rate
            print(f"{done}/{total} frames, {rate:.3g} frames/s, {left:.0f} s left", file=sys.stderr, flush=True)

    return update


class Notes(logging.Handler):
    """Show the library's log as ``note:`` and ``warning:`` lines on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record as one line."""
        kind = {"INFO": "note", "WARNING": "warning"}.get(record.levelname, record.levelname.lower())
        start = ERASE_LINE if terminal_columns() else ""  # over the name of a step
        print(f"{start}{kind}: {' '.join(record.getMessage().split())}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def notes(*, quiet: bool, verbose: bool) -> Iterator[None]:
    """Show the library's log while the block runs; what other libraries log (Pillow, of damaged files) goes nowhere."""
    logger, handler, nowhere = logging.getLogger("portrait_anim"), Notes(), logging.NullHandler()
    before = logger.level
    logger.setLevel(logging.CRITICAL if quiet else logging.DEBUG if verbose else logging.INFO)
    logger.addHandler(handler)
    logging.getLogger().addHandler(nowhere)  # without any handler Python prints warnings on stderr
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logging.getLogger().removeHandler(nowhere)
        logger.setLevel(before)
