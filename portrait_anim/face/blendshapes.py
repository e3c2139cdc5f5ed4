"""Scores of what a face shows in absolute terms, such as how much it smiles: MediaPipe's blendshape net under LiteRT.

The net reads 146 of the 478 mesh points and gives 52 scores, named as in ARKit. It sees an expression that is held all
through a video, which no comparison of the face with itself can. Where it stands, size and whether the points are px
do not matter to it.
"""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from portrait_anim.face.litert import interpreter
from portrait_anim.face.normalise import IMAGE_TO_FACE
from portrait_anim.face.types import Array

WEIGHTS = "face_blendshapes"
# The points that the net reads and the scores it gives, in their order (MediaPipe, face_blendshapes_graph.cc).
POINTS = (
    0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65, 66, 67, 70, 78, 80,
    81, 82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136, 144, 145, 146, 148, 149, 150, 152, 153,
    154, 155, 157, 158, 159, 160, 161, 162, 163, 168, 172, 173, 176, 178, 181, 185, 191, 195, 197, 234, 246, 249, 251,
    263, 267, 269, 270, 276, 282, 283, 284, 285, 288, 291, 293, 295, 296, 297, 300, 308, 310, 311, 312, 314, 317, 318,
    321, 323, 324, 332, 334, 336, 338, 356, 361, 362, 365, 373, 374, 375, 377, 378, 379, 380, 381, 382, 384, 385, 386,
    387, 388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454, 466, 468, 469, 470, 471, 472, 473, 474, 475, 476, 477,
)  # fmt: skip
SCORES = (
    "_neutral", "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight",
    "cheekPuff", "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft",
    "eyeLookDownRight", "eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft",
    "eyeLookUpRight", "eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft",
    "jawOpen", "jawRight", "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft",
    "mouthFrownRight", "mouthFunnel", "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft",
    "mouthPressRight", "mouthPucker", "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower",
    "mouthShrugUpper", "mouthSmileLeft", "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight",
    "mouthUpperUpLeft", "mouthUpperUpRight", "noseSneerLeft", "noseSneerRight",
)  # fmt: skip


def scores(landmarks: npt.NDArray[np.floating]) -> Array:
    """Return (..., 52) scores, 0..1, in the order of :data:`SCORES`, of (..., 478, 3) landmarks in image space."""
    points = np.asarray(landmarks, np.float32)[..., list(POINTS), :2]
    flat = points.reshape(-1, 1, len(POINTS), 2)
    net, lock = _net()
    entry, exit_ = net.get_input_details()[0]["index"], net.get_output_details()[0]["index"]
    rows = []
    with lock:
        for face in flat:
            net.set_tensor(entry, face)
            net.invoke()
            rows.append(net.get_tensor(exit_).reshape(-1).copy())
    return np.asarray(np.stack(rows).reshape(*points.shape[:-2], len(SCORES)), np.float32)


def scores_of_shape(shape: npt.NDArray[np.floating]) -> Array:
    """Return the same of (..., 478, 3) faces without pose, in IOD."""
    return scores(shape * IMAGE_TO_FACE)


@cache
def _net() -> tuple[Any, threading.Lock]:
    return interpreter(WEIGHTS), threading.Lock()
