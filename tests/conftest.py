"""What several test files share: places, small media, the real command line in a subprocess."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # two at a time on two cores: each gets one thread, or both wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")

KINDS = {"unit", "media", "training", "package"}  # what pyproject.toml and CONTRIBUTING.md say of them
ROOT = Path(__file__).parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"
EXAMPLES = ROOT / "examples"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse test modules that do not say their kind; skip long tests that were not asked for."""
    for item in items:
        if item.get_closest_marker("long") and "long" not in config.getoption("-m"):
            item.add_marker(pytest.mark.skip(reason="long: python -m pytest -m long, see docs/testing.md"))
        marks = {mark.name for mark in item.iter_markers()} & KINDS
        if item.path.suffix == ".py" and len(marks) != 1:
            raise pytest.UsageError(
                f"{item.path}: set pytestmark = pytest.mark.KIND, one of {', '.join(sorted(KINDS))}"
            )


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep the tests' signing key out of the user's own folder."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PORTRAIT_ANIM_HOME", str(folder))
        patch.delenv("PORTRAIT_ANIM_AUDIT_LOG", raising=False)
        yield folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The data beside the repository."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no data at {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(scope="session")
def astronaut() -> Path:
    """A photo of 512x512 px with one face."""
    return EXAMPLES / "astronaut.jpg"


@pytest.fixture(scope="session")
def small_astronaut(tmp_path_factory: pytest.TempPathFactory, astronaut: Path) -> Path:
    """The same at 256x256 px."""
    from PIL import Image

    path = tmp_path_factory.mktemp("photo") / "small.png"
    Image.open(astronaut).resize((256, 256)).save(path)
    return path


@pytest.fixture(scope="session")
def speech() -> Path:
    """Some seconds of speech."""
    return EXAMPLES / "speech.flac"


@pytest.fixture(scope="session")
def second_of_speech(tmp_path_factory: pytest.TempPathFactory, speech: Path) -> Path:
    """One second of it, 16 bit wav at 16 kHz."""
    return cut(speech, tmp_path_factory.mktemp("sound") / "second.wav", 1.0)


@pytest.fixture
def free_port() -> int:
    """A port of this machine that nothing listens at."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory, speech: Path) -> Path:
    """Two recordings and four sounds without a voice, listened to by the real encoders."""
    import csv

    import soundfile

    from portrait_anim.training.speech.voices import write_corpus

    samples, rate = soundfile.read(speech, dtype="float32")
    audio = tmp_path_factory.mktemp("audio")
    rows = [("a.wav", "train"), ("b.wav", "train"), ("c.wav", "validate only"), ("music/d.wav", "train")]
    for number, (name, _) in enumerate(rows[:3]):
        soundfile.write(audio / name, samples[number * rate : (number + 2) * rate], rate)
    with (audio / "index.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "use"), *rows])
    folder = tmp_path_factory.mktemp("corpus")
    assert write_corpus(audio, folder, workers=1, n_rests=4) == 2
    return folder


def cut(source: Path, target: Path, duration_s: float, start_s: float = 0.5) -> Path:
    """Write a stretch of ``source`` to the wav file ``target``; shorter sources are repeated."""
    import numpy as np
    import soundfile

    samples, rate = soundfile.read(source)
    wanted = np.arange(round(start_s * rate), round((start_s + duration_s) * rate)) % len(samples)
    soundfile.write(target, samples[wanted], rate, "PCM_16")
    return target


def command(name: str = "animate") -> list[str]:
    """The installed console command, or its module where the package is used from the source tree."""
    installed = Path(sys.executable).parent / name
    if installed.exists():
        return [str(installed)]
    return [sys.executable, "-m", "portrait_anim", *(["animate"] if name == "animate" else [])]


def environment() -> dict[str, str]:
    """This process's environment, with the source tree importable."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))}


def run_cli(
    arguments: Sequence[str | Path], cwd: Path, *, name: str = "animate", timeout_s: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run the real command in a folder."""
    return subprocess.run(
        [*command(name), *map(str, arguments)], cwd=cwd, env=environment(), capture_output=True, text=True,
        timeout=timeout_s, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
