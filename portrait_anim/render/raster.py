"""Draws triangles into displacement maps; compiled loops. See :mod:`portrait_anim.render.warp` for the convention."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

STILL_PX = 0.01  # px; smaller motion counts as none
FLAT_PX2 = 1e-9  # px^2, twice the area below which a triangle is not drawn
ROUNDING_PX = 1e-4  # px by which a triangle's sides reach outwards, so that rounding leaves no gaps between two
ROUNDING = 1e-4  # of a triangle's weights, likewise


@numba.njit(cache=True, nogil=True)
def draw(target: Array, move: Array, triangles: npt.NDArray[np.int32], out: Array) -> None:
    """Draw triangles into a displacement map, in place.

    Args:
        target: (N, 2) where the vertices are in the frame, in the map's own pixels.
        move: (N, 2) px, what has to be added to that to get where they are in the photo.
        triangles: (M, 3) vertex indices in drawing order.
        out: (H, W, 2) map to draw into.
    """
    height, width = out.shape[0], out.shape[1]
    for m in range(triangles.shape[0]):
        a, b, c = triangles[m, 0], triangles[m, 1], triangles[m, 2]
        ax, ay, bx, by, cx, cy = target[a, 0], target[a, 1], target[b, 0], target[b, 1], target[c, 0], target[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if abs(area) < FLAT_PX2:
            continue
        top = max(0, int(np.ceil(min(ay, by, cy))))
        bottom = min(height - 1, int(np.floor(max(ay, by, cy))))
        for y in range(top, bottom + 1):
            low, high = np.inf, -np.inf  # where the row crosses the triangle's sides
            for px, py, qx, qy in ((ax, ay, bx, by), (bx, by, cx, cy), (cx, cy, ax, ay)):
                if min(py, qy) <= y <= max(py, qy):
                    if py == qy:
                        low, high = min(low, px, qx), max(high, px, qx)
                    else:
                        x = px + (qx - px) * (y - py) / (qy - py)
                        low, high = min(low, x), max(high, x)
            # columns of the row inside the triangle
            left, right = max(0, int(np.ceil(low - ROUNDING_PX))), min(width - 1, int(np.floor(high + ROUNDING_PX)))
            for x in range(left, right + 1):
                wb = ((x - ax) * (cy - ay) - (y - ay) * (cx - ax)) / area
                wc = ((bx - ax) * (y - ay) - (by - ay) * (x - ax)) / area
                for k in range(2):
                    out[y, x, k] = move[a, k] + wb * (move[b, k] - move[a, k]) + wc * (move[c, k] - move[a, k])


@numba.njit(cache=True, nogil=True)
def draw_finer(
    target: Array, move: Array, triangles: npt.NDArray[np.int32], index: npt.NDArray[np.int32], many: int, out: Array
) -> None:
    """Draw triangles into the displacements of some pixels only, ``many`` times finer along x and y, in place.

    Args:
        target: (N, 2) where the vertices are in the frame, in the map's own pixels.
        move: (N, 2) px, what has to be added to that to get where they are in the photo.
        triangles: (M, 3) vertex indices in drawing order.
        index: (H, W) which row of ``out`` a pixel has; -1: none.
        many: finer pixels in a pixel along x, and along y.
        out: (P, many * many, 2) displacements, row by row of finer pixels.
    """
    height, width = index.shape
    for m in range(triangles.shape[0]):
        a, b, c = triangles[m, 0], triangles[m, 1], triangles[m, 2]
        ax, ay, bx, by, cx, cy = target[a, 0], target[a, 1], target[b, 0], target[b, 1], target[c, 0], target[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if abs(area) < FLAT_PX2:
            continue
        left, right = max(0, int(np.floor(min(ax, bx, cx)))), min(width - 1, int(np.ceil(max(ax, bx, cx))))
        top, bottom = max(0, int(np.floor(min(ay, by, cy)))), min(height - 1, int(np.ceil(max(ay, by, cy))))
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                if index[y, x] < 0:
                    continue
                for s in range(many * many):
                    fx, fy = x + (s % many + 0.5) / many - 0.5, y + (s // many + 0.5) / many - 0.5
                    wb = ((fx - ax) * (cy - ay) - (fy - ay) * (cx - ax)) / area
                    wc = ((bx - ax) * (fy - ay) - (by - ay) * (fx - ax)) / area
                    if wb >= -ROUNDING and wc >= -ROUNDING and wb + wc <= 1 + ROUNDING:
                        for k in range(2):
                            out[index[y, x], s, k] = (
                                move[a, k] + wb * (move[b, k] - move[a, k]) + wc * (move[c, k] - move[a, k])
                            )


@numba.njit(cache=True, nogil=True)
def moving_part(move: Array, to_person: Array, step: int) -> npt.NDArray[np.bool_]:
    """Return where (H, W) of a displacement map (H, W, 2) px the person may be seen moved.

    Args:
        move: on a grid of ``step`` px.
        to_person: (H, W) grid points from each to the person in the photo.
        step: px.
    """
    height, width = to_person.shape
    most = np.float32(0)
    for row in range(height):
        for column in range(width):
            most = max(most, abs(move[row, column, 0]), abs(move[row, column, 1]))
    reach = np.float32(1.5) * most / step + 1  # sideways and up at once is 1.42 times as far
    out = np.empty((height, width), np.bool_)
    for row in range(height):
        for column in range(width):
            moves = abs(move[row, column, 0]) > STILL_PX or abs(move[row, column, 1]) > STILL_PX
            out[row, column] = moves and to_person[row, column] <= reach
    return out


def areas(corners: Array) -> Array:
    """Return twice the signed areas (M,) of triangles (M, 3, 2)."""
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return np.asarray(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])
