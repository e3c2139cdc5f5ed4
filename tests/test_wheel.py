"""The wheel holds everything: built, installed where there is no source, run with the network cut."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from conftest import EXAMPLES, ROOT, cut

from portrait_anim.system.weights import registry
from portrait_anim.video.reader import probe

pytestmark = pytest.mark.package

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling", reason="hatchling is not installed")
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", str(folder)]
    done = subprocess.run([*build, str(ROOT)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (made,) = folder.glob("portrait_anim-*.whl")
    return made


def test_contents(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    source = {str(path.relative_to(ROOT)) for path in (ROOT / "portrait_anim").rglob("*.py")}
    assert source <= names
    page = {str(path.relative_to(ROOT)) for path in (ROOT / "portrait_anim" / "call" / "static").iterdir()}
    assert len(page) == 3
    assert page <= names
    weights = {f"portrait_anim/checkpoints/{entry.file}" for entry in registry().values()}
    assert weights | {"portrait_anim/checkpoints/registry.json", "portrait_anim/py.typed"} <= names
    assert not [name for name in names if name.startswith(("tests/", "examples/", "checkpoints/"))]
    assert {"LICENSE", "LICENSE_weights"} <= {Path(name).name for name in names}


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment that holds the wheel, and sees the other packages of this one; not this package's source."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (site,) = folder.glob("lib/python*/site-packages")
    # pth files in the folder added here are not read, so an editable installation of this package stays unseen
    (site / "others.pth").write_text(f"{sysconfig.get_paths()['purelib']}\n{sysconfig.get_paths()['platlib']}\n")
    return folder


@pytest.mark.skipif(sys.platform == "win32", reason="paths of POSIX environments")
def test_makes_a_film_without_source_and_network(installed: Path, tmp_path: Path) -> None:
    shutil.copy(EXAMPLES / "astronaut.jpg", tmp_path)
    cut(EXAMPLES / "speech.flac", tmp_path / "second.wav", 1.0)
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", *PROXIES)}
    nowhere = kept | dict.fromkeys(PROXIES, "http://127.0.0.1:9")
    cage = ["unshare", "--net"]
    can_cut = (
        shutil.which("unshare") and subprocess.run([*cage, "true"], capture_output=True, check=False).returncode == 0
    )
    prefix = cage if can_cut else []

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*prefix, *words], cwd=tmp_path, env=nowhere, capture_output=True, text=True, check=False, timeout=300
        )

    where = run(str(installed / "bin" / "python"), "-c", "import portrait_anim; print(portrait_anim.__file__)")
    assert Path(where.stdout.strip()).is_relative_to(installed), where.stdout + where.stderr
    done = run(str(installed / "bin" / "animate"), "astronaut.jpg", "second.wav", "--max-size", "256")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "wrote astronaut_second.mp4: 1.00 s, 25 frames at 25 fps, 256x256\n"
    assert probe(tmp_path / "astronaut_second.mp4").n_frames == 25
    info = run(str(installed / "bin" / "portrait-anim"), "info")
    assert str(installed) in next(line for line in info.stdout.splitlines() if line.startswith("weights_folder"))
    assert "DAMAGED" not in info.stdout
