"""The registry of weight files: their paths, origin, licence and hashes, which are checked before use."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from portrait_anim.errors import WeightsError

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import Tensor

_PACKAGE = Path(__file__).parents[1]
REGISTRY = "registry.json"


@dataclass(frozen=True)
class WeightEntry:
    """One line of the registry.

    Attributes:
        name: what the code asks for.
        file: file name beside the registry.
        sha256, bytes: of the file.
        licence: of the weights.
        training_data: the data they were trained on, by name.
        source: where they come from.
        command: what makes the file again.
        figures: measured values, by name.
    """

    name: str
    file: str
    sha256: str
    bytes: int
    licence: str
    training_data: tuple[str, ...]
    source: str
    command: str
    figures: dict[str, Any] = field(default_factory=dict)


def folder() -> Path:
    """Return the folder that holds the weights: inside the installed package, else the source tree's."""
    for candidate in (_PACKAGE / "checkpoints", _PACKAGE.parent / "checkpoints"):
        if (candidate / REGISTRY).is_file():
            return candidate
    raise WeightsError(f"no weights beside {_PACKAGE}: install portrait-anim again")


@cache
def registry() -> dict[str, WeightEntry]:
    """Return every registered weight file by name."""
    return read_registry(folder() / REGISTRY)


def read_registry(path: Path) -> dict[str, WeightEntry]:
    """Return the entries of a registry file by name.

    Raises:
        WeightsError: it cannot be read, or is no registry.
    """
    try:
        lines = json.loads(path.read_text("utf-8"))
        entries = {
            name: WeightEntry(name=name, **{**line, "training_data": tuple(line["training_data"])})
            for name, line in lines.items()
        }
        plain = all(
            isinstance(entry.file, str) and isinstance(entry.sha256, str) and Path(entry.file).name == entry.file
            for entry in entries.values()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
        reason = e.strerror if isinstance(e, OSError) else "not such a file"
        raise WeightsError(f"the list of weights {path} cannot be read ({reason}): install portrait-anim again") from e
    if not plain:
        raise WeightsError(f"the list of weights {path} names no plain files: install portrait-anim again")
    return entries


@cache
def weight_path(name: str) -> Path:
    """Return the path of the weights called ``name``, verified once a process.

    Raises:
        WeightsError: no such entry, the file is missing, or it does not match its sha256.
    """
    entry = registry().get(name)
    if entry is None:
        raise WeightsError(f"no weights called {name!r}: the registry has {', '.join(sorted(registry()))}")
    path = folder() / entry.file
    if not path.is_file():
        raise WeightsError(f"weights {name!r} are missing at {path}: install portrait-anim again")
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as e:
        raise WeightsError(f"weights {name!r} at {path} cannot be read ({e.strerror}): check the disk") from e
    if digest != entry.sha256:
        raise WeightsError(
            f"weights {name!r} at {path} are damaged (sha256 {digest[:12]}…): install portrait-anim again"
        )
    return path


def digests(*names: str) -> dict[str, str]:
    """Return name -> SHA-256 of registered weight files."""
    return {name: registry()[name].sha256 for name in names}


def load_tensors(name: str) -> dict[str, Tensor]:
    """Return the tensors of the safetensors weights called ``name``, on the CPU."""
    from safetensors.torch import load_file

    return load_file(weight_path(name))


def load_array(name: str, tensor: str) -> npt.NDArray[Any]:
    """Return one tensor of the safetensors weights called ``name``, as a numpy array."""
    from safetensors import safe_open

    with safe_open(weight_path(name), framework="numpy") as file:
        array: npt.NDArray[Any] = file.get_tensor(tensor)
    return array


def load_metadata(name: str) -> dict[str, str]:
    """Return the metadata in the header of the safetensors weights called ``name``."""
    from safetensors import safe_open

    with safe_open(weight_path(name), framework="numpy") as file:
        return dict(file.metadata() or {})


def register(
    name: str,
    path: Path,
    *,
    licence: str,
    training_data: list[str],
    source: str,
    command: str,
    figures: dict[str, Any] | None = None,
) -> WeightEntry:
    """Write the entry for a weight file into the registry beside it (made if absent), atomically."""
    data = path.read_bytes()
    path.chmod(0o644)  # safetensors makes files that only their owner may read
    entry = WeightEntry(
        name, path.name, hashlib.sha256(data).hexdigest(), len(data), licence, tuple(training_data), source, command,
        figures or {},
    )  # fmt: skip
    target = path.parent / REGISTRY
    lines = json.loads(target.read_text("utf-8")) if target.is_file() else {}
    lines[name] = {key: value for key, value in asdict(entry).items() if key != "name"}
    temporary = target.with_suffix(".tmp")
    temporary.write_text(json.dumps(dict(sorted(lines.items())), indent=2, ensure_ascii=False) + "\n", "utf-8")
    temporary.replace(target)
    registry.cache_clear()
    weight_path.cache_clear()
    return entry
