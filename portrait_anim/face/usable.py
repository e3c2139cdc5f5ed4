"""Checks whether a face that was found can be animated, and collects what the user should know about it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from portrait_anim.face.covered import COVERED, covered
from portrait_anim.face.crops import crop_of
from portrait_anim.face.mesh import CHIN, LIPS_OUTER
from portrait_anim.face.normalise import normalise
from portrait_anim.face.types import Face, FaceNets, Image
from portrait_anim.system.opencv import cv2

# a face is refused
PROFILE = np.radians(48)  # when it is turned to the side by more: the far half of the mouth is hidden
MOUTH_OUTSIDE = 0.25  # when a larger share of the mouth's area lies beyond the picture's edge

# the user gets a note
LIPS_OUTSIDE = 0.02  # when a larger share of the mouth's area lies beyond the picture's edge
CHIN_OUTSIDE = 0.02  # when the chin lies further beyond the edge, as a share of the face's longer side
SMALL_PX = 48  # when the face's longer side has fewer px
SMALL_SHARE = 0.1  # or is a smaller share of the picture's longer side
UPSIDE_DOWN = 3 * np.pi / 4  # when the face is turned in the picture by more radians: upside down
LYING = np.pi / 3  # the same: lying on its side


def trouble(nets: FaceNets, image: Image, face: Face) -> str | None:
    """Return why a face cannot be animated and what to do, as the rest of a line "the face ..."; None when it can.

    Args:
        nets: the face nets.
        image: (H, W, 3) uint8 RGB.
        face: one that was found in it.
    """
    if abs(_yaw(face)) > PROFILE:
        return "is seen from the side, without its second eye: use a picture in which it turns both eyes to the camera"
    if _mouth_outside(face, image.shape[:2]) > MOUTH_OUTSIDE:
        return "is cut off at the mouth by the picture's edge: use a picture that shows the whole mouth"
    if covered(nets, image, face) > COVERED:
        return "shows no lips where the mouth should be, something covers it: use a picture with a free mouth"
    return None


def remarks(image: Image, face: Face) -> list[str]:
    """Return notes for the user about a face that will move, each the rest of a line "the face ..."."""
    notes = []
    height, width = image.shape[:2]
    side = float((face.bbox[2:] - face.bbox[:2]).max())
    if side < max(SMALL_PX, SMALL_SHARE * max(width, height)):
        x, y = ((face.bbox[:2] + face.bbox[2:]) / 2).round().astype(int)
        notes.append(
            f"is small, {side:.0f} px at x {x}, y {y} of {width}x{height}: crop the picture to it, or use a larger one"
        )
    turn = crop_of(face.landmarks).angle
    if abs(turn) > UPSIDE_DOWN:
        notes.append("is upside down: turn the photo by 180 degrees for a film that is not")
    elif abs(turn) > LYING:
        notes.append(f"lies on its side: turn the photo by 90 degrees {'left' if turn > 0 else 'right'} to stand it up")
    if _mouth_outside(face, (height, width)) > LIPS_OUTSIDE:
        notes.append("is cut off at the lips by the picture's edge: what lies beyond cannot move")
    elif _beyond(face.landmarks[CHIN, :2], (height, width)) > CHIN_OUTSIDE * side:
        notes.append("is cut off at the chin by the picture's edge: the jaw moves less freely there")
    return notes


def _yaw(face: Face) -> float:
    """Return how far a face is turned to the side, radians."""
    to_viewer = normalise(face.landmarks)[1].rotation[:, 2]
    return float(np.arctan2(to_viewer[0], to_viewer[2]))


def _beyond(xy: npt.NDArray[np.floating], shape: tuple[int, ...]) -> float:
    """Return how many px a point (x, y) lies beyond the edge of a picture of (height, width)."""
    last = np.array([shape[1] - 1, shape[0] - 1])
    return float(max(np.maximum(-xy, xy - last).max(), 0.0))


def _mouth_outside(face: Face, shape: tuple[int, ...]) -> float:
    """Return which share of the lips' outline lies beyond the edge of a picture of (height, width)."""
    loop = face.landmarks[list(LIPS_OUTER), :2].astype(np.float32)
    height, width = shape
    frame = np.array([[-0.5, -0.5], [width - 0.5, -0.5], [width - 0.5, height - 0.5], [-0.5, height - 0.5]], np.float32)
    hull = cv2.convexHull(loop)
    inside, _ = cv2.intersectConvexConvex(hull, frame)
    return 1.0 - float(inside) / max(float(cv2.contourArea(hull)), 1e-6)
