"""Runs small nets with LiteRT, one thread each, and keeps its start message off stderr."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from typing import Any

from portrait_anim.system.weights import weight_path

_making = threading.Lock()
_announced = False  # LiteRT prints a line once a process, with the first net


def interpreter(name: str) -> Any:
    """Return a new interpreter of the weights called ``name``, ready to run. Safe to call from several threads.

    Raises:
        WeightsError: the file is missing or damaged.
    """
    global _announced
    from ai_edge_litert.interpreter import Interpreter

    path = weight_path(name)
    with _making:
        with contextlib.nullcontext() if _announced else _stderr_away():
            net = Interpreter(str(path), num_threads=1)
            net.allocate_tensors()
        _announced = True
    return net


@contextlib.contextmanager
def _stderr_away() -> Iterator[None]:
    """Drop what the process writes on descriptor 2 in the block; LiteRT's log level cannot be set from Python.

    Only one thread at a time may be in the block: a second one would save the null device as the stderr to restore.
    """
    try:
        saved = os.dup(2)
    except OSError:  # started without a stderr
        yield
        return
    try:
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, 2)
        os.close(sink)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
