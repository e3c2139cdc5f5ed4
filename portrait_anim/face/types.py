"""The types that all face backends share: a crop, a face in a picture, and the protocols of what finds faces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Image = npt.NDArray[np.uint8]
Trial = Callable[[Array], Array | None]
"""Shows a displacement (478, 3) IOD on a photo's face and tracks it there: (478, 3) IOD without pose; None: lost."""


@dataclass(frozen=True)
class Crop:
    """A turned square in a picture.

    Attributes:
        cx, cy: px of its centre in the picture, x right, y down.
        side: px.
        angle: radians by which it is turned clockwise, as seen.
    """

    cx: float
    cy: float
    side: float
    angle: float

    def to_image(self, size: int) -> npt.NDArray[np.float64]:
        """Return the (2, 3) matrix from the crop, reduced or enlarged to ``size`` px, to the picture.

        Convention:
            * Direction: (x, y, 1) px of the crop to (x, y) px of the picture.
            * Pixel centres are at integers on both sides. (0, 0) of the crop is the square's corner itself, not half a
              pixel inside it: MediaPipe's convention, with which its nets were trained.
        """
        cos, sin = np.cos(self.angle) * self.side / size, np.sin(self.angle) * self.side / size
        half = size / 2
        return np.array([[cos, -sin, self.cx - half * (cos - sin)], [sin, cos, self.cy - half * (sin + cos)]])


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


class FaceNets(Protocol):
    """The two nets, detector and mesh net, that find faces and check them for every backend."""

    def scan(
        self, image: Image, view: Crop, *, averaged: bool = False
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return the detector's scores (N,) and rows (N, 16) in a view."""
        ...

    def place(self, image: Image, crop: Crop, refine: int = 0) -> Face | None:
        """Return the mesh in a crop."""
        ...


class Landmarker(Protocol):
    """A backend that finds faces and places the 478 mesh points on them."""

    name: str

    def models(self) -> dict[str, str]:
        """Return name -> SHA-256 of every weight file it uses."""
        ...

    @property
    def nets(self) -> FaceNets:
        """The nets that check what was found, the same for every backend."""
        ...

    def detect(self, image: Image) -> list[Face]:
        """Return the faces of ``image`` (H, W, 3) RGB, largest first; an empty list when there is none."""
        ...

    def at(self, image: Image, box: Array) -> Face:
        """Return the face in a box (4,) x0 y0 x1 y1 px, whether one is seen there or not; ``score`` tells."""
        ...

    def track(self, image: Image, previous: Face | None) -> Face | None:
        """Return the face of a video's next frame, searched for where the last one was; None when it is lost."""
        ...
