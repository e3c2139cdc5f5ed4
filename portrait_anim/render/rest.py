"""The mouth of a photo at rest: where closed lips meet, and the shape an open mouth has once it is closed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from portrait_anim.face.mesh import LIPS_INNER_LOWER, LIPS_INNER_UPPER, LIPS_OUTER_UPPER, OUTER_EYE_CORNERS
from portrait_anim.render.path import cheapest_path
from portrait_anim.system.opencv import cv2

Array = npt.NDArray[np.float32]

OPEN_APERTURE = 0.03  # IOD; a photo whose inner lips are further apart shows an open mouth

# the dark line between closed lips: it is looked for in a strip along the landmarks
_SEAM_REACH = 0.035  # IOD, half the height of the strip
_ROWS, _COLUMNS = 25, 81  # samples across it and along it
_STRIP_BLUR = 0.7  # samples, Gaussian deviation
_LEAST_CONTRAST = 2.0  # grey levels; the strip's own deviation is taken for at least this
_OFF_COST = 0.6  # cost of the strip's edges over its middle, in deviations of the strip
_BEND_COST = 0.25  # cost of a step to the next row, likewise
_SMOOTH = 6  # columns to either side over which the found line is averaged

# closing an open mouth
_UPPER_SHARE = 0.35  # share of the gap that the upper lip closes; the jaw closes the rest
_LIP_REACH, _JAW_REACH = 0.18, 0.55  # IOD, how far above the lips and below them the face follows
_FOLLOW = 0.06  # IOD, Gaussian deviation with which a point follows the lip points near it
_FULL = 0.1  # IOD from the lips up to which points follow fully
_FADE = 1.5  # the rest of the reach in Gaussian deviations
_TOP = 0.25  # IOD above the lips from which on nothing moves


def aperture(shape: Array) -> float:
    """Return the mean distance between the inner lips of (478, 3) points, in the points' unit."""
    upper, lower = shape[list(LIPS_INNER_UPPER[3:8])], shape[list(LIPS_INNER_LOWER[3:8])]
    return float(np.linalg.norm(upper - lower, axis=1).mean())


def seam_landmarks(image: npt.NDArray[np.uint8], landmarks: Array) -> Array:
    """Move both inner lip rows of a closed mouth onto the dark line between the lips.

    The line is the cheapest path from corner to corner through a strip along the landmarks, where dark pixels are
    cheap (dynamic programming). Without this the lips of a speaking mouth would part beside that line, and it would
    stay visible on one of them.

    Args:
        image: (H, W, 3) uint8 RGB.
        landmarks: (478, 3) px.

    Returns:
        (478, 3) px with the rows' x, y changed.
    """
    # the strip: columns along the middle between both rows, rows at a right angle to the mouth
    iod = float(np.linalg.norm(np.subtract(*landmarks[list(OUTER_EYE_CORNERS), :2])))
    middle = (landmarks[list(LIPS_INNER_UPPER), :2] + landmarks[list(LIPS_INNER_LOWER), :2]) / 2  # (11, 2)
    along = np.linspace(0, len(middle) - 1, _COLUMNS)
    line = np.stack([np.interp(along, np.arange(len(middle)), middle[:, k]) for k in (0, 1)], axis=1)  # (C, 2)
    direction = middle[-1] - middle[0]
    normal = np.array([-direction[1], direction[0]]) / max(float(np.linalg.norm(direction)), 1e-6)  # down
    reach = np.linspace(-_SEAM_REACH, _SEAM_REACH, _ROWS) * iod
    taper = np.sin(np.linspace(0, np.pi, _COLUMNS)) ** 0.5  # (C,) the strip is 0 high at the corners
    at = line[None] + normal * (reach[:, None] * taper)[..., None]  # (R, C, 2)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    strip = cv2.remap(grey, at.astype(np.float32), None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    strip = cv2.GaussianBlur(strip.astype(np.float32), (3, 3), _STRIP_BLUR)  # (R, C)
    # the path through it, averaged
    spread = max(float(strip.std()), _LEAST_CONTRAST)
    cost = strip / spread + _OFF_COST * (np.linspace(-1, 1, _ROWS) ** 2)[:, None]
    path = cheapest_path(cost, _BEND_COST)
    window = 2 * _SMOOTH + 1
    offset = np.convolve(np.pad(reach[path] * taper, _SMOOTH, mode="edge"), np.ones(window) / window, "valid")  # (C,)
    # both rows onto it; the corners stay
    seam = line + normal * offset[:, None]  # (C, 2)
    columns = np.linspace(0, _COLUMNS - 1, len(middle)).round().astype(int)
    out = landmarks.copy()
    for row_of in (LIPS_INNER_UPPER, LIPS_INNER_LOWER):
        out[list(row_of[1:-1]), :2] = seam[columns[1:-1]]
    return out


def closed_shape(shape: Array) -> Array:
    """Return (478, 3) normalised points (IOD) with the mouth closed: lips meet, jaw and cheeks follow.

    Both lips move onto a line between them; what lies above it follows the upper lip, what lies below it the lower
    one, less with the distance.
    """
    upper, lower = shape[list(LIPS_INNER_UPPER)], shape[list(LIPS_INNER_LOWER)]
    seam = upper + _UPPER_SHARE * (lower - upper)  # (11, 3)
    centre = float(seam[:, 1].mean())
    below = shape[:, 1] < np.interp(shape[:, 0], seam[:, 0], seam[:, 1])
    moves = {False: seam - upper, True: seam - lower}  # of the lips, by whether they lie below the line
    starts = {False: upper, True: lower}
    out = shape.copy()
    for side, reach in ((False, _LIP_REACH), (True, _JAW_REACH)):
        gap = np.linalg.norm(shape[:, None, :2] - starts[side][None, :, :2], axis=-1)  # (478, 11)
        weight = np.exp(-0.5 * (gap / _FOLLOW) ** 2) + 1e-9
        move = (weight @ moves[side]) / weight.sum(1, keepdims=True)  # (478, 3)
        fade = np.exp(-0.5 * np.maximum(gap.min(1) - _FULL, 0) ** 2 / (reach / _FADE) ** 2)
        chosen = (below == side) & (shape[:, 1] < centre + _TOP)
        out[chosen] += (move * fade[:, None])[chosen]
    out[list(LIPS_INNER_UPPER)] = out[list(LIPS_INNER_LOWER)] = seam
    corners = [LIPS_INNER_UPPER[0], LIPS_INNER_UPPER[-1], LIPS_OUTER_UPPER[0], LIPS_OUTER_UPPER[-1]]
    out[corners] = shape[corners]
    return out.astype(np.float32)
