"""Follows one face through the frames of a video."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from portrait_anim.config import FPS, N_LANDMARKS
from portrait_anim.face.detect import make_landmarker
from portrait_anim.face.types import Face, Image, Landmarker

CROWD_SHARE = 0.5  # a second face this large, relative to the first, may be the one that speaks
LOOK_EVERY = FPS  # frames between searches for other faces


class FaceTrack(NamedTuple):
    """A tracked video.

    Attributes:
        landmarks: (T, 478, 3) px, NaN where no face was found.
        crowded: share of the searches (one a second) that found a second face at least half as large.
    """

    landmarks: npt.NDArray[np.float32]
    crowded: float = 0.0


def follow(images: Iterable[Image], landmarker: Landmarker | None = None) -> Iterator[tuple[Image, Face | None]]:
    """Yield each frame (H, W, 3) with its face: searched for where it was; the largest at first and after a loss."""
    landmarker = landmarker or make_landmarker()
    face: Face | None = None
    for image in images:
        face = landmarker.track(image, face)
        yield image, face


def track(images: Iterable[Image]) -> FaceTrack:
    """Follow the largest face of a video's frames (H, W, 3) at 25 fps."""
    landmarker = make_landmarker()
    rows: list[npt.NDArray[np.float32]] = []
    looks: list[bool] = []
    for image, face in follow(images, landmarker):
        if len(rows) % LOOK_EVERY == 0:
            widths = sorted((_width(found) for found in landmarker.detect(image)), reverse=True)
            looks.append(len(widths) > 1 and widths[1] > CROWD_SHARE * widths[0])
        rows.append(face.landmarks if face else np.full((N_LANDMARKS, 3), np.nan, np.float32))
    landmarks = np.stack(rows) if rows else np.empty((0, N_LANDMARKS, 3), np.float32)
    return FaceTrack(landmarks, float(np.mean(looks)) if looks else 0.0)


def _width(face: Face) -> float:
    return float(np.ptp(face.bbox[[0, 2]]))
