"""Where a state puts the mesh's points; compiled. See :mod:`portrait_anim.render.head` for the convention."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from portrait_anim.face.state import EYEBALL, NECK

Array = npt.NDArray[np.float32]
Float = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]

THIN = 0.10  # share of its width that skin keeps at least where the head turns away
SIDEWAYS = 0.4  # IOD of depth by which a point counts less for each IOD that another lies beside its way
FOLDS_FROM = float(np.sin(np.radians(6)))  # sine of the turn from which on the mesh is looked through for folds
_NECK = np.asarray(NECK, np.float64)
_EYEBALL = float(EYEBALL)


class Mesh(NamedTuple):
    """What of a mesh does not change: its F face points, then its R ring points, IOD.

    Attributes:
        rest: (F + R, 3) at rest.
        place: (F + R, 2) that, as the camera sees it.
        camera: (3, 3) the rotation of the face's pose.
        face_share: (F,) share of a displacement that is shown.
        ring_of: (R,) the face point whose displacement a ring point follows.
        jaw_share: (R,) how much it does.
        breath: (R,) share of breathing.
        head_share: (F + R,) share of the head's motion.
        irises: (I,) the points that turn with the gaze.
        lids: (L, 2) pairs of points, each of an upper lid and the lower one's below it.
        lid_eyes: (L,) which eye.
        rows: (S,) points of skin beside the lids.
        row_eyes: (S,) which eye.
        row_ways: (S, 3) how far each goes when its eye shuts.
        meet: share of the opening that the upper lid closes.
    """

    rest: Float
    place: Float
    camera: Float
    face_share: Float
    ring_of: Whole
    jaw_share: Float
    breath: Float
    head_share: Float
    irises: Whole
    lids: Whole
    lid_eyes: Whole
    rows: Whole
    row_eyes: Whole
    row_ways: Float
    meet: float


@numba.njit(cache=True, nogil=True)
def placed(
    mesh: Mesh, displacement: Array, blink: Float, gaze: Float, turn: Float, shift: Float, breath: float
) -> tuple[Float, Float]:
    """Return where a state puts the points (F + R, 3), and what lies behind the lids (F, 3), both in IOD.

    Args:
        mesh: its points at rest.
        displacement: (F, 3).
        blink: (2,) closure of the lids.
        gaze: (2,) sines of its angles.
        turn: (3, 3) the head's rotation.
        shift: (3,) of the head.
        breath: by which the shoulders have risen.
    """
    n_face, n_all = len(displacement), len(mesh.rest)
    rest, face_share, ring_of, jaw_share, rings_breath = (
        mesh.rest, mesh.face_share, mesh.ring_of, mesh.jaw_share, mesh.breath,
    )  # fmt: skip
    moved = np.empty((n_all, 3))
    for i in range(n_face):
        for k in range(3):
            moved[i, k] = rest[i, k] + displacement[i, k] * face_share[i]
    for i in range(n_face, n_all):
        ring = i - n_face
        for k in range(3):
            moved[i, k] = rest[i, k] + displacement[ring_of[ring], k] * jaw_share[ring]
        moved[i, 1] += breath * rings_breath[ring]
    # what lies behind the lids: the irises turn with the gaze
    behind = moved[:n_face].copy()
    for iris in mesh.irises:
        behind[iris, 0] += gaze[0] * _EYEBALL
        behind[iris, 1] += gaze[1] * _EYEBALL
    _close(mesh, moved, blink)
    # head motion, for the rings only in part
    _turn(behind, mesh.head_share, turn, shift)
    _turn(moved, mesh.head_share, turn, shift)
    # what the turned head hides
    camera = mesh.camera
    towards = (camera @ turn @ np.ascontiguousarray(camera.T))[:2, 2].copy()
    turned = np.hypot(towards[0], towards[1])
    if turned > FOLDS_FROM:
        seen = moved @ np.ascontiguousarray(camera.T)
        before, now = seen[:n_face].copy(), seen[:, :2].copy()
        _unfold(mesh.place, now, towards / turned)
        seen[:, :2] = now
        moved = seen @ camera
        behind += (seen[:n_face] - before) @ camera
    return moved, behind


@numba.njit(cache=True, nogil=True)
def _close(mesh: Mesh, moved: Float, blink: Float) -> None:
    """Move the lids and the rows of skin next to them, in place."""
    lids, eyes, rows, row_eyes, ways = mesh.lids, mesh.lid_eyes, mesh.rows, mesh.row_eyes, mesh.row_ways
    for i in range(len(lids)):
        closure = blink[eyes[i]]
        if closure > 0:
            for k in range(3):
                opening = moved[lids[i, 1], k] - moved[lids[i, 0], k]
                moved[lids[i, 0], k] += mesh.meet * closure * opening
                moved[lids[i, 1], k] -= (1 - mesh.meet) * closure * opening
    for i in range(len(rows)):
        closure = blink[row_eyes[i]]
        if closure > 0:
            for k in range(3):
                moved[rows[i], k] += closure * ways[i, k]


@numba.njit(cache=True, nogil=True)
def _turn(points: Float, share: Float, turn: Float, shift: Float) -> None:
    """Turn points (N, 3) about the neck and shift them, each by its share (N,), in place."""
    for i in range(len(points)):
        x, y, z = points[i, 0] - _NECK[0], points[i, 1] - _NECK[1], points[i, 2] - _NECK[2]
        for k in range(3):
            there = turn[k, 0] * x + turn[k, 1] * y + turn[k, 2] * z + _NECK[k] + shift[k]
            points[i, k] += (there - points[i, k]) * share[i]


@numba.njit(cache=True, nogil=True)
def _unfold(place: Float, now: Float, way: Float) -> None:
    """Move points (N, 2) along ``way`` until none lies behind another that was before it, in place.

    What a turned head hides (the far cheek behind the nose, the far temple behind the cheek) is drawn as a narrow strip
    at the edge of what hides it: a mesh that folds over itself would show torn lines there.

    Args:
        place: (N, 2) IOD, where the points are in the photo.
        now: (N, 2) IOD, where they are in the frame; changed.
        way: (2,) unit vector, the way that near points go when the head turns.
    """
    n = len(place)
    along, across, moved = np.empty(n), np.empty(n), np.empty(n)
    for i in range(n):
        along[i] = place[i, 0] * way[0] + place[i, 1] * way[1]
        across[i] = place[i, 1] * way[0] - place[i, 0] * way[1]
        moved[i] = now[i, 0] * way[0] + now[i, 1] * way[1]
    order = np.argsort(along)
    for at in range(n):
        i = order[at]
        least = moved[i]
        for before in range(at):
            j = order[before]
            least = max(least, moved[j] + THIN * (along[i] - along[j]) - SIDEWAYS * abs(across[i] - across[j]))
        now[i, 0] += (least - moved[i]) * way[0]
        now[i, 1] += (least - moved[i]) * way[1]
