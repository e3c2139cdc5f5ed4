"""How far an actor's lids are shut, seen from the side too: nobody winks who does not."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import median_filter
from scipy.spatial.transform import Rotation

Array = npt.NDArray[np.float32]
Float = npt.NDArray[np.float64]

# of each eye, image-left first: points of the upper lid, those of the lower lid below them, the corners
EYES = (((159, 158, 160), (145, 153, 144), (33, 133)), ((386, 385, 387), (374, 380, 373), (362, 263)))
OPEN_QUANTILE = 0.8  # of an eye's opening: what counts as open
SHUT_SHARE = 0.25  # of it is left when the landmarks of a real eye say shut; less is shut
DEAD = 0.14  # closure that is not shown: eyes tremble, and open eyes are not all equally open
SURE = 0.78  # closure from which a lid is shut: at 25 frames/s few blinks are caught at their end
NEARER = 0.10  # radians of yaw at which the nearer eye counts .73 and the other .27
TURNED = 0.05  # radians, spread of the yaw from which on openings are corrected for it
WINK = (0.35, 0.6)  # difference between the eyes from which one is believed to wink, and wholly
WINK_FRAMES = 7  # that it lasts at least, about twice


def openings(points: Array, rotations: Float, seen: npt.NDArray[np.bool_]) -> Float:
    """Return (T, 2) each eye's opening over its width, corrected for what the head's turning does to it.

    Args:
        points: (T, 478, 3) IOD.
        rotations: (T, 3, 3) of the head.
        seen: (T,) frames that count.
    """
    raw = np.stack(
        [
            sum(_apart(points, up, low) for up, low in zip(upper, lower, strict=True)) / 3 / _apart(points, *corners)
            for upper, lower, corners in EYES
        ],
        axis=1,
    ).astype(np.float64)
    yaw = _yaw(rotations)
    yaw = yaw - np.median(yaw)
    if yaw[seen].std() < TURNED:
        return raw
    for eye in raw.T:
        fit = seen & (eye > np.median(eye[seen]) * 0.75)  # open ones
        slope = np.polyfit(yaw[fit], eye[fit] / np.median(eye[fit]), 1)[0] if fit.sum() > 10 else 0.0
        eye /= np.clip(1 + slope * yaw, 0.5, 1.5)
    return raw


def closures(opening: Float, rotations: Float, seen: npt.NDArray[np.bool_]) -> Array:
    """Return (T, 2) 0..1 for one shot; both eyes alike unless one is shut by itself for a while.

    Args:
        opening: (T, 2) of :func:`openings`.
        rotations: (T, 3, 3) of the head.
        seen: (T,) frames that count.
    """
    if not seen.any():
        return np.zeros((len(opening), 2), np.float32)
    shut = shares_shut(opening, usual_opening(opening[seen]))
    return together(shut, rotations, median_filter(np.abs(shut[:, 0] - shut[:, 1]), WINK_FRAMES, mode="nearest"))


def usual_opening(opening: Float) -> Float:
    """Return (2,) what counts as open in (T, 2) openings."""
    return np.asarray(np.quantile(opening, OPEN_QUANTILE, axis=0))


def shares_shut(opening: Float, usual: Float) -> Float:
    """Return (T, 2) 0..1 by which each eye is shut, for itself."""
    return np.asarray(np.clip((1 - opening / usual) / (1 - SHUT_SHARE), 0, 1))


def together(shut: Float, rotations: Float, apart: Float) -> Array:
    """Return (T, 2) closures, alike unless the eyes differ for a while.

    Args:
        shut: (T, 2) of :func:`shares_shut`.
        rotations: (T, 3, 3) of the head.
        apart: (T,) by how much the eyes differ, without single frames.
    """
    near = 1 / (1 + np.exp(-_yaw(rotations) / NEARER))  # turned to the picture's right: the image-left eye is nearer
    alike = near * shut[:, 0] + (1 - near) * shut[:, 1]
    alone = np.clip((apart - WINK[0]) / (WINK[1] - WINK[0]), 0, 1)[:, None]
    both = (1 - alone) * alike[:, None] + alone * shut
    return np.asarray(np.clip((both - DEAD) / (SURE - DEAD), 0, 1), np.float32)


def _yaw(rotations: Float) -> Float:
    return np.asarray(Rotation.from_matrix(rotations).as_rotvec()[:, 1])


def _apart(points: Array, a: int, b: int) -> Array:
    return np.asarray(np.linalg.norm(points[:, a] - points[:, b], axis=-1))
