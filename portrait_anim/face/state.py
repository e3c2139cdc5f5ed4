"""One frame of face motion, as the renderer takes it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from portrait_anim.config import N_LANDMARKS

Array = npt.NDArray[np.float32]

NECK = np.array([0.0, -0.65, -0.80])  # IOD, normalised face space: the point about which the head turns
EYEBALL = 0.13  # IOD, radius
VIEWER = 10.0  # IOD from the face: about a metre; what comes nearer is seen larger
ACROSS = np.array([1.0, 1.0, 0.0])  # the axes of the picture


def nearer(depth: float) -> float:
    """Return how many times larger a head is seen that is ``depth`` IOD nearer to the viewer."""
    return VIEWER / (VIEWER - depth)


def depth_of(larger: npt.NDArray[np.floating] | float) -> npt.NDArray[np.float64]:
    """Return how many IOD nearer a head is that is seen so many times larger; inverse of :func:`nearer`."""
    return np.asarray(VIEWER * (1 - 1 / np.asarray(larger, np.float64)))


@dataclass(frozen=True)
class FaceState:
    """Where the face is in one frame, relative to its resting shape and to the photo's pose.

    Normalised face space: x right as seen in the picture, y up, z towards the viewer; the outer eye corners are
    1 IOD apart.

    Attributes:
        displacement: (478, 3) IOD, from the resting face (lips closed, neutral expression).
        blink: (2,) lid closure, 0 as in the photo to 1 shut; image-left eye first.
        gaze: (2,) radians relative to the photo, (right+, up+).
        rotation: (3,) rotation vector in radians, right-handed, relative to the photo, about x (above 0 the face
            looks down), y (above 0 it turns to the picture's right) and z (above 0 it tilts counter-clockwise in the
            picture).
        shift: (3,) IOD, relative to the photo; nearer to the viewer, the head is seen larger, by :func:`nearer`.
        breath: IOD by which shoulders and chest have risen.
        turned_eyes: the irises turn as wholes, see :mod:`portrait_anim.render.eyes`; else their middles alone move,
            as the mesh does it, which is right for darts.
    """

    displacement: Array
    blink: Array
    gaze: Array
    rotation: Array
    shift: Array
    breath: float = 0.0
    turned_eyes: bool = False

    @classmethod
    def rest(cls) -> FaceState:
        """Return the state that shows the resting face in the photo's own pose."""
        return cls(
            displacement=np.zeros((N_LANDMARKS, 3), np.float32),
            blink=np.zeros(2, np.float32),
            gaze=np.zeros(2, np.float32),
            rotation=np.zeros(3, np.float32),
            shift=np.zeros(3, np.float32),
        )
