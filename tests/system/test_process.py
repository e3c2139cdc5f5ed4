"""Inside somebody's process: its threads, forks, streams and random generators stay as they were."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import command, environment

from portrait_anim import Animator, animate, verify
from portrait_anim.motion import model

pytestmark = pytest.mark.package

TONE = ((np.sin(np.arange(9600) * 0.05) * 0.3).astype(np.float32), 16_000)


def python(code: str, *arguments: object, threads: int = 2, timeout_s: float = 100) -> subprocess.CompletedProcess[str]:
    """Run a program of ours in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)], capture_output=True, text=True,
        env={**environment(), "OMP_NUM_THREADS": str(threads)}, timeout=timeout_s, check=False,
    )  # fmt: skip


def test_animators_made_in_threads_leave_stderr_alone(small_astronaut: Path) -> None:
    """Each thread hid it while LiteRT announced itself, and put back what it had found."""
    for _ in range(3):
        done = python(
            """
            import os, sys, threading
            from portrait_anim import Animator
            import portrait_anim.pipeline
            gate = threading.Barrier(4)
            def make():
                gate.wait()
                Animator(sys.argv[1])
            threads = [threading.Thread(target=make) for _ in range(4)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
            os.write(2, b"still here")
            """,
            small_astronaut,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "still here")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("again", ["animator", "the same animator"])
def test_a_fork_after_a_film_never_hangs(again: str, small_astronaut: Path) -> None:
    done = python(
        """
        import faulthandler, os, sys
        import numpy as np
        from portrait_anim import Animator
        from portrait_anim.errors import ForkError
        sound = (np.sin(np.arange(9600) * 0.05).astype("float32"), 16000)
        animator = Animator(sys.argv[1])
        assert len(list(animator.frames(sound))) == 15
        if child := os.fork():
            sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        faulthandler.dump_traceback_later(50, exit=True)
        try:
            if sys.argv[2] == "animator":
                animator = Animator(sys.argv[1])
            list(animator.frames(sound))
        except ForkError as e:
            print(e, flush=True)
            os._exit(7)
        os._exit(0)
        """,
        small_astronaut, again,
    )  # fmt: skip
    if done.returncode == 7:  # torch had more than one thread
        assert "start workers with spawn" in done.stdout
    else:  # it had one, which needs no workers
        assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize(
    ("before", "threads"),
    [
        ("", 2),  # nothing was used yet
        ("from portrait_anim import Animator; Animator(sys.argv[1])", 2),
        (
            "import torch, portrait_anim; (torch.ones(400, 400) @ torch.ones(400, 400)).sum()",
            2,
        ),  # the caller's own nets
        ("from portrait_anim import Animator; list(Animator(sys.argv[1]).frames(sound))", 1),  # no threads to miss
    ],
)
def test_other_forks_make_films(before: str, threads: int, small_astronaut: Path) -> None:
    done = python(
        f"""
        import faulthandler, os, sys
        import numpy as np
        sound = (np.sin(np.arange(9600) * 0.05).astype("float32"), 16000)
        {before}
        if child := os.fork():
            sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        faulthandler.dump_traceback_later(50, exit=True)
        from portrait_anim import Animator
        os._exit(len(list(Animator(sys.argv[1]).frames(sound))))
        """,
        small_astronaut, threads=threads,
    )  # fmt: skip
    assert done.returncode == 15, done.stderr


def generators() -> tuple[Any, ...]:
    numpy_state = np.random.get_state()  # noqa: NPY002 (the global one is what is asked about)
    return torch.get_rng_state().tolist(), [str(part) for part in numpy_state], random.getstate()


@pytest.fixture
def freshly_loaded() -> None:
    model._loaded.cache_clear()


@pytest.mark.parametrize("call", ["animate", "frames", "live", "motions"])
def test_nobodys_random_generator_moves(call: str, freshly_loaded: None, small_astronaut: Path, tmp_path: Path) -> None:
    torch.manual_seed(3)
    before = generators()
    if call == "animate":
        verify(animate(small_astronaut, TONE, tmp_path / "film.mp4", emotion="happy").path)
    else:
        animator = Animator(small_astronaut)
        list([TONE[0]] and animator.live([TONE[0]]) if call == "live" else getattr(animator, call)(TONE))
    assert generators() == before


def test_nets_made_without_draws_are_the_same() -> None:
    torch.manual_seed(1)
    plain = model.MotionModel.from_weights()
    model._loaded.cache_clear()
    shared = model.shared_model()
    for one, other in ((plain.speech, shared.speech), (plain.net, shared.net), (plain.upper, shared.upper)):
        theirs = other.state_dict()
        assert all(torch.equal(value, theirs[name]) for name, value in one.state_dict().items())


POSIX = pytest.mark.skipif(sys.platform == "win32", reason="POSIX shells only")


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "-c", line], cwd=folder, env=environment(), capture_output=True, text=True, timeout=100,
        check=False,
    )  # fmt: skip


@POSIX
@pytest.mark.parametrize("streams", ["2>&-", "2>/dev/full", ">&-", ">/dev/full", "<&- >&- 2>&-"])
def test_a_film_needs_no_streams(streams: str, small_astronaut: Path, tmp_path: Path) -> None:
    import soundfile

    soundfile.write(tmp_path / "tone.wav", *TONE)
    made = " ".join(command())
    done = shell(f"{made} '{small_astronaut}' tone.wav -o film.mp4 --audit-log log {streams}", tmp_path)
    assert done.returncode == 0, done.stderr
    assert verify(tmp_path / "film.mp4").manifest.valid
    assert (tmp_path / "log").read_text().count("\n") == 1
    assert len(list(tmp_path.iterdir())) == 3
    if "2>" in streams and ">&- " not in streams:
        assert done.stdout.startswith("wrote film.mp4")


@POSIX
def test_output_that_does_not_arrive(small_astronaut: Path, tmp_path: Path) -> None:
    program = " ".join(command("portrait-anim"))
    for what in (f"verify '{small_astronaut}'", "info"):
        status = 1 if "verify" in what else 0  # the photo has no mark
        closed = shell(f"{program} {what} >&-", tmp_path)
        assert (closed.returncode, closed.stderr) == (status, "")
        full = shell(f"{program} {what} >/dev/full", tmp_path)
        assert full.returncode == 2
        assert full.stderr == ("error: cannot print (No space left on device): give a standard output that takes it\n")
    gone = shell(f"({program} info; echo $? >status) | true; cat status", tmp_path)
    assert gone.stdout == "141\n"
    assert gone.stderr == ""
    unheard = shell(f"{program} verify nowhere.mp4 2>/dev/full", tmp_path)
    assert unheard.returncode == 2
