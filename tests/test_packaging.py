"""The environment and the project file: one OpenCV, no second torch, everything pinned."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from conftest import ROOT, environment
from packaging.requirements import Requirement

from portrait_anim.cli.main import animate_main
from portrait_anim.system import opencv

pytestmark = pytest.mark.package

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def plain(requirement: str) -> str:
    return re.split(r"[\[<>=!~ ;]", requirement)[0].lower().replace("_", "-")


def pinned(name: str) -> dict[str, str]:
    lines = (ROOT / name).read_text("utf-8").splitlines()
    return {plain(line): line.split("==")[1] for line in lines if "==" in line and not line.startswith("#")}


PINNED, PINNED_LIVE = pinned("constraints.txt"), pinned("constraints-live.txt")
LIVE = ("pipecat", "livekit", "curves", "camera")  # extras that go with constraints-live.txt


def test_one_opencv_build_is_installed() -> None:
    assert len(opencv.builds()) == 1


def test_neither_torchvision_nor_torchaudio_nor_mediapipe() -> None:
    names = {plain(distribution.metadata["Name"]) for distribution in metadata.distributions()}
    assert not names & {"torchvision", "torchaudio", "mediapipe"}
    assert not set(PINNED) & {"torchvision", "torchaudio", "mediapipe"}


def test_every_direct_dependency_is_pinned_and_in_range() -> None:
    extras = [line for name, lines in PROJECT["optional-dependencies"].items() if name not in LIVE for line in lines]
    wanted = {plain(line) for line in [*PROJECT["dependencies"], *extras]} - {"portrait-anim"}
    assert wanted <= set(PINNED)
    assert "+" not in PINNED["torch"]
    assert PINNED["opencv-python"] == PINNED["opencv-python-headless"]


def test_the_live_extras_and_the_core_go_with_constraints_of_their_own() -> None:
    extras = [line for name in LIVE for line in PROJECT["optional-dependencies"][name]]
    for line in [*PROJECT["dependencies"], *extras]:
        wanted = Requirement(line)
        assert wanted.specifier.contains(PINNED_LIVE[plain(line)]), line
    assert "opencv-python-headless" not in PINNED_LIVE  # it would be a second build
    assert not any("+" in version for version in PINNED_LIVE.values())
    assert not set(PINNED_LIVE) & {"torchvision", "torchaudio", "mediapipe"}


def test_everything_imported_is_declared() -> None:
    """A package that comes only with another one may go with it."""
    modules = {"PIL": "pillow", "cv2": "opencv-python", "c2pa": "c2pa-python", "skimage": "scikit-image",
               "hibari": "hibari-tts", "pipecat": "pipecat-ai", "livekit": "livekit-agents"}  # fmt: skip
    declared = {plain(line) for line in PROJECT["dependencies"]}
    declared |= {plain(line) for lines in PROJECT["optional-dependencies"].values() for line in lines}
    found = set()
    for path in (ROOT / "portrait_anim").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.split(".")[0])
    third = {name for name in found if name not in sys.stdlib_module_names and name != "portrait_anim"}
    names = {modules.get(name, name.replace("_", "-")) for name in third}
    by_hand = {"ctranslate2", "hama"}  # only the commands that convert the encoders again
    assert names - declared <= by_hand


@pytest.mark.skipif(sys.platform != "linux", reason="the loader's messages are Linux's")
def test_opencv_that_does_not_load_is_one_line(tmp_path: Path, astronaut: Path, second_of_speech: Path) -> None:
    """The real loader fails on a libGL that is no library, as it does where there is none."""
    if "opencv-python" not in opencv.builds():
        pytest.skip("the headless build needs no libGL")
    (tmp_path / "libGL.so.1").touch()
    done = subprocess.run(
        [sys.executable, "-m", "portrait_anim", "animate", astronaut, second_of_speech, "-o", tmp_path / "film.mp4"],
        env={**environment(), "LD_LIBRARY_PATH": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"error: OpenCV does not load ({tmp_path}/libGL.so.1: ")
    assert "apt-get install -y libgl1 libglib2.0-0" in lines[0]
    version = opencv.builds()["opencv-python"]
    assert f"uninstall -y opencv-python && {sys.executable} -m pip install --no-deps" in lines[0]
    assert f"opencv-python-headless=={version}" in lines[0]
    assert [path.name for path in tmp_path.iterdir()] == ["libGL.so.1"]


def test_versions_agree() -> None:
    from portrait_anim import __version__

    assert f"version: {__version__}\n" in (ROOT / "CITATION.cff").read_text("utf-8")
    with pytest.raises(SystemExit) as stopped:
        animate_main(["--version"])
    assert stopped.value.code == 0
