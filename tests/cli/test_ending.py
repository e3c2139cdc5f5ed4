"""Ended from outside at any moment: by Ctrl-C, SIGTERM or kill -9, while anything loads, draws or signs."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from conftest import cut, environment

from portrait_anim import verify
from portrait_anim.cli.entry import WATCHED
from portrait_anim.system import files
from portrait_anim.system.files import hidden_name, remove_orphans, temporary_prefix

pytestmark = [
    pytest.mark.package,
    pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX"),
]

LINE = "error: interrupted, nothing was written"
START_S = 0.15  # Python itself starts; until it is up, Ctrl-C is its own
MOMENTS = 50  # of the long test
SHORT = 3


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    folder = tmp_path / "tmp"
    folder.mkdir()
    return folder


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def start(arguments: list[str], work: Path, temporary: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "portrait_anim", *arguments], cwd=work,
        env={**environment(), "TMPDIR": str(temporary), "OMP_NUM_THREADS": "1"}, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def film_arguments(photo: Path, sound: Path) -> list[str]:
    return [WATCHED, str(photo), str(sound), "-o", "film.mp4", "--max-size", "128", "--force"]


def names(*folders: Path) -> list[str]:
    return sorted(path.name for folder in folders for path in folder.iterdir())


def wait_until(true: object, limit_s: float = 5.0) -> None:
    assert callable(true)
    until = time.monotonic() + limit_s
    while not true() and time.monotonic() < until:
        time.sleep(0.02)


# signals


@pytest.mark.parametrize("what", [signal.SIGINT, signal.SIGTERM])
def test_ends_within_a_second_at_any_moment(
    what: signal.Signals, small_astronaut: Path, speech: Path, work: Path, temporary: Path
) -> None:
    rng = random.Random(what)
    sound = cut(speech, work / "long.wav", 60.0)
    seconds = []
    for moment in sorted(rng.uniform(0.4, 6.0) for _ in range(SHORT)):
        process = start(film_arguments(small_astronaut, sound), work, temporary)
        time.sleep(moment)
        process.send_signal(what)
        start_s = time.monotonic()
        _, err = process.communicate(timeout=20)
        seconds.append(time.monotonic() - start_s)
        assert process.returncode in (130, -signal.SIGKILL), (moment, err)  # the latter: a native call lasted
        assert err.splitlines()[-1] == LINE, (moment, err)
        assert "Traceback" not in err
        assert names(work, temporary) == ["long.wav"], moment
    assert sorted(seconds)[SHORT // 2] < 1.0, seconds
    assert max(seconds) < 2.5, seconds  # a busy machine


GUARDED = """
import itertools, time
from pathlib import Path
from portrait_anim.cli import ending, main
ending.watch()
from portrait_anim.system.files import hidden_name
def run(args):
    hidden_name(Path("film.mp4")).write_text("half a film")
    print("loading", flush=True)
    {step}
    return 0
