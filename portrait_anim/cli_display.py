"""What the commands show while they work: a progress bar or lines, and the library's notes."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

LINES = 10  # of progress, when stderr is not a terminal


@contextlib.contextmanager
def progress_display(*, quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """Give a progress callback: a bar on a terminal (that knows its width), ten lines elsewhere, None when quiet."""
    if quiet:
        yield None
    elif sys.stderr.isatty() and os.get_terminal_size(sys.stderr.fileno()).columns:
        with progress_bar() as update:
            yield update
    else:
        yield progress_lines()


@contextlib.contextmanager
def progress_bar() -> Iterator[Callable[[int, int], None]]:
    """Give a callback that draws a bar with frames, frames/s and the time left."""
    from tqdm import tqdm

    layout = "{percentage:3.0f}% |{bar}| {n}/{total}, {rate_noinv_fmt}, {remaining} left"
    bar: Any = None

    def update(done: int, total: int) -> None:
        nonlocal bar
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


def progress_lines() -> Callable[[int, int], None]:
    """Return a callback that prints a line about every tenth of the film."""
    start = time.perf_counter()

    def update(done: int, total: int) -> None:
        nonlocal start
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
        print(f"{kind}: {' '.join(record.getMessage().split())}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def notes(*, quiet: bool, verbose: bool) -> Iterator[None]:
    """Show the library's log while the block runs."""
    logger, handler = logging.getLogger("portrait_anim"), Notes()
    before = logger.level
    logger.setLevel(logging.CRITICAL if quiet else logging.DEBUG if verbose else logging.INFO)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
