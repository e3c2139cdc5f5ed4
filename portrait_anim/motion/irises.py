"""Where an actor's eyes look, read off the irises."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from portrait_anim.face.mesh import IRIS_LEFT, IRIS_RIGHT
from portrait_anim.face.state import EYEBALL
from portrait_anim.motion.lids import EYES

Array = npt.NDArray[np.float32]

MAX_GAZE = (0.35, 0.22)  # radians, softly


def irises_aside(points: Array) -> Array:
    """Return (T, 2) IOD, how far the irises are from the middle between their eyes' corners, mean of both eyes."""
    irises = [
        points[:, iris[0], :2] - (points[:, corners[0], :2] + points[:, corners[1], :2]) / 2
        for iris, (_, _, corners) in zip((IRIS_LEFT, IRIS_RIGHT), EYES, strict=True)
    ]
    return np.asarray(np.mean(irises, axis=0))


def gaze_of(away: npt.NDArray[np.floating]) -> Array:
    """Return (T, 2) radians for irises that are (T, 2) IOD from where they are mostly."""
    gaze = np.arcsin(np.clip(away / EYEBALL, -1, 1))
    return np.asarray(MAX_GAZE * np.tanh(gaze / MAX_GAZE), np.float32)
