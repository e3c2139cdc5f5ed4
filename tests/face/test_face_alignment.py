"""The face-alignment backend: its mapping, its message when weights are missing, its real code path."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import EXAMPLES

from portrait_anim.face.detect import make_landmarker
from portrait_anim.face.face_alignment import MESH_OF_68, WEIGHTS, mesh_from_68
from portrait_anim.face.facemesh import FacemeshLandmarker
from portrait_anim.face.mesh import LIPS_INNER
from portrait_anim.face.photo import load_photo

pytestmark = pytest.mark.media


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("**/*.jpg")), ids=lambda path: path.stem)
def test_mesh_from_its_own_68_points(path: Path) -> None:
    truth = FacemeshLandmarker().detect(load_photo(path).pixels)[0].landmarks
    mesh = mesh_from_68(truth[list(MESH_OF_68), :2])
    iod = np.linalg.norm(truth[33, :2] - truth[263, :2])
    error = np.linalg.norm(mesh[:, :2] - truth[:, :2], axis=1) / iod
    assert np.median(error) < 0.02
    assert np.percentile(error, 95) < 0.08
    assert error[list(LIPS_INNER)].max() < 0.03
    assert np.corrcoef(mesh[:, 2], truth[:, 2])[0, 1] > 0.9


def test_missing_weights_name_the_command(tmp_path: Path) -> None:
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "portrait_anim", "animate", str(EXAMPLES / "astronaut.jpg"),
         str(EXAMPLES / "speech.flac"), "-o", str(tmp_path / "a.mp4"), "--landmarker", "face-alignment"],
        capture_output=True, text=True, env={**os.environ, "TORCH_HOME": str(tmp_path)}, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert time.monotonic() - start < 30
    assert WEIGHTS in done.stderr
    assert "curl" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_real_net_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """face-alignment's own net with random weights in its cache: loading, cropping and decoding are real."""
    from face_alignment.models import FAN

    torch.manual_seed(0)
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(FAN(4).state_dict(), folder / WEIGHTS)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    image = load_photo(EXAMPLES / "astronaut.jpg").pixels
    (face,) = make_landmarker("face-alignment").detect(image)
    assert face.landmarks.shape == (478, 3)
    assert np.isfinite(face.landmarks).all()
