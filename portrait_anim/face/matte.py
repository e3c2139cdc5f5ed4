"""Finds which pixels belong to the person: MediaPipe's selfie segmenter under LiteRT, one call for each view.

The net (Apache-2.0) was trained on people who fill the picture, so a moving face is looked at with its surroundings
only. What cuts people out of a whole picture (:mod:`portrait_anim.face.cutout`) takes several views of it.
"""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from portrait_anim.face.litert import interpreter
from portrait_anim.face.mesh import FACE_OVAL
from portrait_anim.face.types import Face, Image
from portrait_anim.system.opencv import cv2

WEIGHTS = "selfie_segmenter"
MATTE_SIZE = 256  # px, the net's input and output
REACH = 1.6  # half the side of what it sees, over the longer side of the face's landmarks
_lock = threading.Lock()


@cache
def _net() -> Any:
    return interpreter(WEIGHTS)


def person_matte(image: Image, face: Face) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """Return the matte round a face and where it lies.

    Args:
        image: (H, W, 3) uint8 RGB.
        face: the face whose surroundings it sees.

    Returns:
        (256, 256) 0..1, how much of each pixel belongs to the person; and the (2, 3) matrix from (x, y, 1) px of the
        image to (x, y) px of the matte, pixel centres at integers on both sides. Beyond the picture its edge is
        repeated.
    """
    low, high = face.landmarks[:, :2].min(0), face.landmarks[:, :2].max(0)
    return matte_of_view(image, (low + high) / 2, REACH * float((high - low).max()))


def face_mask(points: npt.NDArray[np.floating[Any]], shape: tuple[int, ...]) -> Image:
    """Return which pixels of a picture (H, W) = ``shape`` lie within a face's outline, 0 or 1; points (478, 2+) px."""
    inside = np.zeros(shape, np.uint8)
    cv2.fillPoly(inside, [np.round(points[list(FACE_OVAL), :2]).astype(np.int32)], 1)
    return inside


def matte_of_view(
    image: Image, middle: npt.NDArray[np.floating[Any]], half_px: float
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """Return the matte of a square part of a picture and where it lies, as :func:`person_matte` does.

    Args:
        image: (H, W, 3) uint8 RGB.
        middle: (2,) x, y px.
        half_px: half the square's side.
    """
    scale = MATTE_SIZE / (2 * half_px)
    to_matte = np.array([[scale, 0, 0], [0, scale, 0]])
    to_matte[:, 2] = MATTE_SIZE / 2 - 0.5 - scale * middle
    if scale < 0.5:  # averaged first, against aliasing
        shrink = 2 * scale
        image = cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        inner = to_matte.copy()
        inner[:, :2] /= shrink
        inner[:, 2] += inner[:, :2].sum(1) * (0.5 - 0.5 * shrink)  # pixel centres: small = shrink * (x + .5) - .5
    else:
        inner = to_matte
    view = cv2.warpAffine(
        image, inner, (MATTE_SIZE, MATTE_SIZE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )  # fmt: skip
    net = _net()
    with _lock:
        net.set_tensor(net.get_input_details()[0]["index"], view.astype(np.float32)[None] / 255)
        net.invoke()
        matte = np.array(net.get_tensor(net.get_output_details()[0]["index"]))[0, :, :, 0]
    return np.asarray(matte, np.float32), to_matte
