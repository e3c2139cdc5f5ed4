"""Finding faces: the result type, the protocol of a backend, and the choice of one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from portrait_anim.errors import OptionError
from portrait_anim.system.torch_guard import check_fork, undrawn

if TYPE_CHECKING:
    from portrait_anim.face.second_look import Looker

Array = npt.NDArray[np.float32]
Image = npt.NDArray[np.uint8]

LANDMARKERS = ("facemesh", "face-alignment")


@dataclass(frozen=True)
class Face:
    """One face in a picture.

    Attributes:
        landmarks: (478, 3) px, image space: x right, y down, z away from the viewer; pixel centres at integers.
        bbox: (4,) px, x0 y0 x1 y1 around the landmarks.
        score: presence, 0..1.
    """

    landmarks: Array
    bbox: Array
    score: float

    @classmethod
    def from_landmarks(cls, landmarks: Array, score: float) -> Face:
        """Build a face whose box encloses ``landmarks`` (478, 3)."""
        xy = landmarks[:, :2]
        return cls(landmarks, np.concatenate([xy.min(0), xy.max(0)]).astype(np.float32), score)

    @property
    def area(self) -> float:
        """Area of the box in square pixels."""
        x0, y0, x1, y1 = self.bbox
        return float((x1 - x0) * (y1 - y0))


class Landmarker(Protocol):
    """A backend that finds faces and places the 478 mesh points on them."""

    name: str

    def models(self) -> dict[str, str]:
        """Return name -> SHA-256 of every weight file it uses."""
        ...

    @property
    def nets(self) -> Looker:
        """The nets that judge what was found, the same for every backend."""
        ...

    def detect(self, image: Image) -> list[Face]:
        """Return the faces of ``image`` (H, W, 3) RGB, largest first; an empty list when there is none."""
        ...

    def track(self, image: Image, previous: Face | None) -> Face | None:
        """Return the face of a video's next frame, looked for where it was; ``None`` when it is lost."""
        ...


def make_landmarker(name: str = "facemesh", device: str = "cpu") -> Landmarker:
    """Build the backend called ``name``.

    Raises:
        OptionError: unknown name.
        DependencyError: the backend's library or weights are not on this machine.
    """
    if name == "facemesh":
        from portrait_anim.face.facemesh import FacemeshLandmarker

        return FacemeshLandmarker()
    if name == "face-alignment":
        from portrait_anim.face.face_alignment import FaceAlignmentLandmarker

        return FaceAlignmentLandmarker(device)
    raise OptionError(f"unknown landmarker {name!r}: choose one of {', '.join(LANDMARKERS)}")


_loading = Lock()
_loaded = cache(make_landmarker)


def shared_landmarker(name: str = "facemesh") -> Landmarker:
    """Return the backend called ``name``, on the processor, loaded once a process.

    Raises:
        ForkError: ``face-alignment`` would hang in this process.
        OptionError, DependencyError: as of :func:`make_landmarker`.
    """
    with _loading:
        if name == "facemesh":  # needs no torch
            return _loaded(name)
        check_fork()
        with undrawn():
            return _loaded(name)