import argparse
print(main.guarded(run, argparse.Namespace()), flush=True)
"""


def guarded(step: str, work: Path, temporary: Path) -> tuple[subprocess.Popen[str], float, str, str]:
    """Run a command that only does ``step``, send it SIGTERM, and tell how long it still lived."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(GUARDED.format(step=step))], cwd=work, text=True,
        env={**environment(), "TMPDIR": str(temporary)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "loading\n"
    time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    start_s = time.monotonic()
    process.wait(30)
    lived_s = time.monotonic() - start_s
    out, err = process.communicate()
    return process, lived_s, out, err


def test_a_native_call_that_holds_the_interpreter_is_ended(work: Path, temporary: Path) -> None:
    """As a library does that is loaded from a slow disk: no handler can run."""
    process, lived_s, _, err = guarded("sum(itertools.repeat(0, 10**10))", work, temporary)
    assert process.returncode == -signal.SIGKILL
    assert lived_s < 2.0
    assert err == f"{LINE}\n"
    wait_until(lambda: not names(work, temporary))
    assert names(work, temporary) == []


def test_an_interruption_that_a_library_makes_its_own_error(work: Path, temporary: Path) -> None:
    step = 'exec("try: time.sleep(20)\\nexcept BaseException as e: raise RuntimeError(1) from e")'
    process, lived_s, out, err = guarded(step, work, temporary)
    assert (process.returncode, out, err) == (0, "130\n", f"{LINE}\n")
    assert lived_s < 1.0


def test_an_interruption_that_the_interpreter_drops_comes_again(work: Path, temporary: Path) -> None:
    """In a finaliser, as while modules are imported, it is only printed."""
    step = "type('T', (), {'__del__': lambda self: time.sleep(1)})(); time.sleep(20)"
    process, lived_s, out, err = guarded(step, work, temporary)
    assert (process.returncode, out, err) == (0, "130\n", f"{LINE}\n")
    assert lived_s < 2.0


# kill -9


def kill_at(moment: float, photo: Path, sound: Path, work: Path, temporary: Path, before: bytes | None) -> None:
    """Kill the command and its watching process at a moment: the film is what it was, or whole."""
    film = work / "film.mp4"
    if before is None:
        film.unlink(missing_ok=True)
    else:
        film.write_bytes(before)
    process = start(film_arguments(photo, sound), work, temporary)
    time.sleep(moment)
    process.kill()
    process.communicate()
    if film.exists() and film.read_bytes() != before:
        assert verify(film).manifest.valid, moment
    else:
        assert film.exists() == (before is not None), moment


def survive_kills(count: int, seed: int, photo: Path, speech: Path, work: Path, temporary: Path) -> None:
    rng = random.Random(seed)
    sound = cut(speech, work / "sound.wav", 2.0)
    process = start(film_arguments(photo, sound), work, temporary)
    began = time.monotonic()
    assert process.wait() == 0
    whole_s = time.monotonic() - began
    process.communicate()
    before = (work / "film.mp4").read_bytes()
    for number in range(count):
        kill_at(rng.uniform(START_S, 1.1 * whole_s), photo, sound, work, temporary, before if number % 2 else None)
    assert start(film_arguments(photo, sound), work, temporary).wait() == 0  # removes what may be left
    assert verify(work / "film.mp4").manifest.valid
    assert names(work, temporary) == ["film.mp4", "sound.wav"]


def test_killed_at_some_moments(small_astronaut: Path, speech: Path, work: Path, temporary: Path) -> None:
    survive_kills(SHORT, 1, small_astronaut, speech, work, temporary)


@pytest.mark.long
def test_killed_at_fifty_moments(small_astronaut: Path, speech: Path, work: Path, temporary: Path) -> None:
    survive_kills(MOMENTS, 2, small_astronaut, speech, work, temporary)


# orphans


@pytest.fixture
def gone() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_orphans_go_and_what_lives_or_is_foreign_stays(
    gone: int, work: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files.tempfile, "tempdir", str(temporary))
    mine, ours = hidden_name(work / "a.mp4"), temporary / f"{temporary_prefix()}sound.f32"
    me, machine = str(os.getpid()), files._machine()
    dead = [
        work / mine.name.replace(me, str(gone), 1), temporary / ours.name.replace(me, str(gone), 1),
        work / f".portrait_anim-{gone}-{machine}-folder",
    ]  # fmt: skip
    stays = [
        mine, ours,
        work / f".portrait_anim-{os.getppid()}-{machine}-0.mp4",
        work / f".portrait_anim-{gone}-{'0' * 8}-0.mp4",  # of another machine
        work / f".portrait_anim-{9 * 10**9}-{machine}-0.mp4",  # no process ever has this number
        work / f".portrait_anim-{gone}-notes.txt", work / f"portrait_anim-{gone}.txt",
        work / ".portrait_anim-batch.lock",
    ]  # fmt: skip
    for path in (*dead[:2], *stays):
        path.write_text("x")
    dead[2].mkdir()
    (dead[2] / "frame_000001.png").write_text("x")
    link = work / f".portrait_anim-{gone}-{machine}-link"
    link.symlink_to(stays[-2])
    remove_orphans(work)
    assert names(work, temporary) == sorted(path.name for path in stays)


@pytest.mark.skipif(not hasattr(os, "chown") or os.getuid() != 0, reason="only root can give files away")
def test_orphans_of_another_user_stay(gone: int, work: Path) -> None:
    theirs = work / f".portrait_anim-{gone}-{files._machine()}-0.mp4"
    theirs.write_text("x")
    os.chown(theirs, 65534, 65534)
    remove_orphans(work)
    assert theirs.exists()
