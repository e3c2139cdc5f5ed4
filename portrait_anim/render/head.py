"""The mesh that carries the photo: face, lids and eyes, with rings of points round the face; and where a state puts it.

Convention:
    * Points are in normalised face space (IOD, x right, y up, z to the viewer; see :mod:`portrait_anim.face.state`)
      until ``Pose.to_image`` brings them to px of the photo.
    * ``source`` is where the mesh is in the photo, :meth:`HeadMesh.place` where it is in the frame.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from portrait_anim.face.mesh import (
    EYE_LEFT,
    EYE_LEFT_LOWER,
    EYE_LEFT_UPPER,
    EYE_RIGHT,
    EYE_RIGHT_LOWER,
    EYE_RIGHT_UPPER,
    FACE_OVAL,
    IRIS_LEFT,
    IRIS_RIGHT,
    LIPS_INNER,
    LIPS_INNER_LOWER,
    LIPS_INNER_UPPER,
    topology,
)
from portrait_anim.face.normalise import Pose
from portrait_anim.face.state import EYEBALL, NECK, FaceState

Array = npt.NDArray[np.float32]
Float = npt.NDArray[np.float64]

RINGS = (
    (1.10, 0.97, 0.80),
    (1.24, 0.87, 0.55),
    (1.42, 0.66, 0.30),
    (1.64, 0.36, 0.12),
    (1.90, 0.11, 0.03),
    (2.2, 0, 0),
)
"""Rings of points round the face: size over the face outline's, share of the head's motion, share of the jaw's."""
RING_DEPTH = 0.06  # IOD by which each ring lies behind the one before
STEEPEST = 2.5  # slope of the depth towards the camera, limit; turned by 12 degrees, skin still shows .47 of its width
BORDER_REACH = 0.35  # IOD from the picture's border within which the head's motion fades out
BORDER_REACH_FACE = 0.10  # the same for the face's own motion
LID_MEET = 0.80  # share of the opening that the upper lid closes; the lower one closes the rest
# rows of skin above the lid that move with it, from the lid upwards: landmarks (image-left eye first), share of its way
LID_ROWS = (
    (((247, 30, 29, 27, 28, 56, 190), (467, 260, 259, 257, 258, 286, 414)), 0.62),
    (((113, 225, 224, 223, 222, 221, 189), (342, 445, 444, 443, 442, 441, 413)), 0.18),
)
LOWER_LID_MARGIN = 0.016  # IOD below the landmarks: the bright wet rim belongs to the eye, not to the lid's skin
LOWER_LID_ROWS = ((25, 110, 24, 23, 22, 26, 112), (255, 339, 254, 253, 252, 256, 341))
LOWER_LID_SHARE = 0.5  # of the lower lid's way that the row below it moves


class HeadMesh:
    """Rest positions, triangles and motion of the mesh.

    Vertices are the 478 landmarks, then the rings, then the 478 landmarks again for what lies behind the lids (the
    eyes themselves, which do not move with the lids).

    Attributes:
        source: (N, 2) px, the vertices in the photo.
        triangles: (M, 3) vertex indices in drawing order.
        fine: (M,) True where neighbouring triangles move apart, so that a coarse map would blur them.
        lids: (M,) True for those of them at the eyes.

    Args:
        landmarks: (478, 3) px in the photo.
        rest: (478, 3) IOD, the resting face that displacement 0 shows.
        pose: of the face in the photo.
        size: (width, height) of the photo.
        grown_lips: whether the photo's mouth is open: then its closed lips are drawn from pixels that lie apart in
            the photo, and the triangles at the lips are ``fine`` too.
    """

    def __init__(
        self, landmarks: Array, rest: Array, pose: Pose, size: tuple[int, int], *, grown_lips: bool = False
    ) -> None:
        # the mesh as it is in the photo, and its triangles
        self._pose = pose
        shape, rest = pose.to_face(landmarks).astype(np.float64), rest.astype(np.float64)
        lowered = [*EYE_LEFT_LOWER[1:-1], *EYE_RIGHT_LOWER[1:-1]]
        for points in (shape, rest):
            points[lowered, 1] -= LOWER_LID_MARGIN
        base, ring_share, ring_jaw = _rings(shape)
        source = pose.to_image(np.concatenate([shape, base]))[:, :2].astype(np.float32)
        self.source = np.concatenate([source, source[: len(shape)]])  # (N, 2) px
        self.triangles = _triangles(len(source))
        lids = {*sum((row for rows, _ in LID_ROWS for row in rows), ()), *EYE_LEFT, *EYE_RIGHT}
        self.lids = np.asarray(
            np.isin(self.triangles, sorted(lids)).any(axis=1) | (self.triangles >= len(source)).all(axis=1)
        )
        self.fine = self.lids | np.isin(self.triangles, LIPS_INNER if grown_lips else ()).any(axis=1)
        # the mesh at rest, and the way that each point of an upper lid has to the lower one
        self._rest = _limit_depth(np.concatenate([rest, base]), pose)
        self._lids = [
            (list(upper[1:-1]), list(lower[1:-1]), rest[list(lower[1:-1])] - rest[list(upper[1:-1])])
            for upper, lower in ((EYE_LEFT_UPPER, EYE_LEFT_LOWER), (EYE_RIGHT_UPPER, EYE_RIGHT_LOWER))
        ]
        # what lies near the picture's border moves less: nothing is drawn from beyond it
        border = np.minimum(source, np.array(size) - 1 - source).min(axis=1) / pose.scale
        self._head_share = np.concatenate([np.ones(len(shape)), ring_share])[:, None]
        self._head_share[len(shape) :] *= np.clip(border[len(shape) :, None] / BORDER_REACH, 0, 1)
        self._head_share[: len(shape)] *= np.clip(border[: len(shape), None] / BORDER_REACH_FACE, 0, 1)
        self._jaw_share = ring_jaw[:, None] * np.clip(border[len(shape) :, None] / BORDER_REACH_FACE, 0, 1)
        self._face_share = np.clip(border[: len(shape), None] / BORDER_REACH_FACE, 0, 1)

    def place(self, state: FaceState) -> Array:
        """Return where a state puts the vertices, (N, 2) px."""
        n_face = len(state.displacement)
        moved = self._rest.copy()
        moved[:n_face] += state.displacement * self._face_share
        oval = state.displacement[list(FACE_OVAL)]
        moved[n_face:] += np.tile(oval, (len(RINGS), 1)) * self._jaw_share
        # what lies behind the lids: the irises turn with the gaze
        behind = moved[:n_face].copy()
        for iris in (IRIS_LEFT, IRIS_RIGHT):
            behind[list(iris), :2] += np.sin(state.gaze) * EYEBALL
        self._close_lids(moved, state)
        # head motion, for the rings only in part
        behind += (self.turn(behind, state) - behind) * self._head_share[:n_face]
        moved += (self.turn(moved, state) - moved) * self._head_share
        return self._pose.to_image(np.concatenate([moved, behind]))[:, :2]

    def _close_lids(self, points: Float, state: FaceState) -> None:
        """Move the lids and the rows of skin next to them, in place; (N, 3) points in IOD."""
        for eye, ((up, low, way), blink) in enumerate(zip(self._lids, state.blink.astype(float), strict=True)):
            if blink <= 0:
                continue
            now = points[low] - points[up]
            points[up] += LID_MEET * blink * now
            points[low] -= (1 - LID_MEET) * blink * now
            for sides, share in LID_ROWS:
                points[list(sides[eye])] += LID_MEET * share * blink * way
            points[list(LOWER_LID_ROWS[eye])] -= (1 - LID_MEET) * LOWER_LID_SHARE * blink * way

    @staticmethod
    def turn(points: Float, state: FaceState) -> Float:
        """Return (..., 3) points (IOD) of the skull, turned about the neck and shifted by a state's head motion."""
        rotation = Rotation.from_rotvec(state.rotation).as_matrix()
        return np.asarray((points - NECK) @ rotation.T + NECK + state.shift)


