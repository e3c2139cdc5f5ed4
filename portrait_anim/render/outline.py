"""The background stays: the head's motion ends at the outline of the person, given by a matte.

A ring of the mesh knows nothing of hair and walls; here its motion is kept where the person is and let go within a thin
band beyond the outline. Where the head moves on, it covers the band; where it moves off, the band is stretched: there
is never a second edge. Straight lines behind the head bend in that band only.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from portrait_anim.face.mesh import FACE_OVAL
from portrait_anim.system.opencv import cv2

Array = npt.NDArray[np.float32]
Float = npt.NDArray[np.float64]

PERSON = 0.25  # share of the person from which on a pixel moves with it: loose hair does
COVERED = 0.90  # of the face that a matte has to hold to be believed
MARGIN = 0.03  # IOD beyond the outline that still move: the matte's own pixels are as large
BAND = 0.13  # IOD beyond the margin in which the motion ends
STEPS = 6  # of the search for where a pixel comes from
STILL_PX = 0.01
HOLD_BAND = (0.10, 0.25)  # IOD before a thing that is held in which the motion ends, at least and at most
IN_FRONT = -1.0  # share of what nothing that moves may cover
SETTLED = 0.03  # share below which the search has ended at none


def motion_share(matte: Array, to_matte: Float, landmarks: Array, iod_px: float) -> Array | None:
    """Return how much of the mesh's motion each pixel of a matte keeps: 1 on the person, 0 on the wall.

    None where the matte does not hold the face: it cannot be trusted then, and all keeps its motion.

    Args:
        matte: (h, w) share of the person.
        to_matte: (2, 3) map from image px to the matte's.
        landmarks: (478, 3) px.
        iod_px: of the face in the image.
    """
    face = np.zeros(matte.shape, np.uint8)
    oval = landmarks[list(FACE_OVAL), :2] @ to_matte[:, :2].T + to_matte[:, 2]
    cv2.fillPoly(face, [np.round(oval).astype(np.int32)], 1)
    person = matte > PERSON
    if not face.any() or person[face > 0].mean() < COVERED:
        return None
    person |= face > 0
    unit = iod_px * float(to_matte[0, 0])  # matte px an IOD
    away = cv2.distanceTransform((~person).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    x = np.clip((cv2.GaussianBlur(away, (0, 0), 1.0) / unit - MARGIN) / BAND, 0, 1)
    return np.asarray(1 - x * x * (3 - 2 * x), np.float32)


def held_back(share: Array, held: npt.NDArray[np.bool_], to_matte: Float, landmarks: Array, iod_px: float) -> Array:
    """Return a matte's ``share`` (h, w) with the motion ending before what is ``held`` (h, w).

    The face itself keeps its motion: the band before a thing is no wider than the way from the face to it. What is held
    has the share ``IN_FRONT``: the head passes behind it.
    """
    if not held.any():
        return share
    unit = iod_px * float(to_matte[0, 0])  # matte px an IOD
    grown = cv2.dilate(held.astype(np.uint8), np.ones((3, 3), np.uint8))  # a grid between matte px sees none of it move
    away = cv2.distanceTransform(1 - grown, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) / unit
    oval = landmarks[list(FACE_OVAL), :2] @ to_matte[:, :2].T + to_matte[:, 2]
    x, y = np.clip(oval.round().astype(int), 0, np.array(held.shape[::-1]) - 1).T
    band = float(np.clip(away[y, x].min(), *HOLD_BAND))
    near = np.clip(away / band, 0, 1)
    ending = np.minimum(share, near * near * (3 - 2 * near))
    return np.where(grown > 0, np.float32(IN_FRONT), ending.astype(np.float32))


def on_grid(share: Array, to_matte: Float, x: Array, y: Array) -> Array:
    """Sample a matte's ``share`` (h, w) at image px ``x``, ``y`` (H, W)."""
    mx, my = (to_matte[k, 0] * x + to_matte[k, 1] * y + to_matte[k, 2] for k in (0, 1))
    return np.asarray(cv2.remap(
        share, mx.astype(np.float32), my.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    ))  # fmt: skip


@numba.njit(cache=True, nogil=True)
def fade_beyond_outline(move: Array, share: Array, step: float) -> None:
    """Let a backward map end at the outline, in place.

    A pixel at p comes from q = p + share(q) * move(p), the nearest such q to p + move(p): what is in front wins.

    Args:
        move: (H, W, 2) px on a grid of ``step`` px.
        share: (H, W) of the motion that each place of the photo keeps, on the same grid; below 0: in front of all.
        step: px between grid points.
    """
    height, width = share.shape
    for row in range(height):
        for column in range(width):
            dx, dy = move[row, column, 0] / step, move[row, column, 1] / step
            if abs(dx) + abs(dy) < STILL_PX / step:
                continue
            if share[row, column] < 0:
                move[row, column, 0] = move[row, column, 1] = 0.0
                continue
            t = 1.0
            for _ in range(STEPS):
                x = min(max(column + t * dx, 0.0), width - 1.001)
                y = min(max(row + t * dy, 0.0), height - 1.001)
                i, j = int(y), int(x)
                a, b = y - i, x - j
                kept = (1 - a) * ((1 - b) * share[i, j] + b * share[i, j + 1]) + a * (
                    (1 - b) * share[i + 1, j] + b * share[i + 1, j + 1]
                )
                kept = max(kept, 0.0)
                if abs(kept - t) < 0.01:
                    break
                t += 0.5 * (kept - t)
            if t < SETTLED:
                t = 0.0
            move[row, column, 0] *= t
            move[row, column, 1] *= t
