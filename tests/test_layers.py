"""The layer rules of docs/architecture.md, read off the imports."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

PACKAGE = Path(__file__).parents[1] / "portrait_anim"
MODULES = sorted(PACKAGE.rglob("*.py"))
MAX_LINES = 300
MAX_ROOT_MODULES = 8
ROOT_MODULES = {"__init__", "__main__", "version", "errors", "config", "animation", "stages", "pipeline"}
VALUES = {"version", "errors", "config", "options"}  # imported from everywhere
# room or root module -> what it may import beside itself and VALUES; nothing else is allowed
MAY_IMPORT = {
    "version": set(),
    "errors": set(),
    "config": set(),
    "options": set(),
    "system": set(),
    "audio": {"system"},
    "face": {"system"},
    "motion": {"system", "face", "audio"},
    "render": {"system", "face"},
    "captions": {"system", "face"},
    "video": {"system", "audio"},
    "provenance": {"system", "video"},
    "animation": {"motion"},
    "drivers": {"system", "audio", "face", "motion", "video"},
    "stages": {
        "system",
        "audio",
        "face",
        "motion",
        "render",
        "captions",
        "video",
        "provenance",
        "animation",
        "drivers",
    },
    "pipeline": {
        "stages",
        "system",
        "audio",
        "face",
        "motion",
        "render",
        "captions",
        "video",
        "provenance",
        "animation",
        "drivers",
    },
    "live": {"system", "audio", "face", "motion", "render", "video", "provenance", "animation", "drivers", "stages"},
    "agents": {"audio", "live"},
    "__init__": {"system", "audio", "animation", "pipeline", "provenance", "live"},
    "call": {"live"},
    "batch": {"system", "motion", "video", "provenance", "animation", "stages", "pipeline"},
    "service": {"system", "audio", "pipeline"},
    "app": {"system", "video", "service"},
    "training": {"system", "audio", "face", "motion", "video"},
    "evaluation": {"system", "audio", "face", "motion", "render", "video", "training", "pipeline"},
    "cli": {
        "system",
        "audio",
        "motion",
        "video",
        "live",
        "call",
        "provenance",
        "animation",
        "pipeline",
        "app",
        "service",
        "batch",
        "training",
        "evaluation",
    },
    "__main__": {"cli"},
}
SPEAKING = {"cli", "app"}  # rooms that may print


def name_of(path: Path) -> str:
    """Return the dotted name within the package; a package's own name for its ``__init__``."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


NAMES = {name_of(path) for path in MODULES}


def imported(path: Path) -> set[str]:
    """Return the package's own modules that a file imports anywhere in it, as dotted names without the package's."""
    return {name for node in ast.walk(ast.parse(path.read_text("utf-8"))) for name in _names_in(node, path)}


def _names_in(node: ast.AST, path: Path) -> Iterator[str]:
    if isinstance(node, ast.Import):
        wanted = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"{path}: relative import"
        wanted = [f"{node.module}.{alias.name}" for alias in node.names]
    else:
        return
    for full in wanted:
        if full == "portrait_anim" or full.startswith("portrait_anim."):
            own = full.removeprefix("portrait_anim").removeprefix(".")
            while own and own not in NAMES:
                own = own.rpartition(".")[0]
            yield own or "__init__"


def allowed(importer: str, target: str) -> bool:
    """Whether a room or root module may import another."""
    return importer == target or target in VALUES or target in MAY_IMPORT[importer]


def test_rules_know_every_room_and_the_root_is_small() -> None:
    rooms = {name_of(path).split(".")[0] for path in MODULES}
    assert rooms <= set(MAY_IMPORT)
    at_root = {path.stem for path in PACKAGE.glob("*.py")}
    assert at_root <= ROOT_MODULES
    assert len(at_root) <= MAX_ROOT_MODULES
    assert len(MODULES) > 30


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_go_downwards(path: Path) -> None:
    room = name_of(path).split(".")[0]
    wrong = {name for name in imported(path) if not allowed(room, name.split(".")[0])}
    assert not wrong, f"{path.relative_to(PACKAGE)} may not import {sorted(wrong)}"


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {name_of(path): imported(path) - {name_of(path)} for path in MODULES}
    graphlib.TopologicalSorter(graph).prepare()  # CycleError names the modules


def test_rules_refuse_what_they_should() -> None:
    for importer, target in (
        ("render", "motion"), ("face", "audio"), ("motion", "pipeline"), ("pipeline", "training"), ("app", "training"),
        ("system", "face"), ("training", "evaluation"), ("provenance", "__init__"), ("drivers", "render"),
    ):  # fmt: skip
        assert not allowed(importer, target)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_are_short(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= MAX_LINES


def spoken(text: str) -> list[int]:
    """Return the lines that print or write on stdout or stderr."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(text))
        if (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print")
        or (
            isinstance(node, ast.Attribute)
            and node.attr in {"write", "writelines"}
            and ast.unparse(node.value) in {"sys.stdout", "sys.stderr", "stdout", "stderr"}
        )
    ]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_the_commands_and_the_page_speak(path: Path) -> None:
    lines = spoken(path.read_text("utf-8"))
    assert not lines or name_of(path).split(".")[0] in SPEAKING, f"{path} prints in lines {lines}"


def test_printing_is_seen() -> None:
    assert spoken("print(1)\nsys.stdout.write('x')\nsys.stderr.writelines([])\nfile.write('x')") == [1, 2, 3]


@pytest.mark.parametrize(
    "code",
    [
        "import portrait_anim",
        *(
            f"from portrait_anim.cli import main; main.{command}"
            for command in (
                "main(['--help'])", "animate_main(['--help'])", "animate_main(['--version'])",
                "main(['prepare', '--help'])", "main(['train', '--help'])", "main(['evaluate', '--help'])",
                "main(['verify', '--help'])", "main(['info', '--help'])", "main(['app', '--help'])",
                "main(['serve', '--help'])",
                "main(['batch', '--help'])", "main(['live', '--help'])",
            )
        ),
    ],
)  # fmt: skip
def test_nothing_heavy_is_imported(code: str) -> None:
    check = "import atexit, sys; atexit.register(lambda: print('HEAVY', *{'torch', 'numpy', 'cv2'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", f"{check}; {code}"], cwd=PACKAGE.parent, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "HEAVY"
