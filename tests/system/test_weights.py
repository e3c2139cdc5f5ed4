"""The registry and the weight files it names."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from portrait_anim.errors import WeightsError
from portrait_anim.options import WEIGHT_SETS
from portrait_anim.system import weights

pytestmark = pytest.mark.unit

ENTRIES = sorted(weights.registry())


def test_every_file_is_registered() -> None:
    files = {path.name for path in weights.folder().iterdir()} - {weights.REGISTRY}
    assert files == {entry.file for entry in weights.registry().values()}


@pytest.mark.parametrize("name", ENTRIES)
def test_entry_is_complete_and_intact(name: str) -> None:
    entry = weights.registry()[name]
    path = weights.weight_path(name)
    assert path.stat().st_size == entry.bytes
    assert len(entry.sha256) == 64
    assert entry.licence
    assert entry.source
    assert entry.command
    assert entry.training_data
    assert all(entry.training_data)
    assert path.suffix in (".safetensors", ".tflite")
    assert path.stat().st_mode & 0o044 == 0o044, "others must be able to read an installed file"


def test_both_motion_sets_ship_with_licence_and_data() -> None:
    registry = weights.registry()
    assert {f"motion_{name}" for name in WEIGHT_SETS} <= set(registry)
    assert "NC" in registry["motion_default"].licence
    assert "NC" not in registry["motion_open"].licence
    unclear = [name for name in registry["motion_open"].training_data if "none stated" in name]
    assert not unclear


def test_tensors_and_metadata() -> None:
    tensors = weights.load_tensors("motion_default")
    assert tensors["basis"].shape[1:] == (478, 3)
    assert json.loads(weights.load_metadata("motion_default")["config"])


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the folder that may be spoiled."""
    source = weights.folder()
    for name in (weights.REGISTRY, "face_mesh.safetensors"):
        shutil.copy(source / name, tmp_path / name)
    monkeypatch.setattr(weights, "folder", lambda: tmp_path)
    weights.registry.cache_clear()
    weights.weight_path.cache_clear()
    yield tmp_path
    monkeypatch.undo()
    weights.registry.cache_clear()
    weights.weight_path.cache_clear()


def test_damaged_file_is_refused(copied: Path) -> None:
    path = copied / "face_mesh.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=r"damaged.*install portrait-anim again"):
        weights.load_tensors("face_mesh")


def test_missing_file_and_name(copied: Path) -> None:
    (copied / "face_mesh.safetensors").unlink()
    with pytest.raises(WeightsError, match="missing at"):
        weights.weight_path("face_mesh")
    with pytest.raises(WeightsError, match="no weights called 'motion_best'"):
        weights.weight_path("motion_best")


def test_register_writes_an_entry_that_loads(copied: Path) -> None:
    import torch
    from safetensors.torch import save_file

    path = copied / "new.safetensors"
    save_file({"a": torch.arange(3)}, path, {"config": "{}"})
    made = weights.register(
        "new", path, licence="CC-BY-4.0", training_data=["grid_s1"], source="here", command="c", figures={"r": 0.9}
    )
    assert weights.registry()["new"] == made
    assert weights.load_tensors("new")["a"].tolist() == [0, 1, 2]
    assert weights.load_metadata("new") == {"config": "{}"}
    assert "face_mesh" in weights.registry()
    assert not list(copied.glob("*.tmp"))
