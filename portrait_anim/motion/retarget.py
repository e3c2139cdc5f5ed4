"""Applies the motion of one face to another; so far a clip's motion to the clip's own first frame."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from portrait_anim.face.normalise import IMAGE_TO_FACE, Pose, normalise_clip
from portrait_anim.face.state import NECK, FaceState


def oracle_states(landmarks: npt.NDArray[np.float32]) -> list[FaceState]:
    """Return the states that repeat a clip's motion from its first frame on, for landmarks (T, 478, 3) px."""
    points, poses = normalise_clip(landmarks)
    return [_state(points[i] - points[0], poses[i], poses[0]) for i in range(len(poses))]


def _state(displacement: npt.NDArray[np.float32], pose: Pose, first: Pose) -> FaceState:
    """Return the state that takes a face from pose ``first`` to ``pose``, with this displacement (478, 3) IOD."""
    turn = first.rotation.T @ pose.rotation
    moved = (pose.origin - first.origin) * IMAGE_TO_FACE / first.scale
    shift = first.rotation.T @ (pose.rotation @ NECK + moved) - NECK
    rest = FaceState.rest()
    return FaceState(
        displacement, rest.blink, rest.gaze, Rotation.from_matrix(turn).as_rotvec().astype(np.float32),
        shift.astype(np.float32),
    )  # fmt: skip
