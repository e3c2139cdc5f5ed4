"""Keeps the background still: fades the mesh's motion out just beyond the person's outline.

The rings of the mesh round the face cover hair, shoulders and background alike, so by themselves they would move the
background too. A matte (for each pixel, how much of it belongs to the person) says where the person ends. The motion
is kept on the person and fades out in a thin band beyond the outline. On the side to which the head moves, the head
covers the band; on the other side, the band is stretched. The outline is never seen twice, and straight lines behind
the head bend only inside the band.

Convention:
    * ``to_matte`` is a (2, 3) matrix from (x, y, 1) px of the image to (x, y) px of the matte; pixel centres are at
      integers on both sides, y points down.
    * ``share`` maps belong to places of the photo, not of the frame.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from portrait_anim.face.mesh import FACE_OVAL
from portrait_anim.system.easing import eased
from portrait_anim.system.opencv import cv2

Array = npt.NDArray[np.float32]
Float = npt.NDArray[np.float64]

PERSON = 0.25  # value of the matte 0..1 from which on a pixel moves with the person; low, so that loose hair does
COVERED = 0.90  # share of the face that the matte must mark as person; otherwise it is ignored
MATTE_BLUR_PX = 1.0  # matte px, Gaussian deviation that smooths the outline
MARGIN = 0.03  # IOD beyond the outline that still move fully: about the size of a pixel of the matte
BAND = 0.13  # IOD beyond the margin over which the motion fades out
HOLD_BAND = (0.10, 0.25)  # IOD before a thing that is held still over which the motion fades out, at least and at most
IN_FRONT = -1.0  # share of pixels that nothing may cover
STEPS = 6  # of the search for the place that a pixel is taken from, at most
STEP_SIZE = 0.5  # share of the way to the newly found share that each step goes
CLOSE = 0.01  # change of the share at which the search ends
SETTLED = 0.03  # share below which a pixel stays still
STILL_PX = 0.01  # px; smaller motion counts as none


def motion_share(matte: Array, to_matte: Float, landmarks: Array, iod_px: float) -> Array | None:
    """Return how much of the mesh's motion each pixel of a matte keeps: 1 on the person, 0 on the background.

    Args:
        matte: (h, w) 0..1, how much of each pixel belongs to the person.
        to_matte: (2, 3) from image px to matte px.
        landmarks: (478, 3) px in the image.
        iod_px: px an IOD in the image.

    Returns:
        (h, w) 0..1; None when the matte misses more than a tenth of the face: it is then ignored, and everything keeps
        its motion.
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
    x = np.clip((cv2.GaussianBlur(away, (0, 0), MATTE_BLUR_PX) / unit - MARGIN) / BAND, 0, 1)
    return np.asarray(1 - eased(x), np.float32)


def held_back(share: Array, held: npt.NDArray[np.bool_], to_matte: Float, landmarks: Array, iod_px: float) -> Array:
    """Return ``share`` (h, w), faded out before the things that must stay still, such as a picture on the wall.

    The face itself keeps its motion: the band is no wider than the distance from the face to the nearest such thing
    (within ``HOLD_BAND``).

    Args:
        share: (h, w) from :func:`motion_share`.
        held: (h, w) True where something must stay still; it gets the share ``IN_FRONT``, and the head passes behind.
        to_matte: (2, 3) from image px to matte px.
        landmarks: (478, 3) px in the image.
        iod_px: px an IOD in the image.
    """
    if not held.any():
        return share
    unit = iod_px * float(to_matte[0, 0])  # matte px an IOD
    grown = cv2.dilate(held.astype(np.uint8), np.ones((3, 3), np.uint8))  # so that no sample between two pixels moves
    away = cv2.distanceTransform(1 - grown, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) / unit
    oval = landmarks[list(FACE_OVAL), :2] @ to_matte[:, :2].T + to_matte[:, 2]
    x, y = np.clip(oval.round().astype(int), 0, np.array(held.shape[::-1]) - 1).T
    band = float(np.clip(away[y, x].min(), *HOLD_BAND))
    near = np.clip(away / band, 0, 1)
    ending = np.minimum(share, eased(near))
    return np.where(grown > 0, np.float32(IN_FRONT), ending.astype(np.float32))


def on_grid(share: Array, to_matte: Float, x: Array, y: Array) -> Array:
    """Sample a matte's ``share`` (h, w) at image px ``x``, ``y`` (H, W)."""
    mx, my = (to_matte[k, 0] * x + to_matte[k, 1] * y + to_matte[k, 2] for k in (0, 1))
    return np.asarray(cv2.remap(
        share, mx.astype(np.float32), my.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    ))  # fmt: skip


@numba.njit(cache=True, nogil=True)
def fade_beyond_outline(move: Array, share: Array, step: float) -> None:
    """Scale a displacement map by the share of motion that each place of the photo keeps, in place.

    The frame's pixel p is taken from the photo's place q. The share belongs to q, which is not known beforehand, so
    q = p + share(q) * move(p) is solved step by step, starting at the full motion (q = p + move(p)). Where there are
    several solutions this finds one near the full motion: the moving person, who is in front of the background.

    Convention:
        * Backward map, as in :mod:`portrait_anim.render.warp`: what has to be added to a pixel's (x, y) in the frame
          to get the place in the photo that it is taken from.

    Args:
        move: (H, W, 2) px on a grid of ``step`` px.
        share: (H, W) on the same grid, 0..1; below 0: nothing may cover this place.
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
                if abs(kept - t) < CLOSE:
                    break
                t += STEP_SIZE * (kept - t)
            if t < SETTLED:
                t = 0.0
            move[row, column, 0] *= t
            move[row, column, 1] *= t