def _rings(shape: Float) -> tuple[Float, Float, Float]:
    """Return the rings' points (R * 36, 3) in IOD, and (R * 36,) their shares of the head's and of the jaw's motion."""
    oval = shape[list(FACE_OVAL)]
    centre = oval.mean(0)
    rings, head, jaw = [], [], []
    for k, (size, head_share, jaw_share) in enumerate(RINGS):
        ring = centre + (oval - centre) * size
        ring[:, 2] = oval[:, 2] - RING_DEPTH * (k + 1)
        rings.append(ring)
        head.append(np.full(len(oval), head_share))
        jaw.append(np.full(len(oval), jaw_share))
    return np.concatenate(rings), np.concatenate(head), np.concatenate(jaw)


def _limit_depth(points: Float, pose: Pose) -> Float:
    """Bring (N, 3) points (IOD) forward until their depth changes nowhere faster than ``STEEPEST``.

    Seen by the camera, the depth of a face changes abruptly at its outline and beside the nose. A turned mesh would
    fold over itself there and show a dark line at the far cheek. Each point is brought forward just as far as needed
    (the Lipschitz envelope from above): the front stays as it is, and the mesh does not fold within 20 degrees of turn.
    """
    camera = points @ pose.rotation.T  # x right, y up, z to the viewer
    apart = np.linalg.norm(camera[:, None, :2] - camera[None, :, :2], axis=-1)  # (N, N)
    camera[:, 2] = (camera[None, :, 2] - STEEPEST * apart).max(axis=1)
    return np.asarray(camera @ pose.rotation)


def _triangles(behind: int) -> npt.NDArray[np.int32]:
    """Return (M, 3) triangles in drawing order: rings, eyes, the gap between the lips, skin.

    Args:
        behind: number of the first vertex of what lies behind the lids.
    """
    n = len(FACE_OVAL)
    rows = [np.array(FACE_OVAL)] + [478 + k * n + np.arange(n) for k in range(len(RINGS))]
    strips = []
    for inner, outer in zip(rows[-2::-1], rows[:0:-1], strict=True):
        after, outer_after = np.roll(inner, -1), np.roll(outer, -1)
        strips.append(np.concatenate([np.stack([inner, after, outer], 1), np.stack([after, outer_after, outer], 1)]))
    for loop, iris in ((EYE_LEFT, IRIS_LEFT[0]), (EYE_RIGHT, IRIS_RIGHT[0])):
        edge = np.array(loop)
        strips.append(behind + np.stack([np.full(len(edge), iris), edge, np.roll(edge, -1)], 1))
    upper, lower = np.array(LIPS_INNER_UPPER), np.array(LIPS_INNER_LOWER)
    strips.append(np.stack([upper[:-1], upper[1:], lower[1:]], 1))
    strips.append(np.stack([upper[:-1], lower[1:], lower[:-1]], 1))
    return np.concatenate([*strips, topology().triangles]).astype(np.int32)
