"""Motion as ARKit's 61 values: what phones record and 3-D tools play.

52 face shapes of 0..1 and nine angles in radians (head, left eye, right eye). Lids, gaze and head are carried over as
they are; everything else that the mesh does is fitted with the shapes of :mod:`arkit_shapes`.

Signs and sizes as real takes of the Live Link Face app have them (docs/motion_files.md): yaw + turns to the
performer's right (the picture's left), pitch + down, roll + clockwise in the picture; an eye's ``Look`` value of 1 is
.61 rad outwards, inwards and down, .46 rad up. The head is turned by roll first, then pitch, then yaw.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from portrait_anim.face.mesh import (
    LIPS_INNER_LOWER,
    LIPS_INNER_UPPER,
    LIPS_OUTER,
    MOUTH_CORNERS,
)
from portrait_anim.motion.action_units import TRACKS
from portrait_anim.motion.arkit_shapes import SHAPES

Array = npt.NDArray[np.float32]
Float = npt.NDArray[np.float64]

EYE_VALUES = ("Blink", "LookDown", "LookIn", "LookOut", "LookUp", "Squint", "Wide")
FACE = (
    *(f"Eye{value}{side}" for side in ("Left", "Right") for value in EYE_VALUES),
    "JawForward", "JawRight", "JawLeft", "JawOpen", "MouthClose", "MouthFunnel", "MouthPucker", "MouthRight",
    "MouthLeft", "MouthSmileLeft", "MouthSmileRight", "MouthFrownLeft", "MouthFrownRight", "MouthDimpleLeft",
    "MouthDimpleRight", "MouthStretchLeft", "MouthStretchRight", "MouthRollLower", "MouthRollUpper",
    "MouthShrugLower", "MouthShrugUpper", "MouthPressLeft", "MouthPressRight", "MouthLowerDownLeft",
    "MouthLowerDownRight", "MouthUpperUpLeft", "MouthUpperUpRight", "BrowDownLeft", "BrowDownRight", "BrowInnerUp",
    "BrowOuterUpLeft", "BrowOuterUpRight", "CheekPuff", "CheekSquintLeft", "CheekSquintRight", "NoseSneerLeft",
    "NoseSneerRight", "TongueOut",
)  # fmt: skip
"""The 52 shapes, in the order of Live Link Face's csv."""
HEAD = ("HeadYaw", "HeadPitch", "HeadRoll")
EYES = ("LeftEyeYaw", "LeftEyePitch", "LeftEyeRoll", "RightEyeYaw", "RightEyePitch", "RightEyeRoll")
VALUES = (*FACE, *HEAD, *EYES)
"""All 61, in that order."""
UNSAID = ("CheekPuff", "TongueOut")
"""Shapes that no motion of ours is told by: 0 in an export."""

OPEN, CLOSE = SHAPES.index("JawOpen"), SHAPES.index("MouthClose")
LOOK_RAD, LOOK_UP_RAD = 0.61, 0.46  # an eye's angle at a Look value of 1, read off real takes
BLINK_LEFT, BLINK_RIGHT = 1, 0  # the performer's left eye is the picture's right one

GAP_WEIGHT = 8.0  # of the opening between the lips in the fit, to a point's place
WIDTH_WEIGHT = 10.0  # of the distance between the mouth's corners
LIPS_WEIGHT = 2.0
RIDGE = 1e-2  # IOD^2: what a value of 1 costs; of two ways to say the same the smaller one is taken
RIDGE_PRESS = 0.3  # IOD^2, of pressed lips: known by their thinness alone, which lips have in speech too
SWEEPS = 60  # of the coordinate descent
FRAMES_AT_ONCE = 2048  # that are fitted together, against memory


def values_of(weights: npt.NDArray[np.floating], blink: Array, gaze: Array, rotation: Array) -> dict[str, Float]:
    """Return the 61 values (T,) by name.

    Args:
        weights: (T, S) of :data:`arkit_shapes.SHAPES`.
        blink: (T, 2) closure of the lids, image-left eye first.
        gaze: (T, 2) radians, (right+, up+) in the picture.
        rotation: (T, 3) rotation vectors of the head, axes as in :class:`FaceState`.
    """
    out = {name: np.zeros(len(blink)) for name in VALUES}
    out |= {name: np.asarray(weights[:, i], np.float64) for i, name in enumerate(SHAPES)}
    out["EyeBlinkLeft"] = blink[:, BLINK_LEFT].astype(np.float64)
    out["EyeBlinkRight"] = blink[:, BLINK_RIGHT].astype(np.float64)
    aside, up = gaze.astype(np.float64).T
    to_left, to_right = np.maximum(aside, 0) / LOOK_RAD, np.maximum(-aside, 0) / LOOK_RAD  # the performer's
    out["EyeLookOutLeft"], out["EyeLookInLeft"] = to_left, to_right
    out["EyeLookInRight"], out["EyeLookOutRight"] = to_left, to_right
    for side in ("Left", "Right"):
        out[f"EyeLookUp{side}"] = np.maximum(up, 0) / LOOK_UP_RAD
        out[f"EyeLookDown{side}"] = np.maximum(-up, 0) / LOOK_RAD
        out[f"{side}EyeYaw"], out[f"{side}EyePitch"] = -aside, -up
    yaw, pitch, roll = Rotation.from_rotvec(rotation.astype(np.float64)).as_euler("YXZ").T
    out["HeadYaw"], out["HeadPitch"], out["HeadRoll"] = -yaw, pitch, -roll
    return out


