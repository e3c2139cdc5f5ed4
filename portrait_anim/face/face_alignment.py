"""The ``face-alignment`` backend: 68 points (Bulat & Tzimiropoulos 2017), mapped onto the 478-point mesh.

The boxes come from our own face detector, so only the landmark net is needed. The mesh is the canonical face posed by
the 68 points and bent to fit them by a thin-plate spline; the iris is placed in the middle of the lids.
"""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.interpolate import RBFInterpolator

from portrait_anim.errors import DependencyError
from portrait_anim.face.facemesh import FacemeshLandmarker
from portrait_anim.face.mesh import EYE_LEFT, EYE_RIGHT, IRIS_LEFT, IRIS_RIGHT, topology
from portrait_anim.face.types import Array, Face, Image

logger = logging.getLogger(__name__)

WEIGHTS = "2DFAN4-11f355bf06.pth.tar"
URL = f"https://www.adrianbulat.com/downloads/python-fan/{WEIGHTS}"

# mesh point of each of the 68 (jaw 0-16, brows 17-26, nose 27-35, eyes 36-47, lips 48-67)
MESH_OF_68 = (
    127, 234, 93, 132, 58, 172, 150, 176, 152, 400, 379, 397, 288, 361, 323, 454, 356,
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300,
    168, 197, 5, 4, 98, 97, 2, 326, 327,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91,
    78, 81, 13, 311, 308, 402, 14, 178,
)  # fmt: skip
_CONTOUR = 17  # number of points on the jaw; they slide along the outline, so they change the shape less than others


def mesh_from_68(points: npt.NDArray[np.floating]) -> Array:
    """Place the 478 mesh points on a face of which 68 points are known.

    Args:
        points: (68, 2) px, image space.

    Returns:
        (478, 3) px; depth is the canonical face's, posed.
    """
    canonical = topology().vertices.astype(np.float64)
    index = list(MESH_OF_68)
    source = canonical[index] * [1, -1, -1]  # to image axes
    target = np.asarray(points, np.float64)
    inner = slice(_CONTOUR, None)
    # weak perspective: a 2 x 4 affine camera, its rows made orthogonal and equally long
    design = np.concatenate([source[inner], np.ones((len(source) - _CONTOUR, 1))], axis=1)
    camera = np.linalg.lstsq(design, target[inner], rcond=None)[0].T  # (2, 4)
    u, singular, vt = np.linalg.svd(camera[:, :3], full_matrices=False)
    scale = float(singular.mean())
    rows = u @ vt
    third = np.cross(rows[0], rows[1])
    rotation = np.stack([rows[0], rows[1], third])
    placed = scale * (canonical * [1, -1, -1]) @ rotation.T
    placed[:, :2] += target[inner].mean(0) - placed[index][inner, :2].mean(0)
    bend = RBFInterpolator(
        placed[index][:, :2], target - placed[index][:, :2], kernel="thin_plate_spline", smoothing=1e-3 * scale
    )
    placed[:, :2] += bend(placed[:, :2])
    placed[index[inner.start :], :2] = target[inner]
    for eye, iris in ((EYE_LEFT, IRIS_LEFT), (EYE_RIGHT, IRIS_RIGHT)):
        shift = placed[list(eye)].mean(0) - placed[iris[0]]
        placed[list(iris)] += shift
    return np.asarray(placed, np.float32)


def weight_file() -> Path:
    """Return where face-alignment's weights are, or should be, on this machine."""
    home = Path(os.environ.get("TORCH_HOME") or Path.home() / ".cache" / "torch")
    return home / "hub" / "checkpoints" / WEIGHTS


class FaceAlignmentLandmarker:
    """Finds faces with our detector and places 68 points with face-alignment's net; about 1 s a face on a CPU.

    Args:
        device: torch device.

    Raises:
        DependencyError: the package or its weights are not on this machine.
    """

    name = "face-alignment"

    def __init__(self, device: str = "cpu") -> None:
        self._net = self._load(device)
        self._digest = hashlib.sha256(weight_file().read_bytes()).hexdigest()
        self._finder = FacemeshLandmarker()

    @staticmethod
    def _load(device: str) -> Any:
        cached = weight_file()
        if not cached.is_file():
            raise DependencyError(
                f"face-alignment's weights are not at {cached}: curl -L --create-dirs -o '{cached}' {URL} "
                "(or use --landmarker facemesh, which needs nothing more)"
            )
        try:
            import face_alignment
            from face_alignment.detection import folder  # noqa: F401  needs no weights
        except ImportError as e:
            raise DependencyError(f"face-alignment does not load ({e}): pip install face-alignment") from e
        return face_alignment.FaceAlignment(
            face_alignment.LandmarksType.TWO_D,
            device=device,
            compile=False,
            flip_input=False,
            face_detector="folder",
        )

    def models(self) -> dict[str, str]:
        """Return name -> SHA-256 of the weight files: face-alignment's own and those of the face detector."""
        return {**self._finder.models(), WEIGHTS.split(".")[0]: self._digest}

    @property
    def nets(self) -> FacemeshLandmarker:
        """Our own face nets, which find the faces here too."""
        return self._finder

    def _place(self, image: Image, found: Face) -> Face:
        boxes = [np.append(found.bbox, found.score)]
        (points,) = self._net.get_landmarks_from_image(image, detected_faces=boxes)
        return Face.from_landmarks(mesh_from_68(points), found.score)

    def detect(self, image: Image) -> list[Face]:
        """Return the faces of ``image`` (H, W, 3) RGB, largest first."""
        return [self._place(image, found) for found in self._finder.detect(image)]

    def at(self, image: Image, box: Array) -> Face:
        """Return the face in a box (4,) x0 y0 x1 y1 px, whether one is seen there or not."""
        return self._place(image, self._finder.at(image, box))

    def track(self, image: Image, previous: Face | None) -> Face | None:
        """Return the face of a video's next frame."""
        found = self._finder.track(image, previous)
        return self._place(image, found) if found else None
