"""Measures lids, brows, gaze and head of real people in prepared clips, to train the upper face on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_dilation, gaussian_filter1d
from scipy.spatial.transform import Rotation

from portrait_anim.config import FPS
from portrait_anim.errors import DataError
from portrait_anim.face.mesh import BROW_LEFT, BROW_RIGHT, IRIS_LEFT, IRIS_RIGHT
from portrait_anim.face.state import EYEBALL, NECK
from portrait_anim.motion.upper import BROWS, GAZE, LID, ROTATION, SHIFT, SIZE, TRACKS
from portrait_anim.training.data.prepare import Clip

Array = npt.NDArray[np.float32]

EYES = (((159, 158, 160), (145, 153, 144), (33, 133)), ((386, 385, 387), (374, 380, 373), (362, 263)))
OPEN_QUANTILE = 0.75  # quantile of a clip's eye openings that counts as open
SHUT_SHARE = 0.2  # share of it that the landmarks of a shut eye still show
BLINK = 0.5  # closure above this is a blink
SMOOTH_SIZE = 2.0  # frames, the same for the size, which trembles more
SMOOTH = 0.6  # frames, Gaussian deviation; against the jitter of the tracked landmarks
_INNER, _OUTER = ((3, 9, 4, 8), (0, 1, 5, 6))  # places in BROW_*: its two ends


def _apart(points: Array, a: int, b: int) -> Array:
    return np.asarray(np.linalg.norm(points[:, a] - points[:, b], axis=-1))


def upper_tracks(clip: Clip) -> Array:
    """Return (T, 11) :data:`portrait_anim.motion.upper.TRACKS` of a clip, relative to its median; lids to the open eye.

    Raises:
        DataError: the shard was written by a version that kept no pose.
    """
    tensors = clip.tensors
    if not {"rotation", "size"} <= tensors.keys():
        raise DataError(f"{clip.info.id} was prepared without the head's pose: prepare it again in an empty folder")
    points = tensors["displacement"].astype(np.float32) + tensors["neutral"].astype(np.float32)
    out = np.zeros((len(points), len(TRACKS)), np.float32)
    opening = np.mean(
        [
            sum(_apart(points, up, low) for up, low in zip(upper, lower, strict=True)) / 3 / _apart(points, *corners)
            for upper, lower, corners in EYES
        ],
        axis=0,
    )
    closure = (1 - opening / np.quantile(opening, OPEN_QUANTILE)) / (1 - SHUT_SHARE)
    out[:, LID] = np.clip(closure, -0.25, 1)
    moved = points - np.median(points, axis=0)
    ends = [moved[:, [row[i] for row in (BROW_LEFT, BROW_RIGHT) for i in places], 1] for places in (_INNER, _OUTER)]
    out[:, BROWS] = gaussian_filter1d(np.stack([end.mean(1) for end in ends], 1), 0.7, axis=0)
    out[:, GAZE] = _gaze(points, out[:, LID])
    out[:, ROTATION], out[:, SHIFT] = _head(tensors["rotation"].astype(float), tensors["centre"].astype(float))
    size = np.log(tensors["size"].astype(float))
    out[:, SIZE] = gaussian_filter1d(size - np.median(size), SMOOTH_SIZE)[:, None]
    return out


def _gaze(points: Array, lid: Array) -> Array:
    """Return (T, 2) rad relative to the clip's median; interpolated through blinks."""
    irises = [
        points[:, iris[0], :2] - (points[:, corners[0], :2] + points[:, corners[1], :2]) / 2
        for iris, (_, _, corners) in zip((IRIS_LEFT, IRIS_RIGHT), EYES, strict=True)
    ]
    gaze = np.mean(irises, axis=0)
    gaze = (gaze - np.median(gaze, axis=0)) / EYEBALL
    shut = binary_dilation(lid > 0.35, iterations=2)
    if shut.any() and not shut.all():
        frames = np.arange(len(gaze))
        for axis in range(2):
            gaze[shut, axis] = np.interp(frames[shut], frames[~shut], gaze[~shut, axis])
    return np.asarray(gaze, np.float32)


def _head(rotation: npt.NDArray[np.float64], centre: npt.NDArray[np.float64]) -> tuple[Array, Array]:
    """Return rotation vectors (T, 3) and shifts (T, 2) IOD beyond the turn about the neck, relative to the median."""
    middle = Rotation.from_matrix(rotation).mean().as_matrix()
    turned = Rotation.from_matrix(middle.T @ rotation).as_rotvec()
    turned = gaussian_filter1d(turned - np.median(turned, axis=0), SMOOTH, axis=0)
    swung = NECK - Rotation.from_rotvec(turned).as_matrix() @ NECK  # shift of the eyes by turning alone
    shift = centre - np.median(centre, axis=0) - swung
    shift = gaussian_filter1d(shift - np.median(shift, axis=0), SMOOTH, axis=0)
    return turned.astype(np.float32), shift[:, :2].astype(np.float32)


def blink_rate(tracks: npt.NDArray[np.floating]) -> float:
    """Return blinks/s of (T, 11) tracks."""
    shut = tracks[:, LID] > BLINK
    return float((shut[1:] & ~shut[:-1]).sum() / len(tracks) * FPS)


def spreads(tracks: Sequence[Array]) -> Array:
    """Return (11,) the standard deviation of each track, median over clips; 1 for the lids, which are 0..1 already."""
    typical = np.median([np.maximum(track.std(0), 1e-5) for track in tracks], axis=0)
    typical[LID] = 1
    return np.asarray(typical, np.float32)
