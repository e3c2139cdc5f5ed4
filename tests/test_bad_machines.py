"""What a machine can do to a film: no room, no memory, no home, no streams, a clock set back, weights that are damaged.

Each case is the real command in a process of its own: one line that says what to do, a film that was there is
untouched, nothing is left. tests/test_bad_inputs.py has cases of the input, tests/cli/test_ending.py signals.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import ROOT, cut, environment

from portrait_anim import verify
from portrait_anim.provenance.identity import own_identity
from portrait_anim.system import weights
from portrait_anim.system.ffmpeg import ffmpeg_exe

pytestmark = [
    pytest.mark.package,
    pytest.mark.skipif(sys.platform != "linux", reason="limits, mounts and /dev/full are Linux's"),
]

BEFORE = b"a film that must stay"
DISK_KB = 700
MADE, FAILED = 0, 2
ENOUGH_KB = 60
SPOILED = ("face_detector", "face_landmarks_detector", "motion_default", "hama_encoder", "selfie_segmenter")


@dataclass
class Machine:
    """Where a case runs.

    Attributes:
        folder: holds photo.png, sound.wav and, if the film shall be replaced, film.mp4.
        temporary: the folder for temporary files.
        variables: of the environment.
    """

    folder: Path
    temporary: Path
    variables: dict[str, str]

    def run(
        self, *more: str, limit: Callable[[], None] | None = None, tail: str = "", package: Path = ROOT
    ) -> subprocess.CompletedProcess[str]:
        """Run ``animate``; ``tail`` is shell for its streams."""
        words = [sys.executable, "-m", "portrait_anim", "animate", "photo.png", "sound.wav", "-o", "film.mp4", *more]
        line = " ".join(f"'{word}'" for word in words)
        told = {**environment(), "OMP_NUM_THREADS": "1", "TMPDIR": str(self.temporary), "PYTHONPATH": str(package)}
        return subprocess.run(
            ["/bin/sh", "-c", f"exec {line} {tail}"], cwd=self.folder, env={**told, **self.variables},
            capture_output=True, text=True, timeout=100, check=False, stdin=subprocess.DEVNULL, preexec_fn=limit,
        )  # fmt: skip


@pytest.fixture
def machine(tmp_path: Path, small_astronaut: Path, speech: Path) -> Machine:
    folder, temporary = tmp_path / "work", tmp_path / "tmp"
    folder.mkdir()
    temporary.mkdir()
    shutil.copy(small_astronaut, folder / "photo.png")
    cut(speech, folder / "sound.wav", 1.0)
    own_identity()  # of the tests' home
    return Machine(folder, temporary, {})


def check(machine: Machine, done: subprocess.CompletedProcess[str], *words: str, code: int = FAILED) -> None:
    """One line with these words, and nothing but the inputs and the old film is there."""
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, done.stderr
    for word in words:
        assert word in lines[0]
    untouched(machine)


def untouched(machine: Machine) -> None:
    film = machine.folder / "film.mp4"
    assert not film.exists() or film.read_bytes() == BEFORE
    kept = {"photo.png", "sound.wav", "film.mp4", "fill", "weights", "ffmpeg"}
    assert {path.name for path in machine.folder.iterdir()} <= kept
    assert list(machine.temporary.iterdir()) == []


def good(machine: Machine, done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == MADE, done.stderr
    assert verify(machine.folder / "film.mp4").manifest.valid
    assert list(machine.temporary.iterdir()) == []


# room


@pytest.fixture
def disk(machine: Machine, tmp_path: Path) -> Iterator[Machine]:
    """The same on a small disk of its own."""
    small = tmp_path / "disk"
    small.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    command = [str(mount), "-t", "tmpfs", "-o", f"size={DISK_KB}k", "tmpfs", str(small)]
    if mount is None or umount is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small disk")
    for path in machine.folder.iterdir():
        shutil.copy(path, small)
    yield Machine(small, machine.temporary, {})
    subprocess.run([umount, str(small)], check=True)


@pytest.mark.parametrize("free_kb", [0, 4, 40])
def test_a_full_disk_at_any_step(free_kb: int, disk: Machine) -> None:
    (disk.folder / "film.mp4").write_bytes(BEFORE)
    state = os.statvfs(disk.folder)
    (disk.folder / "fill").write_bytes(b"x" * (state.f_bavail * state.f_frsize - free_kb * 1024))
    check(disk, disk.run("--force"), "film.mp4", "free some space")


@pytest.mark.parametrize("size_kb", [1, 40])
def test_no_file_may_grow(size_kb: int, machine: Machine) -> None:
    (machine.folder / "film.mp4").write_bytes(BEFORE)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size_kb << 10, size_kb << 10))

    check(machine, machine.run("--force", limit=limit), "film.mp4")


def test_no_room_for_temporary_files(disk: Machine, machine: Machine) -> None:
    """Room enough for Python to choose the folder, too little for the sound."""
    state = os.statvfs(disk.folder)
    (disk.folder / "fill").write_bytes(b"x" * (state.f_bavail * state.f_frsize - (ENOUGH_KB << 10)))
    code = (
        "import numpy, sys; from portrait_anim import animate\n"
        "try: animate('photo.png', (numpy.zeros(40000, 'f4') + .1, 16000), 'film.mp4')\n"
        "except Exception as e: print(type(e).__name__, e)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=machine.folder, capture_output=True, text=True, check=True,
        env={**environment(), "TMPDIR": str(disk.folder)},
    )  # fmt: skip
    assert done.stdout.startswith("OutputError cannot keep the sound"), done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == 1
    untouched(machine)
    assert {path.name for path in disk.folder.iterdir()} == {"photo.png", "sound.wav", "fill"}


# memory


@pytest.mark.parametrize("megabytes", [700, 1300])
def test_too_little_memory(megabytes: int, machine: Machine) -> None:
    """Whatever library fails first: no film, no traceback, one line in the end."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))

    done = machine.run(limit=limit)
    assert done.returncode != MADE
    untouched(machine)
    if done.returncode in (1, FAILED):
        assert done.stderr.splitlines()[-1].startswith("error: ")