def tracks_of(values: Mapping[str, npt.NDArray[np.floating]]) -> dict[str, Array]:
    """Return what :class:`portrait_anim.motion.space.Motion` holds for values (T,); those not named are 0.

    Gaze is the mean of both eyes' ``Look`` values, or of the eyes' angles where there are none. ``expression`` gets
    the action units' columns (0) and then the shapes'.
    """
    n_frames = len(next(iter(values.values())))
    zero = np.zeros(n_frames)

    def value(name: str) -> Float:
        return np.asarray(values.get(name, zero), np.float64)

    shapes = np.stack([np.clip(value(name), 0, 1) for name in SHAPES], axis=1)  # (T, S)
    shapes[:, CLOSE] = np.minimum(shapes[:, CLOSE], shapes[:, OPEN])  # lips that meet cannot come closer
    aside = LOOK_RAD / 2 * (
        value("EyeLookOutLeft") - value("EyeLookInLeft") + value("EyeLookInRight") - value("EyeLookOutRight")
    )  # fmt: skip
    up = sum(
        LOOK_UP_RAD / 2 * value(f"EyeLookUp{side}") - LOOK_RAD / 2 * value(f"EyeLookDown{side}")
        for side in ("Left", "Right")
    )
    if not aside.any() and not np.any(up):
        aside = -(value("LeftEyeYaw") + value("RightEyeYaw")) / 2
        up = -(value("LeftEyePitch") + value("RightEyePitch")) / 2
    angles = np.stack([-value("HeadYaw"), value("HeadPitch"), -value("HeadRoll")], axis=1)
    lids = {BLINK_LEFT: value("EyeBlinkLeft"), BLINK_RIGHT: value("EyeBlinkRight")}
    tracks = {
        "blink": np.clip(np.stack([lids[0], lids[1]], axis=1), 0, 1),
        "brows": np.zeros((n_frames, 2)),
        "gaze": np.stack([aside, np.broadcast_to(up, aside.shape)], axis=1),
        "rotation": Rotation.from_euler("YXZ", angles).as_rotvec() if n_frames else np.zeros((0, 3)),
        "shift": np.zeros((n_frames, 3)),
        "expression": np.concatenate([np.zeros((n_frames, len(TRACKS))), shapes], axis=1),
    }
    return {name: np.asarray(track, np.float32) for name, track in tracks.items()}


def _rows(points: npt.NDArray[np.floating]) -> Float:
    """Return (..., R) what of a displacement (..., 478, 3) is fitted: places, and the lips' opening and width."""
    weight = np.ones(points.shape[-2])
    weight[list(LIPS_OUTER + LIPS_INNER_UPPER + LIPS_INNER_LOWER)] = LIPS_WEIGHT
    placed = (points * weight[:, None]).reshape(*points.shape[:-2], -1)
    gaps = points[..., list(LIPS_INNER_UPPER[1:-1]), 1] - points[..., list(LIPS_INNER_LOWER[1:-1]), 1]
    wide = points[..., [MOUTH_CORNERS[1]], 0] - points[..., [MOUTH_CORNERS[0]], 0]
    return np.concatenate([placed, GAP_WEIGHT * gaps, WIDTH_WEIGHT * wide], axis=-1).astype(np.float64)


class ShapeFit:
    """Finds the weights in 0..1 whose sum of fields is nearest to a displacement; :data:`UNSAID` stay 0.

    Ridge least squares with bounds, by coordinate descent over all frames at once (Friedman, Hastie and Tibshirani
    2010, "Regularization Paths for Generalized Linear Models via Coordinate Descent").

    Args:
        fields: (S, 478, 3) of :func:`arkit_shapes.shape_fields`.
    """

    def __init__(self, fields: Array) -> None:
        self._rows = _rows(fields)  # (S, R)
        self._gram = self._rows @ self._rows.T
        ridge = np.array([RIDGE_PRESS if name.startswith("MouthPress") else RIDGE for name in SHAPES])
        self._step = np.diag(self._gram) + ridge
        self._free = [i for i, name in enumerate(SHAPES) if name not in UNSAID]

    def __call__(self, displacement: Array, start: Array | None = None, sweeps: int = SWEEPS) -> Array:
        """Return (T, S) weights.

        Args:
            displacement: (T, 478, 3) IOD.
            start: (T, S) weights to begin with; None: 0.
            sweeps: over all shapes.
        """
        gram, step = self._gram, self._step
        target = _rows(displacement) @ self._rows.T  # (T, S)
        weights = np.zeros_like(target) if start is None else start.astype(target.dtype)
        for _ in range(sweeps):
            for i in self._free:
                left = target[:, i] - weights @ gram[i] + weights[:, i] * gram[i, i]
                weights[:, i] = np.clip(left / step[i], 0, weights[:, OPEN] if i == CLOSE else 1)
        weights[:, CLOSE] = np.minimum(weights[:, CLOSE], weights[:, OPEN])
        return weights.astype(np.float32)
