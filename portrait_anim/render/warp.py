"""Mesh warp: a backward map drawn triangle by triangle on a coarse grid.

Convention: displacement maps hold, for each pixel of the output frame, what has to be added to its (x, y) to get the
place in the photo it is taken from; pixel centres at integers, y down. Triangles are drawn in order, later ones over
earlier ones; pixels that none covers keep zero, that is: they show the photo.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from portrait_anim.render.outline import fade_beyond_outline, on_grid
from portrait_anim.render.scene import Box
from portrait_anim.system.opencv import cv2

Array = npt.NDArray[np.float32]
Image = npt.NDArray[np.uint8]

STILL_PX = 0.01  # what moves less counts as still


@numba.njit(cache=True, nogil=True)
def draw(target: Array, move: Array, triangles: npt.NDArray[np.int32], out: Array) -> None:
    """Draw triangles into a displacement map, in place.

    Args:
        target: (N, 2) vertices in the map's own pixels.
        move: (N, 2) px, what a vertex's target has to be moved by to get its source.
        triangles: (M, 3) vertex indices in drawing order.
        out: (H, W, 2) map to draw into.
    """
    height, width = out.shape[0], out.shape[1]
    for m in range(triangles.shape[0]):
        a, b, c = triangles[m, 0], triangles[m, 1], triangles[m, 2]
        ax, ay, bx, by, cx, cy = target[a, 0], target[a, 1], target[b, 0], target[b, 1], target[c, 0], target[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if abs(area) < 1e-9:
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
            left, right = max(0, int(np.ceil(low - 1e-4))), min(width - 1, int(np.floor(high + 1e-4)))
            for x in range(left, right + 1):
                wb = ((x - ax) * (cy - ay) - (y - ay) * (cx - ax)) / area
                wc = ((bx - ax) * (y - ay) - (by - ay) * (x - ax)) / area
                for k in range(2):
                    out[y, x, k] = move[a, k] + wb * (move[b, k] - move[a, k]) + wc * (move[c, k] - move[a, k])


class Warp:
    """Warps one picture by a mesh whose vertices move; safe to share between threads.

    Args:
        source: (N, 2) px, the vertices in the picture.
        triangles: (M, 3) vertex indices in drawing order.
        size: (width, height) of the picture.
        step: px between the map's grid points; the map is interpolated linearly in between.
        fine: which triangles (M,) are drawn pixel by pixel all the same: where the map jumps, as at the lids.
        lids: those of them that :meth:`lids` draws.
        lid_fine: fine pixels a pixel in which it does.
        hold: share of the motion that each place keeps, and the (2, 3) map from px to it; None: all of it.
    """

    def __init__(
        self,
        source: Array,
        triangles: npt.NDArray[np.int32],
        size: tuple[int, int],
        step: int,
        fine: npt.NDArray[np.bool_],
        lids: npt.NDArray[np.bool_],
        lid_fine: int = 3,
        hold: tuple[Array, npt.NDArray[np.float64]] | None = None,
    ) -> None:
        self.source, self.step, self._lid_fine = source.astype(np.float32), step, lid_fine
        self._triangles = np.ascontiguousarray(triangles, dtype=np.int32)
        self._fine = np.ascontiguousarray(self._triangles[fine])
        self._lids = np.ascontiguousarray(self._triangles[lids])
        low, high = np.floor(source.min(0)) - 2, np.ceil(source.max(0)) + 3
        x0, y0 = (int(max(0, value)) for value in low)
        self.box: Box = x0, y0, int(min(size[0], high[0])), int(min(size[1], high[1]))
        """x0, y0, x1, y1 (end exclusive) of everything that can move"""
        x1, y1 = self.box[2:]
        x, y = np.meshgrid(np.arange(x0, x1, dtype=np.float32), np.arange(y0, y1, dtype=np.float32))
        self._identity = np.stack([x, y], axis=-1)  # (H, W, 2)
        # the grid's points lie in the middle of step x step blocks, where cv2.resize expects them
        self._offset = np.array([x0, y0], np.float32) + (step - 1) / 2
        rows, columns = -(-(self.box[3] - y0) // step), -(-(self.box[2] - x0) // step)
        self._coarse = rows, columns
        self._share = None
        if hold is not None:
            x, y = np.meshgrid(np.arange(columns) * step + self._offset[0], np.arange(rows) * step + self._offset[1])
            self._share = on_grid(*hold, x, y)

    def map(self, target: Array) -> tuple[int, int, Array] | None:
        """Return the part of the frame that moves: its first column and row and its (h, w, 2) map of absolute px.

        None when nothing moves.

        Args:
            target: (N, 2) px, the vertices in the frame.
        """
        x0, y0, x1, y1 = self.box
        step = self.step
        move = (self.source - target).astype(np.float32)
        moving = np.abs(move).max(axis=1) > STILL_PX
        triangles = self._triangles[moving[self._triangles].any(axis=1)]
        if not len(triangles):
            return None
        coarse = np.zeros((*self._coarse, 2), np.float32)
        draw(((target - self._offset) / step).astype(np.float32), move, triangles, coarse)
        if self._share is not None:
            fade_beyond_outline(coarse, self._share, float(step))
        busy = np.abs(coarse).max(axis=2) > STILL_PX
        rows, columns = np.flatnonzero(busy.any(axis=1)), np.flatnonzero(busy.any(axis=0))
        if not len(rows):
            return None
        r0, r1 = max(0, rows[0] - 1), min(coarse.shape[0], rows[-1] + 2)
        c0, c1 = max(0, columns[0] - 1), min(coarse.shape[1], columns[-1] + 2)
        part = coarse[r0:r1, c0:c1]
        left, top = c0 * step, r0 * step
        fine = cv2.resize(part, None, fx=step, fy=step, interpolation=cv2.INTER_LINEAR) if step > 1 else part
        fine = fine[: y1 - y0 - top, : x1 - x0 - left]
        if step > 1 and moving[self._fine].any():
            fine = np.ascontiguousarray(fine)
            draw((target - np.array([x0 + left, y0 + top])).astype(np.float32), move, self._fine, fine)
        fine = cv2.add(fine, self._identity[top : top + fine.shape[0], left : left + fine.shape[1]])
        return x0 + int(left), y0 + int(top), fine

    def lids(self, pixels: Image, target: Array, moved: tuple[int, int, Array]) -> tuple[int, int, Image]:
        """Return the part of the frame round the lids, drawn finely and averaged: a shut lid's line has no steps.

        Args:
            pixels: (h, w, 3), the picture's part in ``box``.
            target: (N, 2) px, the vertices in the frame.
            moved: what :meth:`map` returned for them.

        Returns:
            First column, first row, (h, w, 3) pixels.
        """
        (x0, y0, mapping), many = moved, self._lid_fine
        at = target[np.unique(self._lids)] - [x0, y0]
        limit = np.array(mapping.shape[1::-1])
        left, top = (int(value) for value in np.clip(np.floor(at.min(0)) - 1, 0, np.maximum(limit - 2, 0)))
        right, bottom = (int(value) for value in np.clip(np.ceil(at.max(0)) + 2, [left + 2, top + 2], limit))
        large = cv2.resize(mapping[top:bottom, left:right], None, fx=many, fy=many)
        grid = (np.arange(max(large.shape)) + 0.5) / many - 0.5  # px of the part, in the middle of each fine pixel
        origin = np.array([x0 + left, y0 + top], np.float32)
        own = np.stack(np.meshgrid(grid[: large.shape[1]], grid[: large.shape[0]]), -1).astype(np.float32) + origin
        large = np.ascontiguousarray(large - own)
        draw(
            ((target - origin + 0.5) * many - 0.5).astype(np.float32),
            (self.source - target).astype(np.float32), self._lids, large,
        )  # fmt: skip
        drawn = self.sample(pixels, large + own)
        small = cv2.resize(drawn, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
        return x0 + left, y0 + top, np.asarray(small)

    def sample(self, pixels: Image, mapping: Array) -> Image:
        """Return the picture that a map takes from the photo, by cubic interpolation.

        Where the map points at whole pixels the photo's own values come out. A map of this mesh points nowhere outside
        ``box``, which is two pixels wider than the mesh, as cubics need it: the box is all of the photo that is read.

        Args:
            pixels: (h, w, 3), the picture's part in ``box``.
            mapping: (h, w, 2) absolute px of the picture.
        """
        x0, y0 = self.box[:2]
        inside = cv2.subtract(mapping, (x0, y0, 0, 0))
        return np.asarray(cv2.remap(pixels, inside, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE))
