"""The face shapes of ARKit as displacements of the mesh.

Names are Apple's (`ARFaceAnchor.BlendShapeLocation`), left and right the performer's own: "Left" is on the picture's
right. What each does is read off Apple's one-line descriptions and the action unit of FACS (Ekman, Friesen and Hager
2002) that describes the same movement. Shapes that are an action unit are that unit's field (averages over faces with
the ``default`` weights, drawn with ``open``); the others are drawn here. A value of 1 is the most a face can do, a
little beyond the unit's own full activation (FACS intensity E).
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from portrait_anim.config import N_LANDMARKS
from portrait_anim.face.mesh import LIPS_INNER_LOWER, LIPS_INNER_UPPER, MOUTH_CORNERS, topology
from portrait_anim.motion.action_units import JAW, UNITS, Field, drawn_units, sealed, split_sides

Array = npt.NDArray[np.float32]

OF_UNITS: dict[str, tuple[str, float]] = {
    "EyeSquint": ("AU7", 1.2),
    "EyeWide": ("AU5", 1.3),
    "BrowDown": ("AU4", 1.2),
    "BrowOuterUp": ("AU2", 1.3),
    "CheekSquint": ("AU6", 1.2),
    "NoseSneer": ("AU9", 1.2),
    "MouthSmile": ("AU12", 1.3),
    "MouthFrown": ("AU15", 1.2),
    "MouthStretch": ("AU20", 1.2),
    "BrowInnerUp": ("AU1", 1.3),
    "MouthShrugLower": ("AU17", 1.3),
    "JawOpen": (JAW, 2.0),
}
"""Shape -> the action unit whose field it is, and the activation that a value of 1 stands for."""
SIDED = (
    "EyeSquint", "EyeWide", "MouthSmile", "MouthFrown", "MouthDimple", "MouthStretch", "MouthPress", "MouthLowerDown",
    "MouthUpperUp", "BrowDown", "BrowOuterUp", "CheekSquint", "NoseSneer",
)  # fmt: skip
"""Shapes with a left and a right one."""
WHOLE = (
    "JawForward", "JawRight", "JawLeft", "JawOpen", "MouthClose", "MouthFunnel", "MouthPucker", "MouthRight",
    "MouthLeft", "MouthRollLower", "MouthRollUpper", "MouthShrugLower", "MouthShrugUpper", "BrowInnerUp", "CheekPuff",
)  # fmt: skip
SHAPES = (*WHOLE, *(f"{shape}{side}" for shape in SIDED for side in ("Left", "Right")))
"""The shapes that move the mesh, in the order of :func:`shape_fields`. Lids and gaze are not among them."""

SEAM_HALF = 0.28  # IOD, half the width of the mouth
FOLLOWS = 0.10  # IOD, how far beyond a lip the skin goes along (deviation)


def shape_fields(units: npt.NDArray[np.floating]) -> Array:
    """Return (S, 478, 3) IOD at value 1, in the order of :data:`SHAPES`.

    Args:
        units: (A, 478, 3) the action units' fields, in the order of :data:`action_units.TRACKS`.
    """
    both = units.reshape(len(UNITS), 2, N_LANDMARKS, 3).sum(axis=1)  # (U, 478, 3), both sides
    fields = dict(_drawn())
    for shape, (unit, level) in OF_UNITS.items():
        fields[shape] = level * both[UNITS.index(unit)]
    jaw = np.asarray(fields["JawOpen"], np.float64)
    fields["MouthClose"] = sealed(jaw) - jaw  # the jaw stays, the lips meet again
    sides = split_sides(np.stack([fields[shape] for shape in SIDED]))  # image-left, image-right by turns
    own = sides.reshape(len(SIDED), 2, N_LANDMARKS, 3)[:, ::-1].reshape(-1, N_LANDMARKS, 3)  # performer's left first
    return np.concatenate([np.stack([fields[shape] for shape in WHOLE]), own]).astype(np.float32)


def _seam() -> tuple[Field, npt.NDArray[np.bool_]]:
    """Return (478,) height over the line where the lips meet (IOD), and which points belong above it."""
    vertices = topology().vertices[:, :2].astype(np.float64)
    upper, lower = list(LIPS_INNER_UPPER), list(LIPS_INNER_LOWER)
    line = (vertices[upper] + vertices[lower]) / 2
    height = vertices[:, 1] - np.interp(vertices[:, 0], line[:, 0], line[:, 1])
    above = height > 0
    above[upper], above[lower] = True, False
    return height, above


def _lip(above: bool, vector: tuple[float, float, float], *, border: bool = False) -> Field:
    """Move the middle of one lip by ``vector`` (IOD), the corners not at all; the other lip stays.

    Args:
        above: the upper lip.
        vector: right, up, forward.
        border: the outer border alone, the line where the lips meet stays.
    """
    height, over = _seam()
    across = np.clip(1 - (np.abs(topology().vertices[:, 0]) / SEAM_HALF) ** 2, 0, 1)
    away = np.abs(height)
    down = np.exp(-0.5 * (np.maximum(away - 0.10, 0) / FOLLOWS) ** 2)
    share = np.where(over == above, across * down, 0.0)
    if border:
        share = share * np.clip(away / 0.08, 0, 1)
        share[list(LIPS_INNER_UPPER + LIPS_INNER_LOWER)] = 0
    return np.asarray(share[:, None] * np.array(vector), np.float64)


def _round_mouth() -> Field:
    """Return (478,) 1 on the lips, fading over the skin round the mouth."""
    vertices = topology().vertices.astype(np.float64)
    x, y = np.abs(vertices[:, 0]), vertices[:, 1] + 0.79
    away = np.hypot(np.maximum(x - 0.20, 0) / 0.15, np.maximum(np.abs(y) - 0.10, 0) / 0.13)
    return np.asarray(np.exp(-0.5 * away**2), np.float64)


def _inwards(iod: float) -> Field:
    """Draw the corners of the mouth to the midline by ``iod``, the lips between evenly."""
    vertices = topology().vertices.astype(np.float64)
    out = np.zeros((N_LANDMARKS, 3))
    out[:, 0] = -iod * np.clip(vertices[:, 0] / SEAM_HALF, -1, 1) * _round_mouth()
    return out


def _cheeks() -> Field:
    """Return (478,) a bump on either cheek, beside the mouth's corners."""
    vertices = topology().vertices.astype(np.float64)
    away = (np.abs(vertices[:, 0]) - 0.47) ** 2 / 0.13**2 + (vertices[:, 1] + 0.68) ** 2 / 0.20**2
    return np.asarray(np.exp(-0.5 * away), np.float64)


