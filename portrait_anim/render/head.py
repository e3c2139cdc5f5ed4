"""The mesh that carries the photo: face, lids and eyes, with rings of points round the face; and where a state puts it.

Convention:
    * Points are in normalised face space (IOD, x right, y up, z to the viewer; see :mod:`portrait_anim.face.state`)
      until ``Pose.to_image`` brings them to px of the photo.
    * ``source`` is where the mesh is in the photo, :meth:`HeadMesh.place` where it is in the frame.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

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
from portrait_anim.face.state import ACROSS, NECK, FaceState, nearer
from portrait_anim.render.placing import Mesh, placed
from portrait_anim.system.easing import eased
from portrait_anim.system.opencv import cv2

Array = npt.NDArray[np.float32]
Float = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]

RINGS = (
    (1.10, 1.00, 0.97, 0.80),
    (1.24, 1.00, 0.87, 0.55),
    (1.42, 1.00, 0.66, 0.30),
    (1.64, 0.85, 0.36, 0.12),
    (1.90, 0.45, 0.11, 0.03),
    (2.2, 0, 0, 0),
)
"""Rings of points round the face: size over the face outline's; share of the head's motion beside and above the face
(the hair goes with the head) and below it (the shoulders stay); share of the jaw's."""
BELOW = (0.12, 0.50)
"""Height over that of the face's outline: up to which a ring counts as below it, from which as beside it."""
BREATH = (0.0, 0.20, 0.65, 1.00, 0.80, 0.00)
"""Share of breathing of the rings below the face: shoulders rise, the head does not."""
RING_DEPTH = 0.06  # IOD by which each ring below lies behind the one before
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
        outline: (36,) how much larger than the face's outline the head's is, hair included; above 1.
        grown_lips: whether the photo's mouth is open: then its closed lips are drawn from pixels that lie apart in
            the photo, and the triangles at the lips are ``fine`` too.
    """

    def __init__(
        self,
        landmarks: Array,
        rest: Array,
        pose: Pose,
        size: tuple[int, int],
        outline: Float,
        *,
        grown_lips: bool = False,
    ) -> None:
        # the mesh as it is in the photo, and its triangles
        self._pose = pose
        shape, rest = pose.to_face(landmarks).astype(np.float64), rest.astype(np.float64)
        lowered = [*EYE_LEFT_LOWER[1:-1], *EYE_RIGHT_LOWER[1:-1]]
        for points in (shape, rest):
            points[lowered, 1] -= LOWER_LID_MARGIN
        base, ring_share, ring_jaw, ring_breath = _rings(shape, pose.rotation, outline)
        source = pose.to_image(np.concatenate([shape, base]))[:, :2].astype(np.float32)
        self.source = np.concatenate([source, source[: len(shape)]])  # (N, 2) px
        self.triangles = _triangles(len(source))
        lids = {*sum((row for rows, _ in LID_ROWS for row in rows), ()), *EYE_LEFT, *EYE_RIGHT}
        self.lids = np.asarray(
            np.isin(self.triangles, sorted(lids)).any(axis=1) | (self.triangles >= len(source)).all(axis=1)
        )
        self.fine = self.lids | np.isin(self.triangles, LIPS_INNER if grown_lips else ()).any(axis=1)
        # what lies near the picture's border moves less: nothing is drawn from beyond it
        border = np.minimum(source, np.array(size) - 1 - source).min(axis=1) / pose.scale
        ways, near = np.clip(border / BORDER_REACH, 0, 1), np.clip(border / BORDER_REACH_FACE, 0, 1)
        n_face = len(shape)
        whole = np.concatenate([rest, base])
        pairs, rows, row_eyes, row_ways = _lids(whole)
        self._mesh = Mesh(
            rest=whole,
            place=np.ascontiguousarray((whole @ pose.rotation.T)[:, :2]),
            camera=np.ascontiguousarray(pose.rotation, np.float64),
            face_share=near[:n_face],
            ring_of=np.tile(np.array(FACE_OVAL, np.int64), len(RINGS)),
            jaw_share=ring_jaw * near[n_face:],
            breath=ring_breath * near[n_face:],
            head_share=np.concatenate([near[:n_face], ring_share * ways[n_face:]]),
            irises=np.array([*IRIS_LEFT, *IRIS_RIGHT], np.int64),
            lids=pairs[:, :2].copy(),
            lid_eyes=pairs[:, 2].copy(),
            rows=rows,
            row_eyes=row_eyes,
            row_ways=row_ways,
            meet=LID_MEET,
        )

    def place(self, state: FaceState) -> Array:
        """Return where a state puts the vertices, (N, 2) px."""
        moved, behind = placed(
            self._mesh, state.displacement, state.blink.astype(np.float64), np.sin(state.gaze).astype(np.float64),
            *self.motion(state), state.breath,
        )  # fmt: skip
        return self._pose.to_image(np.concatenate([moved, behind]))[:, :2]

    @staticmethod
    def motion(state: FaceState) -> tuple[Float, Float]:
        """Return the head's rotation about the neck, (3, 3), with how near it is, and its shift, (3,) IOD."""
        turn = cv2.Rodrigues(state.rotation.astype(np.float64))[0]  # in a hundredth of the time of scipy's
        return np.asarray(turn * nearer(float(state.shift[2])), np.float64), np.asarray(
            state.shift * ACROSS, np.float64
        )


