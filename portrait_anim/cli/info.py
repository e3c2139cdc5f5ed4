"""``portrait-anim info``: versions, device, weights and their licences."""

from __future__ import annotations

import argparse
import json
import os
import platform
from importlib import metadata
from typing import Any

from portrait_anim.errors import DependencyError, WeightsError
from portrait_anim.system.device import pick_device
from portrait_anim.system.ffmpeg import ffmpeg_exe
from portrait_anim.system.weights import folder, registry, weight_path
from portrait_anim.version import __version__

PACKAGES = ("torch", "numpy", "scipy", "librosa", "ai-edge-litert", "face-alignment", "pillow", "imageio-ffmpeg")
SHOWN_DATA = 4  # names of training data shown per file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def run(args: argparse.Namespace) -> int:
    """Print versions, device and weights with their licences."""
    facts = collect()
    print(as_json(facts) if args.json else as_text(facts))
    return 0


def collect() -> dict[str, Any]:
    """Return everything as JSON's types; what is not there is None or says why."""
    versions: dict[str, str | None] = {"portrait_anim": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    try:
        from portrait_anim.system.opencv import builds

        versions.update(builds())
    except DependencyError as e:
        versions["opencv"] = str(e)
    try:
        ffmpeg = ffmpeg_exe()
    except DependencyError as e:
        ffmpeg = str(e)
    weights = [
        {
            "name": entry.name,
            "file": entry.file,
            "bytes": entry.bytes,
            "sha256": entry.sha256,
            "intact": _intact(entry.name),
            "licence": entry.licence,
            "training_data": list(entry.training_data),
            "figures": entry.figures,
        }
        for entry in registry().values()
    ]
    return {
        "versions": versions,
        "platform": platform.platform(),
        "device": str(pick_device("auto")),
        "processors": os.cpu_count(),
        "ffmpeg": ffmpeg,
        "weights_folder": str(folder()),
        "weights": weights,
    }


def _intact(name: str) -> bool:
    try:
        weight_path(name)
    except WeightsError:
        return False
    return True


def as_json(facts: dict[str, Any]) -> str:
    """Return the facts as JSON text."""
    return json.dumps(facts, indent=2, ensure_ascii=False)


def as_text(facts: dict[str, Any]) -> str:
    """Return the facts for reading."""
    lines = [f"{name:16} {version or 'not installed'}" for name, version in facts["versions"].items()]
    lines += [f"{key:16} {facts[key]}" for key in ("platform", "device", "processors", "ffmpeg", "weights_folder")]
    lines += ["", "weights"]
    for entry in facts["weights"]:
        state = "" if entry["intact"] else "  DAMAGED OR MISSING: install portrait-anim again"
        lines.append(f"  {entry['name']:24} {entry['bytes'] / 1e6:5.1f} MB  {entry['licence']}{state}")
        data = entry["training_data"]
        more = f" and {len(data) - SHOWN_DATA} more (--json names them)" if len(data) > SHOWN_DATA else ""
        lines.append(f"  {'':24} trained on {'; '.join(data[:SHOWN_DATA])}{more}")
    return "\n".join(lines)
