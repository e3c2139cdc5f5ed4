"""Where the eyes of a photo look, and where in the head they have to look to meet the camera.

Angles are in radians, (right+, up+) in normalised face space (:mod:`portrait_anim.face.normalise`): how far the eyes
are turned in the head. Aside they come from the irises' centres against the middles of the eyes' corners. Up and down
a mesh does not tell: the irises' points follow real eyes by .4 only, and people who look into the camera differ by more
than eyes turn. So up and down every photo is taken to look into the camera.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from portrait_anim.face.mesh import EYE_LEFT, EYE_RIGHT, IRIS_LEFT, IRIS_RIGHT
from portrait_anim.face.normalise import normalise
from portrait_anim.face.state import EYEBALL
from portrait_anim.system.easing import eased

Array = npt.NDArray[np.float32]
Float = npt.NDArray[np.float64]

IRISES = ((IRIS_LEFT, (33, 133), EYE_LEFT), (IRIS_RIGHT, (362, 263), EYE_RIGHT))  # iris, corners, outline of each eye
CAMERA_NEAR, CAMERA_FAR = np.deg2rad(
    [2.0, 5.0]
)  # eyes that look less far past the camera look into it; more: as measured
PLACED_IOD = 1e-4  # an iris so near to the middle of its lids was put there, not found


@dataclass(frozen=True)
class Sight:
    """How a photo looks at its viewer.

    Attributes:
        rotation: (3, 3) of the head, from the face's own axes to the camera's.
        eyes: (2,) how far the eyes are turned in the head.
        found: whether the irises were found at all.
    """

    rotation: Float
    eyes: Float
    found: bool = True

    @classmethod
    def of(cls, landmarks: npt.NDArray[np.floating]) -> Sight:
        """Measure a face, (478, 3) px."""
        shape, pose = normalise(landmarks)
        camera = eyes_on_camera(pose.rotation)
        past = float(iris_angles(shape)[0] - camera[0])
        share = eased(np.clip((abs(past) - CAMERA_NEAR) / (CAMERA_FAR - CAMERA_NEAR), 0, 1))
        found = any(
            np.abs(shape[list(outline), :2].mean(0) - shape[iris[0], :2]).max() > PLACED_IOD
            for iris, _, outline in IRISES
        )
        return cls(pose.rotation, camera + np.array([share * past, 0.0]), found)


Sights: TypeAlias = Sequence[tuple[float, Sight]]
"""How the face of a film looks at its viewer: (s, sight) in order, between them it goes over from one to the next."""


def iris_angles(shape: npt.NDArray[np.floating]) -> Float:
    """Return (..., 2) how far the irises of faces (..., 478, 3) IOD lie from the middles of the eyes, as angles."""
    away = [shape[..., iris[0], :2] - shape[..., list(corners), :2].mean(-2) for iris, corners, _ in IRISES]
    return np.asarray(np.arcsin(np.clip(np.mean(away, axis=0) / EYEBALL, -1, 1)), np.float64)


def eyes_on_camera(rotation: npt.NDArray[np.floating]) -> Float:
    """Return (..., 2) how far eyes are turned that look into the camera, in heads of rotations (..., 3, 3)."""
    return np.asarray(np.arcsin(np.clip(rotation[..., 2, :2], -1, 1)), np.float64)


def direction(eyes: npt.NDArray[np.floating]) -> Float:
    """Return the unit vector (3,) in which eyes (2,) look, in the face's axes."""
    aside, up = np.sin(eyes)
    return np.array([aside, up, np.sqrt(max(1 - aside**2 - up**2, 0.0))])
