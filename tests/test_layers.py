"""The layer rules of docs/architecture.md, read off the imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "portrait_anim"
MODULES = sorted(PACKAGE.rglob("*.py"))
MAX_LINES = 330

FOUNDATION = {
    "weights", "device", "ffmpeg", "waveform", "files", "config", "errors", "options", "opencv", "threads",
    "timeline", "torch_guard", "containers", "track", "fingerprint",
}  # fmt: skip
PARTS = {"provenance", "video", "render", "motion", "face", "audio"}
BETWEEN_PARTS = {("render", "face"), ("motion", "face"), ("motion", "audio"), ("provenance", "video")}
BESIDE = {"training", "evaluation"}
TOP = {"cli", "cli_display", "app", "info", "__main__"}
PARTS_COMMANDS = {("provenance", "verify_cli")}


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Return the package's own modules that a file imports, as dotted names without the package's."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    own = {name.removeprefix("portrait_anim.") for name in found if name.startswith("portrait_anim.")}
    return {name for name in own if not name.startswith("__")}  # __version__


def allowed(importer: str, target: str) -> bool:
    if target in FOUNDATION or importer == target:
        return True
    if importer in FOUNDATION:
        return False
    if importer in PARTS:
        return (importer, target) in BETWEEN_PARTS
    if importer == "animation":
        return target == "motion"
    if importer == "pipeline":
        return target in PARTS | {"animation"}
    if importer == "__init__":
        return target in {"animation", "pipeline", "provenance"}
    if importer in BESIDE:
        return target in PARTS | BESIDE | {"pipeline"}
    return importer in TOP and target not in BESIDE


def test_rules_know_every_module() -> None:
    parts = {part_of(path) for path in MODULES}
    assert parts <= FOUNDATION | PARTS | BESIDE | TOP | {"pipeline", "animation", "__init__"}
    assert len(MODULES) > 30


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_downwards(path: Path) -> None:
    wrong = {name for name in imported(path) if not allowed(part_of(path), name.split(".")[0])}
    assert not wrong, f"{path.relative_to(PACKAGE)} may not import {sorted(wrong)}"


def test_rules_refuse_what_they_should() -> None:
    assert not allowed("render", "motion")
    assert not allowed("face", "audio")
    assert not allowed("motion", "pipeline")
    assert not allowed("pipeline", "training")
    assert not allowed("cli", "training")
    assert not allowed("weights", "face")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_are_short_and_silent(path: Path) -> None:
    text = path.read_text("utf-8")
    assert len(text.splitlines()) <= MAX_LINES
    prints = [
        node.lineno
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not prints or "cli" in path.stem, f"{path} prints in lines {prints}"


@pytest.mark.parametrize(
    "code",
    [
        "import portrait_anim",
        "from portrait_anim import cli; cli.main(['--help'])",
        "from portrait_anim import cli; cli.animate_main(['--help'])",
        "from portrait_anim import cli; cli.animate_main(['--version'])",
        "from portrait_anim import cli; cli.main(['prepare', '--help'])",
        "from portrait_anim import cli; cli.main(['train', '--help'])",
        "from portrait_anim import cli; cli.main(['evaluate', '--help'])",
        "from portrait_anim import cli; cli.main(['verify', '--help'])",
    ],
)
def test_nothing_heavy_is_imported(code: str) -> None:
    check = "import atexit, sys; atexit.register(lambda: print('HEAVY', *{'torch', 'numpy', 'cv2'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", f"{check}; {code}"], cwd=PACKAGE.parent, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "HEAVY"