@cache
def _drawn() -> dict[str, Field]:
    """Return the shapes that are no action unit of the basis, (478, 3) each, both sides."""
    vertices = topology().vertices.astype(np.float64)
    jaw = drawn_units()[JAW]
    share = jaw[:, 1] / jaw[:, 1].min()  # 1 at the chin and the lower lip, 0 at the upper
    aside = (share**1.5)[:, None] * [0.08, 0, 0]
    lips, cheeks = _round_mouth()[:, None], _cheeks()
    outwards = np.sign(vertices[:, 0])
    corner = np.exp(
        -0.5 * ((np.abs(vertices[:, 0]) - SEAM_HALF) ** 2 / 0.09**2 + (vertices[:, 1] + 0.79) ** 2 / 0.1**2)
    )
    fields = {
        "JawForward": share[:, None] * np.array([0.0, 0.0, 0.08]),
        "JawLeft": aside,
        "JawRight": -aside,
        "MouthFunnel": _inwards(0.06) + lips * [0, 0, 0.08]
        + _lip(True, (0, 0.06, 0.02)) + _lip(False, (0, -0.08, 0.02)),
        "MouthPucker": _inwards(0.13) + lips * [0, 0, 0.10],
        "MouthLeft": lips * [0.11, 0, 0],
        "MouthRight": lips * [-0.11, 0, 0],
        "MouthRollLower": _lip(False, (0, 0.06, -0.04), border=True),
        "MouthRollUpper": _lip(True, (0, -0.05, -0.03), border=True),
        "MouthShrugUpper": sealed(_lip(True, (0, 0.05, 0.05))),
        "MouthDimple": corner[:, None] * np.stack([0.035 * outwards, 0 * outwards, -0.05 + 0 * outwards], axis=1),
        "MouthPress": _lip(True, (0, -0.035, -0.015)) + _lip(False, (0, 0.050, -0.015)),
        "MouthLowerDown": _lip(False, (0, -0.11, 0.01)),
        "MouthUpperUp": _lip(True, (0, 0.08, 0.01)) + _nose_folds(),
        "CheekPuff": np.stack([0.045 * outwards * cheeks, 0 * cheeks, 0.07 * cheeks], axis=1),
    }  # fmt: skip
    for name in (
        "MouthLeft",
        "MouthRight",
        "MouthPucker",
        "MouthPress",
        "JawLeft",
        "JawRight",
    ):  # lips that meet stay so
        fields[name] = sealed(fields[name])
    return fields


def _nose_folds() -> Field:
    """Lift the skin beside the nostrils, as the muscle that raises the upper lip does (AU10)."""
    vertices = topology().vertices.astype(np.float64)
    away = (np.abs(vertices[:, 0]) - 0.22) ** 2 / 0.09**2 + (vertices[:, 1] + 0.52) ** 2 / 0.09**2
    out = np.zeros((N_LANDMARKS, 3))
    out[:, 1] = 0.03 * np.exp(-0.5 * away)
    out[list(MOUTH_CORNERS)] = 0
    return out