# homes


def test_no_home(machine: Machine) -> None:
    machine.variables = {"HOME": "/nonexistent/home", "PORTRAIT_ANIM_HOME": "", "XDG_DATA_HOME": ""}
    if os.getuid() != 0:  # root can make any folder
        check(machine, machine.run(), "no signing key can be kept in", "set PORTRAIT_ANIM_HOME")
    machine.variables["PORTRAIT_ANIM_HOME"] = str(machine.folder / "photo.png")
    check(machine, machine.run(), "no signing key can be kept in", "photo.png", "set PORTRAIT_ANIM_HOME")


def test_a_home_that_cannot_be_written(machine: Machine, tmp_path: Path) -> None:
    mount, umount = shutil.which("mount"), shutil.which("umount")
    home = tmp_path / "home"
    home.mkdir()
    command = [str(mount), "-t", "tmpfs", "-o", "ro", "tmpfs", str(home)]
    if mount is None or umount is None or subprocess.run(command, capture_output=True, check=False).returncode:
        if os.getuid() == 0:
            pytest.skip("nothing is read-only for root without a mount")
        home.chmod(0o500)
        umount = None
    try:
        machine.variables = {"HOME": str(home), "PORTRAIT_ANIM_HOME": str(home)}
        check(machine, machine.run(), str(home), "set PORTRAIT_ANIM_HOME to a folder of yours")
    finally:
        if umount is not None:
            subprocess.run([umount, str(home)], check=True)


def test_a_damaged_key(machine: Machine, tmp_path: Path) -> None:
    shutil.copytree(os.environ["PORTRAIT_ANIM_HOME"], tmp_path / "home")
    (tmp_path / "home" / "signing" / "key.pem").write_text("no key")
    machine.variables = {"PORTRAIT_ANIM_HOME": str(tmp_path / "home")}
    check(machine, machine.run(), str(tmp_path / "home"), "remove that folder")


def test_a_folder_that_cannot_be_written(machine: Machine) -> None:
    if os.getuid() == 0:
        pytest.skip("root may write anywhere")
    machine.folder.chmod(0o500)
    try:
        check(machine, machine.run(), "no permission to write in the folder")
    finally:
        machine.folder.chmod(0o700)


# streams


@pytest.mark.parametrize("tail", ["<&- >&- 2>&-", ">/dev/full 2>/dev/full"])
def test_streams(tail: str, machine: Machine) -> None:
    good(machine, machine.run(tail=tail))


@pytest.mark.parametrize("tail", ["2>&-", "2>/dev/full"])
def test_an_error_that_nobody_hears(tail: str, machine: Machine) -> None:
    (machine.folder / "film.mp4").write_bytes(BEFORE)
    assert machine.run(tail=tail).returncode == FAILED
    untouched(machine)


# weights


@pytest.fixture
def package(machine: Machine, tmp_path: Path) -> Path:
    """A copy of the program whose weights may be spoiled."""
    place = tmp_path / "copy"
    shutil.copytree(ROOT / "portrait_anim", place / "portrait_anim", ignore=shutil.ignore_patterns("__pycache__"))
    (place / "checkpoints").mkdir()
    for path in weights.folder().iterdir():
        (place / "checkpoints" / path.name).symlink_to(path)
    return place


def _missing(file: Path) -> None:
    file.unlink()