def _rings(shape: Float, rotation: Float, outline: Float) -> tuple[Float, Float, Float, Float]:
    """Return the rings' points (R * 36, 3) in IOD, and (R * 36,) their shares of head, jaw and breathing.

    They are laid round the face as the camera sees it, so that on a turned face, too, none lies before another. Beside
    and above the face they lie on an ellipsoid from the face's outline back to the head's, which is straight above the
    neck: what is seen there against the background stays where it is when the head turns.

    Args:
        shape: (478, 3) IOD, the face.
        rotation: (3, 3) of its pose.
        outline: (36,) size of the head's outline over the face's, above 1.
    """
    oval = shape[list(FACE_OVAL)]
    seen = oval @ rotation.T
    centre, neck = seen.mean(0), rotation @ NECK
    height = (oval[:, 1] - oval[:, 1].min()) / np.ptp(oval[:, 1])
    beside = eased(np.clip((height - BELOW[0]) / (BELOW[1] - BELOW[0]), 0, 1))
    rings, head, jaw, breath = [], [], [], []
    for k, (size, beside_share, below_share, jaw_share) in enumerate(RINGS):
        ring = centre + (seen - centre) * size
        front = np.sqrt(1 - np.clip((size - 1) / (outline - 1), 0, 1) ** 2)
        skull = np.minimum(neck[2] + front * (seen[:, 2] - neck[2]), seen[:, 2])
        ring[:, 2] = beside * skull + (1 - beside) * (seen[:, 2] - RING_DEPTH * (k + 1))
        rings.append(ring @ rotation)
        head.append(beside * beside_share + (1 - beside) * below_share)
        jaw.append(np.full(len(oval), jaw_share))
        breath.append((1 - beside) * BREATH[k])
    return np.concatenate(rings), np.concatenate(head), np.concatenate(jaw), np.concatenate(breath)


def _lids(rest: Float) -> tuple[Whole, Whole, Whole, Float]:
    """Return what moves when the eyes shut.

    Args:
        rest: (478, 3) IOD.

    Returns:
        (L, 3) points of the upper lids, those of the lower ones below them, and which eye; (S,) points of the rows of
        skin beside them, (S,) which eye, and (S, 3) IOD how far each goes.
    """
    pairs, rows, eyes, ways = [], [], [], []
    for eye, (upper, lower) in enumerate(((EYE_LEFT_UPPER, EYE_LEFT_LOWER), (EYE_RIGHT_UPPER, EYE_RIGHT_LOWER))):
        up, low = np.array(upper[1:-1]), np.array(lower[1:-1])
        way = rest[low] - rest[up]
        pairs.append(np.stack([up, low, np.full(len(up), eye)], 1))
        shares = [(sides[eye], LID_MEET * share) for sides, share in LID_ROWS]
        for row, share in (*shares, (LOWER_LID_ROWS[eye], (LID_MEET - 1) * LOWER_LID_SHARE)):
            rows.append(np.array(row))
            eyes.append(np.full(len(row), eye))
            ways.append(share * way)
    return np.concatenate(pairs), np.concatenate(rows), np.concatenate(eyes), np.concatenate(ways)


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
