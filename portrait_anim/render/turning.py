"""How far a head must be turned so that it is seen to turn as far as asked.

One photo does not tell how deep a face is, and what looks at a face judges its pose by more than its points. So every
photo is turned a little each way beforehand, tracked as a film would be, and what is missing is added. A face that is
turned aside in the photo hides one cheek: back towards the camera it turns less far than others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from portrait_anim.face.normalise import normalise
from portrait_anim.face.state import FaceState
from portrait_anim.face.types import Face, Landmarker
from portrait_anim.render.portrait import Portrait
from portrait_anim.system.easing import bent

Float = npt.NDArray[np.float64]

PITCH, YAW = 0, 1
TRIED = np.deg2rad([10.0, 16.0])  # pitch and yaw at which a photo is tried, each way; roll is shown as it is
USUAL = np.array([[1.35, 1.35], [1.18, 1.18]])  # pitch up, down; yaw left, right: medians over twenty photos
LEAST, MOST = 1.0, 1.4  # of what is added; more would tear
STRAIGHT, PER_DEGREE, AT_LEAST = 34.0, 1.2, 8.0
"""Degrees: how far a face that looks straight ahead turns; how much less it turns back for each degree that it is
turned aside in the photo; and how far back every face turns. Chosen by looking at twenty faces."""
FREE = 0.6  # share of such a limit up to which a turn is shown as it is
BELIEVED = 0.4  # share of the asked turn that must be seen, or the tracker is not believed


@dataclass(frozen=True)
class Turning:
    """What a head's rotation is multiplied by.

    Attributes:
        gains: (2, 2): pitch and yaw, for rotations below 0 and above.
        limits: (2,) radians: how far it turns to the left and to the right at most, before that.
    """

    gains: Float
    limits: Float

    def shown(self, state: FaceState) -> FaceState:
        """Return the state whose head is seen to turn as ``state`` asks."""
        rotation = np.array(state.rotation, np.float32)
        limit = self.limits[int(rotation[YAW] > 0)]
        rotation[YAW] = bent(rotation[YAW], FREE * limit, (1 - FREE) * limit)
        for axis in (PITCH, YAW):
            rotation[axis] *= np.float32(self.gains[axis, int(rotation[axis] > 0)])
        return replace(state, rotation=rotation)


def measured(portrait: Portrait, face: Face, landmarker: Landmarker | None) -> Turning:
    """Try how a photo turns.

    Args:
        portrait: the face, ready to be drawn.
        face: where it is in the photo.
        landmarker: what tracks it; None: the usual gains are taken.
    """
    gains, limits = USUAL.copy(), _limits(portrait)
    start = None if landmarker is None else _pose(portrait, face, landmarker, np.zeros(3))
    if landmarker is None or start is None:
        return Turning(gains, limits)
    for axis, angle in enumerate(TRIED):
        for side, sign in enumerate((-1, 1)):
            asked = np.zeros(3)
            asked[axis] = sign * angle
            seen = _pose(portrait, face, landmarker, asked)
            if seen is not None:
                turn = Rotation.from_matrix(start.T @ seen).as_rotvec()[axis] / asked[axis]
                if turn > BELIEVED:
                    gains[axis, side] = np.clip(1 / turn, LEAST, MOST)
    return Turning(gains, limits)


def _limits(portrait: Portrait) -> Float:
    """Return (2,) radians, how far a face turns to the left and to the right of the picture."""
    aside = float(np.degrees(np.arctan2(portrait.pose.rotation[0, 2], portrait.pose.rotation[2, 2])))
    back = max(STRAIGHT - PER_DEGREE * abs(aside), AT_LEAST)
    return np.deg2rad([back, STRAIGHT] if aside > 0 else [STRAIGHT, back])


def _pose(portrait: Portrait, face: Face, landmarker: Landmarker, rotation: Float) -> Float | None:
    """Return the rotation (3, 3) of the face that is seen in a frame; None: no face is."""
    frame = portrait.render(replace(FaceState.rest(), rotation=rotation.astype(np.float32)))
    seen = landmarker.track(frame, face)
    return None if seen is None else normalise(seen.landmarks)[1].rotation