def _cut(file: Path) -> None:
    data = file.read_bytes()[:-100]
    file.unlink()
    file.write_bytes(data)


def _changed(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.unlink()
    file.write_bytes(data)


def _empty(file: Path) -> None:
    file.unlink()
    file.touch()


def test_weights_that_are_missing_or_damaged(machine: Machine, package: Path, tmp_path: Path) -> None:
    cases = [(name, how) for name in SPOILED for how in (_missing, _cut, _changed, _empty)][::4]

    def spoiled(case: tuple[str, Callable[[Path], None]]) -> subprocess.CompletedProcess[str]:
        name, how = case
        copy = tmp_path / f"{name}{how.__name__}"
        shutil.copytree(package, copy, symlinks=True)
        how(copy / "checkpoints" / weights.registry()[name].file)
        return machine.run(package=copy)

    with ThreadPoolExecutor(2) as pool:
        for (name, how), done in zip(cases, pool.map(spoiled, cases), strict=True):
            told = "missing at" if how is _missing else "are damaged (sha256"
            check(machine, done, f"weights '{name}'", told, "install portrait-anim again")


@pytest.mark.parametrize("text", ["", '{"face_mesh": {}}', '"words"'])
def test_a_damaged_registry(text: str, machine: Machine, package: Path) -> None:
    (package / "checkpoints" / weights.REGISTRY).unlink()
    (package / "checkpoints" / weights.REGISTRY).write_text(text)
    check(machine, machine.run(package=package), "list of weights", "registry.json", "install portrait-anim again")


def test_a_registry_that_names_files_elsewhere(machine: Machine, package: Path) -> None:
    path = package / "checkpoints" / weights.REGISTRY
    lines = json.loads(path.read_text())
    lines["face_detector"]["file"] = "../../photo.png"
    path.unlink()
    path.write_text(json.dumps(lines))
    check(machine, machine.run(package=package), "names no plain files")


# encoders and clocks


def test_ffmpeg_is_missing_or_is_none(machine: Machine) -> None:
    program = machine.folder / "ffmpeg"
    machine.variables = {"IMAGEIO_FFMPEG_EXE": str(program)}
    check(machine, machine.run(), "ffmpeg", str(program), "reinstall imageio-ffmpeg")
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(program.stat().st_mode | stat.S_IEXEC)
    check(machine, machine.run(), "sound.wav")


@pytest.mark.parametrize("signal_name", ["KILL", "SEGV", "STOP"])
def test_the_encoder_is_ended_half_way(signal_name: str, machine: Machine) -> None:
    """A program in ffmpeg's place that hands over to it and is ended once the film has begun to grow."""
    (machine.folder / "film.mp4").write_bytes(BEFORE)
    program = machine.folder / "ffmpeg"
    later = f"(sleep 0.4; kill -{signal_name} $$; [ {signal_name} = STOP ] && sleep 0.5 && kill -KILL $$) &"
    program.write_text(f'#!/bin/sh\ncase "$*" in *libx264*) {later} ;; esac\nexec {ffmpeg_exe()} "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IEXEC)
    machine.variables = {"IMAGEIO_FFMPEG_EXE": str(program)}
    cut(ROOT / "examples" / "speech.flac", machine.folder / "sound.wav", 60.0)
    done = machine.run("--force", "--max-size", "128")
    check(machine, done, "film.mp4", "the encoder stopped", "ended by signal")


CLOCK = """
import datetime, sys, time
back_s = float(sys.argv[1])
real, now = time.time, datetime.datetime
time.time = lambda: real() + back_s
class Clock(now):
    @classmethod
    def now(cls, tz=None):
        return now.now(tz) + datetime.timedelta(seconds=back_s)
datetime.datetime = Clock
from portrait_anim.cli.main import animate_main
sys.exit(animate_main(["photo.png", "sound.wav", "-o", "film.mp4"]))
"""


@pytest.mark.parametrize(("back_days", "told"), [(400, "is valid from"), (-9000, "expired on")])
def test_a_clock_that_was_set(back_days: float, told: str, machine: Machine) -> None:
    """The key was made later than now, or is older than it may be: the line says so, and what to do."""
    done = subprocess.run(
        [sys.executable, "-c", CLOCK, str(-86400 * back_days)], cwd=machine.folder, capture_output=True, text=True,
        env={**environment(), "TMPDIR": str(machine.temporary)}, timeout=100, check=False,
    )  # fmt: skip
    check(machine, done, told, "signing key")


def test_old_files_and_a_clock_set_back_a_little(machine: Machine) -> None:
    later = time.time() + 86400
    for name in ("photo.png", "sound.wav"):
        os.utime(machine.folder / name, (later, later))
    good(machine, machine.run())
