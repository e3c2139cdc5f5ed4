"""Keeps torch from harming the rest of the process: drawing from its random generator, hanging after a fork."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator

from portrait_anim.errors import ForkError

logger = logging.getLogger(__name__)

_INITIALISERS = frozenset(
    {"uniform_", "normal_", "trunc_normal_", "xavier_uniform_", "xavier_normal_", "kaiming_uniform_", "kaiming_normal_"}
)
_ran_in: set[int] = set()  # process ids: of this one, and of those it was forked from, that ran the nets
_inherited: set[int] = set()  # process ids that were forked when torch was imported and that have not used it yet


def _forked() -> None:
    if "torch" in sys.modules:
        _inherited.clear()
        _inherited.add(os.getpid())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def check_fork() -> None:
    """Check that the nets can run in this process; to be called before they do.

    torch's worker threads do not exist in a forked process, and torch would wait for them for ever. If this process was
    forked from one that ran the nets, an error is raised. If torch was only imported there, nobody knows whether it
    ran: then torch gets a single thread, which needs no workers.

    Raises:
        ForkError: the nets ran in a process that this one was forked from, in more than one thread.
    """
    import torch

    pid = os.getpid()
    if torch.get_num_threads() > 1:
        if _ran_in - {pid}:
            raise ForkError(
                "this process was forked from one that had made a film, where torch would hang: start workers with "
                'spawn (multiprocessing.get_context("spawn")), or make the first film after the fork'
            )
        if pid in _inherited:
            torch.set_num_threads(1)
            logger.info("forked after torch was imported: its nets use one thread here; start workers with spawn")
    _inherited.discard(pid)
    _ran_in.add(pid)


@contextlib.contextmanager
def undrawn() -> Iterator[None]:
    """Skip the random initialisation of layers made in the block, whose weights are loaded from files anyway.

    It would draw from torch's global random generator, which belongs to the caller. For this thread only.
    """
    from torch import Tensor
    from torch.overrides import TorchFunctionMode

    class Undrawn(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            kwargs = kwargs or {}
            if getattr(func, "__name__", "") in _INITIALISERS:
                tensor = args[0] if args else kwargs["tensor"]
                if isinstance(tensor, Tensor):
                    return tensor
            return func(*args, **kwargs)

    with Undrawn():
        yield
