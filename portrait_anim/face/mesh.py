"""Topology of the 478-point face mesh: index names and triangles.

The numbering is MediaPipe's (Kartynnik et al. 2019, "Real-time Facial Surface Geometry from Monocular Video on
Mobile GPUs", with the ten iris points of Ablavatski et al. 2020). Left and right are the picture's.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from portrait_anim.config import N_LANDMARKS

WEIGHTS = "face_mesh"

# Lips, from the image-left corner to the image-right corner; the corners belong to both rows.
LIPS_OUTER_UPPER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
LIPS_OUTER_LOWER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
LIPS_INNER_UPPER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
LIPS_INNER_LOWER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
LIPS_OUTER = LIPS_OUTER_UPPER + LIPS_OUTER_LOWER[-2:0:-1]  # closed loop
LIPS_INNER = LIPS_INNER_UPPER + LIPS_INNER_LOWER[-2:0:-1]  # closed loop
MOUTH_CORNERS = (61, 291)

# Eyes, from the image-left corner to the image-right corner.
EYE_LEFT_UPPER = (33, 246, 161, 160, 159, 158, 157, 173, 133)
EYE_LEFT_LOWER = (33, 7, 163, 144, 145, 153, 154, 155, 133)
EYE_RIGHT_UPPER = (362, 398, 384, 385, 386, 387, 388, 466, 263)
EYE_RIGHT_LOWER = (362, 382, 381, 380, 374, 373, 390, 249, 263)
EYE_LEFT = EYE_LEFT_UPPER + EYE_LEFT_LOWER[-2:0:-1]
EYE_RIGHT = EYE_RIGHT_UPPER + EYE_RIGHT_LOWER[-2:0:-1]
OUTER_EYE_CORNERS = (33, 263)
IRIS_LEFT = (468, 469, 470, 471, 472)  # centre first
IRIS_RIGHT = (473, 474, 475, 476, 477)

# Brows: lower row then upper row, each from the outer to the inner end.
BROW_LEFT = (46, 53, 52, 65, 55, 70, 63, 105, 66, 107)
BROW_RIGHT = (276, 283, 282, 295, 285, 300, 293, 334, 296, 336)

FACE_OVAL = (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152,
             148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109)  # fmt: skip
CHIN = 152
NOSE_TIP = 1

# Points that move with the skull and hardly at all in speech: eye corners, nose bridge, forehead, temples.
STABLE = (33, 133, 362, 263, 168, 6, 197, 195, 10, 151, 109, 338, 54, 284, 127, 356)


class MeshTopology(NamedTuple):
    """The mean face and how its points are joined.

    Attributes:
        vertices: (478, 3) float32 canonical face, normalised face space (IOD units).
        triangles: (852, 3) int32, with holes for the eyes and the mouth.
    """

    vertices: npt.NDArray[np.float32]
    triangles: npt.NDArray[np.int32]


@cache
def topology() -> MeshTopology:
    """Return the canonical face mesh that belongs to the landmark net (weights entry ``face_mesh``)."""
    from safetensors.numpy import load_file

    from portrait_anim.system.weights import weight_path

    tensors = load_file(weight_path(WEIGHTS))
    vertices, triangles = tensors["vertices"], tensors["triangles"]
    if vertices.shape != (N_LANDMARKS, 3):
        raise ValueError(f"face_mesh has {vertices.shape} vertices, not ({N_LANDMARKS}, 3)")
    return MeshTopology(vertices.astype(np.float32), triangles.astype(np.int32))


@cache
def mirror() -> npt.NDArray[np.int64]:
    """Return (478,): for each point the one on the other side of the face."""
    vertices = topology().vertices[:468]
    gap = np.linalg.norm((vertices * [-1, 1, 1])[:, None] - vertices[None], axis=-1)  # (468, 468)
    out = np.concatenate([gap.argmin(1), np.zeros(10, np.int64)])
    for left, right in zip(IRIS_LEFT, (473, 476, 475, 474, 477), strict=True):  # centre, right, top, left, bottom
        out[left], out[right] = right, left
    return np.asarray(out)
