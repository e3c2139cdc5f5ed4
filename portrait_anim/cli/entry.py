"""Where the commands begin: until they handle Ctrl-C themselves, it ends them silently."""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

WATCHED = "animate"  # the command that a process of its own watches; servers end in their own ways


def _run(name: str) -> NoReturn:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from portrait_anim.cli import ending, main
    from portrait_anim.cli.display import open_descriptors

    if WATCHED in (name.removesuffix("_main"), *sys.argv[1:2]):
        open_descriptors()
        ending.watch()
    status = getattr(main, name)()
    if status == ending.INTERRUPTED:  # all is cleaned up; taking down the libraries can last a second
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        ending.done()
        os._exit(status)
    sys.exit(status)


def animate() -> NoReturn:
    """Run the command ``animate``."""
    _run("animate_main")


def portrait_anim() -> NoReturn:
    """Run the command ``portrait-anim``."""
    _run("main")
