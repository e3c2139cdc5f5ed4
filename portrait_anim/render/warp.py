"""Mesh warp: a backward map drawn triangle by triangle.

Convention: the map gives, for each pixel of the output frame, the (x, y) in the photo it is taken from; pixel centres
at integers, y down. Triangles are drawn in order, later ones over earlier ones; pixels that none covers map to
themselves.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


@numba.njit(cache=True, nogil=True)
def draw_map(target: Array, source: Array, triangles: npt.NDArray[np.int32], x0: int, y0: int, out: Array) -> None:
    """Draw triangles into a backward map, in place.

    Args:
        target: (N, 2) px, where the vertices are in the frame.
        source: (N, 2) px, where they are in the photo.
        triangles: (M, 3) vertex indices in drawing order.
        x0: column of the frame that ``out``'s first column is.
        y0: row of the frame that ``out``'s first row is.
        out: (H, W, 2) map to draw into.
    """
    height, width = out.shape[0], out.shape[1]
    for m in range(triangles.shape[0]):
        a, b, c = triangles[m, 0], triangles[m, 1], triangles[m, 2]
        ax, ay = target[a, 0] - x0, target[a, 1] - y0
        bx, by = target[b, 0] - x0, target[b, 1] - y0
        cx, cy = target[c, 0] - x0, target[c, 1] - y0
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if abs(area) < 1e-6:
            continue
        top = max(0, int(np.ceil(min(ay, by, cy))))
        bottom = min(height - 1, int(np.floor(max(ay, by, cy))))
        left = max(0, int(np.ceil(min(ax, bx, cx))))
        right = min(width - 1, int(np.floor(max(ax, bx, cx))))
        inv = 1.0 / area
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                wb = ((x - ax) * (cy - ay) - (y - ay) * (cx - ax)) * inv
                wc = ((bx - ax) * (y - ay) - (by - ay) * (x - ax)) * inv
                wa = 1.0 - wb - wc
                if wa >= -1e-4 and wb >= -1e-4 and wc >= -1e-4:
                    out[y, x, 0] = wa * source[a, 0] + wb * source[b, 0] + wc * source[c, 0]
                    out[y, x, 1] = wa * source[a, 1] + wb * source[b, 1] + wc * source[c, 1]


def identity_map(x0: int, y0: int, x1: int, y1: int) -> Array:
    """Return the (y1 - y0, x1 - x0, 2) map of the box onto itself."""
    x, y = np.meshgrid(np.arange(x0, x1, dtype=np.float32), np.arange(y0, y1, dtype=np.float32))
    return np.stack([x, y], axis=-1)


def signed_area(points: Array, triangles: npt.NDArray[np.int32]) -> Array:
    """Return (M,) twice the signed area of triangles over (N, 2) points."""
    a, b, c = points[triangles[:, 0]], points[triangles[:, 1]], points[triangles[:, 2]]
    ab, ac = b - a, c - a
    return np.asarray(ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0], np.float32)
