"""The resting mouth of a photo: where its lips meet, and what an open mouth looks like closed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from portrait_anim.face.mesh import LIPS_INNER_LOWER, LIPS_INNER_UPPER, LIPS_OUTER_UPPER, OUTER_EYE_CORNERS
from portrait_anim.render.path import cheapest_path
from portrait_anim.system.opencv import cv2

Array = npt.NDArray[np.float32]

OPEN_APERTURE = 0.03  # IOD; a photo whose inner lips are further apart shows an open mouth
_SEAM_REACH = 0.035  # IOD, how far from the landmarks the dark line between the lips is looked for
_ROWS, _COLUMNS = 25, 81
_UPPER_SHARE = 0.35  # of an open mouth's gap that the upper lip closes; the jaw does the rest


def aperture(shape: Array) -> float:
    """Return the opening of the inner lips of (478, 3) points, in their unit."""
    upper, lower = shape[list(LIPS_INNER_UPPER[3:8])], shape[list(LIPS_INNER_LOWER[3:8])]
    return float(np.linalg.norm(upper - lower, axis=1).mean())


def seam_landmarks(image: npt.NDArray[np.uint8], landmarks: Array) -> Array:
    """Move both inner lip rows of a closed mouth onto the dark line between the lips.

    The line is the cheapest path from corner to corner through a strip round the landmarks, by dynamic programming
    over darkness; without it lips part beside their line and look glued or cut.

    Args:
        image: (H, W, 3) uint8 RGB.
        landmarks: (478, 3) px.

    Returns:
        (478, 3) px with the rows' x, y changed.
    """
    iod = float(np.linalg.norm(np.subtract(*landmarks[list(OUTER_EYE_CORNERS), :2])))
    middle = (landmarks[list(LIPS_INNER_UPPER), :2] + landmarks[list(LIPS_INNER_LOWER), :2]) / 2  # (11, 2)
    along = np.linspace(0, len(middle) - 1, _COLUMNS)
    line = np.stack([np.interp(along, np.arange(len(middle)), middle[:, k]) for k in (0, 1)], axis=1)  # (C, 2)
    direction = middle[-1] - middle[0]
    normal = np.array([-direction[1], direction[0]]) / max(float(np.linalg.norm(direction)), 1e-6)  # down
    reach = np.linspace(-_SEAM_REACH, _SEAM_REACH, _ROWS) * iod
    taper = np.sin(np.linspace(0, np.pi, _COLUMNS)) ** 0.5  # nothing is looked for at the corners
    at = line[None] + normal * (reach[:, None] * taper)[..., None]  # (R, C, 2)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    strip = cv2.remap(grey, at.astype(np.float32), None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    strip = cv2.GaussianBlur(strip.astype(np.float32), (3, 3), 0.7)
    spread = max(float(strip.std()), 2.0)
    cost = strip / spread + 0.6 * (np.linspace(-1, 1, _ROWS) ** 2)[:, None]
    path = cheapest_path(cost, 0.25)
    offset = np.convolve(np.pad(reach[path] * taper, 6, mode="edge"), np.ones(13) / 13, "valid")  # (C,)
    seam = line + normal * offset[:, None]
    columns = np.linspace(0, _COLUMNS - 1, len(middle)).round().astype(int)
    out = landmarks.copy()
    for row_of in (LIPS_INNER_UPPER, LIPS_INNER_LOWER):
        out[list(row_of[1:-1]), :2] = seam[columns[1:-1]]
    return out


def closed_shape(shape: Array) -> Array:
    """Close the mouth of (478, 3) normalised points: lips meet, the jaw comes up, the cheeks follow."""
    upper, lower = shape[list(LIPS_INNER_UPPER)], shape[list(LIPS_INNER_LOWER)]
    seam = upper + _UPPER_SHARE * (lower - upper)  # (11, 3)
    centre = float(seam[:, 1].mean())
    below = shape[:, 1] < np.interp(shape[:, 0], seam[:, 0], seam[:, 1])
    moves = {False: seam - upper, True: seam - lower}
    starts = {False: upper, True: lower}
    out = shape.copy()
    for side, reach in ((False, 0.18), (True, 0.55)):
        gap = np.linalg.norm(shape[:, None, :2] - starts[side][None, :, :2], axis=-1)  # (478, 11)
        weight = np.exp(-0.5 * (gap / 0.06) ** 2) + 1e-9
        move = (weight @ moves[side]) / weight.sum(1, keepdims=True)  # (478, 3)
        fade = np.exp(-0.5 * np.maximum(gap.min(1) - 0.1, 0) ** 2 / (reach / 1.5) ** 2)
        chosen = (below == side) & (shape[:, 1] < centre + 0.25)
        out[chosen] += (move * fade[:, None])[chosen]
    out[list(LIPS_INNER_UPPER)] = out[list(LIPS_INNER_LOWER)] = seam
    corners = [LIPS_INNER_UPPER[0], LIPS_INNER_UPPER[-1], LIPS_OUTER_UPPER[0], LIPS_OUTER_UPPER[-1]]
    out[corners] = shape[corners]
    return out.astype(np.float32)
