"""Warps the photo by the mesh: each triangle of the photo is drawn where its corners are in the frame.

Convention:
    * Direction: maps go backwards, from the frame to the photo. A displacement map holds, for each pixel of the frame,
      what has to be added to its place to get the place in the photo that it is taken from; an absolute map holds that
      place itself, as ``cv2.remap`` takes it.
    * Order: the last axis is (x, y) in px, x to the right, y down. Arrays are indexed [row, column], that is [y, x].
    * Pixel centres are at integers: the centre of the upper left pixel is (0, 0).
    * Triangles are drawn in order, later ones over earlier ones. Pixels that none covers keep 0: they show the photo.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from portrait_anim.render.raster import STILL_PX, areas, draw, draw_finer, moving_part
from portrait_anim.render.scene import Box
from portrait_anim.system.opencv import cv2

Array = npt.NDArray[np.float32]
Image = npt.NDArray[np.uint8]
Bands: TypeAlias = "list[tuple[slice, slice]]"  # rows and columns

SMALL_PX2 = 0.5  # px^2, twice the area in the photo below which a triangle is not asked how it is pressed
PRESSED = 0.4  # share of its area in the photo below which a triangle is drawn finely
FINE = 2  # times finer along x and y, that it is drawn there
SUBPIXEL_BITS = 4
SUBPIXELS = 1 << SUBPIXEL_BITS  # cv2 draws polygons with so many steps a pixel
MOST_ROWS = 30000
BAND = 16  # grid points, height of the bands that are drawn: what is still on both sides of each is left out
BOX_MARGIN_PX = 2  # px beyond the mesh that :meth:`Warp.sample` may read


def moving_box(source: Array, size: tuple[int, int]) -> Box:
    """Return the part of a picture of ``size`` (width, height) that a mesh with vertices (N, 2) px can change."""
    low, high = np.floor(source.min(0)) - BOX_MARGIN_PX, np.ceil(source.max(0)) + BOX_MARGIN_PX + 1
    x0, y0 = (int(max(0, value)) for value in low)
    return x0, y0, int(min(size[0], high[0])), int(min(size[1], high[1]))


class Warp:
    """Warps one picture by a mesh whose vertices move; safe to share between threads.

    Args:
        source: (N, 2) px, the vertices in the photo.
        triangles: (M, 3) vertex indices in drawing order.
        box: the part of the picture that can move, see :func:`moving_box`.
        step: px between the points of the coarse grid on which the map is drawn; linear in between.
        fine: (M,) True for triangles that are drawn pixel by pixel all the same: the map is not smooth there, as at
            the lids.
        lids: (M,) True for those of them that :meth:`refine` draws when they shut.
        lid_fine: how many times finer, along x and along y, that is done.
        person: (box height, box width) True where the person is in the photo; nothing else moves. None: everywhere.
    """

    def __init__(
        self,
        source: Array,
        triangles: npt.NDArray[np.int32],
        box: Box,
        step: int,
        fine: npt.NDArray[np.bool_],
        lids: npt.NDArray[np.bool_],
        lid_fine: int = 3,
        person: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        self.source, self.step, self._lid_fine = source.astype(np.float32), step, lid_fine
        self._triangles = np.ascontiguousarray(triangles, dtype=np.int32)
        self._fine = np.ascontiguousarray(self._triangles[fine])
        self._lid_mask = lids
        size = areas(self.source[self._triangles])
        pressable = (np.abs(size) > SMALL_PX2) & ~fine
        self._per_area = np.divide(1, size, out=np.full(len(size), np.nan), where=pressable)
        self.box = box
        x0, y0, x1, y1 = box
        x, y = np.meshgrid(np.arange(x0, x1, dtype=np.float32), np.arange(y0, y1, dtype=np.float32))
        self._identity = np.stack([x, y], axis=-1)  # (H, W, 2) each pixel's own place
        # grid points lie in the middle of blocks of step x step px, as cv2.resize takes them (half-pixel centres)
        self._offset = np.array([x0, y0], np.float32) + (step - 1) / 2
        rows, columns = -(-(self.box[3] - y0) // step), -(-(self.box[2] - x0) // step)
        self._coarse = rows, columns
        self._to_person = np.zeros(self._coarse, np.float32)  # grid points from each to the person
        if person is not None:
            whole = np.pad(person, ((0, rows * step - person.shape[0]), (0, columns * step - person.shape[1])))
            there = whole.reshape(rows, step, columns, step).any(axis=(1, 3))
            self._to_person = cv2.distanceTransform((~there).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_3)

    def map(self, target: Array) -> tuple[int, int, Array, Bands] | None:
        """Return where the pixels of the frame's moving part come from.

        Args:
            target: (N, 2) px, the vertices in the frame.

        Returns:
            First column and first row of the part, its absolute map (h, w, 2): px of the photo, and the bands of it
            outside which nothing moves. None when nothing moves.
        """
        x0, y0, x1, y1 = self.box
        step = self.step
        # the displacement map on the coarse grid, from the triangles that move
        move = (self.source - target).astype(np.float32)
        moving = (np.abs(move[:, 0]) > STILL_PX) | (np.abs(move[:, 1]) > STILL_PX)
        triangles = self._triangles[moving[self._triangles].any(axis=1)]
        if not len(triangles):
            return None
        coarse = np.zeros((*self._coarse, 2), np.float32)
        draw(((target - self._offset) / step).astype(np.float32), move, triangles, coarse)
        # the part that moves, one grid point wider
        busy = moving_part(coarse, self._to_person, step)
        rows, columns = np.flatnonzero(busy.any(axis=1)), np.flatnonzero(busy.any(axis=0))
        if not len(rows):
            return None
        r0, r1 = max(0, rows[0] - 1), min(coarse.shape[0], rows[-1] + 2)
        c0, c1 = max(0, columns[0] - 1), min(coarse.shape[1], columns[-1] + 2)
        part = coarse[r0:r1, c0:c1]
        # every pixel of it: linear between grid points, triangle by triangle where the map is not smooth
        left, top = c0 * step, r0 * step
        fine = cv2.resize(part, None, fx=step, fy=step, interpolation=cv2.INTER_LINEAR) if step > 1 else part
        fine = fine[: y1 - y0 - top, : x1 - x0 - left]
        if step > 1 and moving[self._fine].any():
            fine = np.ascontiguousarray(fine)
            draw((target - np.array([x0 + left, y0 + top])).astype(np.float32), move, self._fine, fine)
        fine = cv2.add(fine, self._identity[top : top + fine.shape[0], left : left + fine.shape[1]])
        bands = []
        for first in range(0, r1 - r0, BAND):
            there = np.flatnonzero(busy[r0 + first : min(r0 + first + BAND, r1), c0:c1].any(axis=0))
            if len(there):
                low, high = max(0, there[0] - 1) * step, min(c1 - c0, there[-1] + 2) * step
                bands.append((slice(first * step, (first + BAND) * step), slice(int(low), int(high))))
        return x0 + int(left), y0 + int(top), fine, bands

    def refine(
        self, pixels: Image, target: Array, moved: tuple[int, int, Array, Bands], drawn: Image, *, lids: bool
    ) -> None:
        """Draw again what looks like stairs when it is drawn pixel by pixel, on a finer grid and averaged, in place.

        That is skin which is pressed together where the head turns away, and the line of a shut lid.

        Args:
            pixels: the photo's part in ``box``, (box height, box width, C) uint8.
            target: (N, 2) px, the vertices in the frame.
            moved: what :meth:`map` returned for them.
            drawn: (h, w, C) what :meth:`draw` returned for that.
            lids: whether the lids are drawn finely, too.
        """
        x0, y0, mapping, _ = moved
        at = (target - np.array([x0, y0])).astype(np.float32)
        corners = at[self._triangles]  # (M, 3, 2)
        chosen = areas(corners) * self._per_area < PRESSED
        if lids and self._lid_fine > 1:
            chosen |= self._lid_mask
        if not chosen.any():
            return
        # the pixels that they touch
        low = np.floor(corners[chosen].min(axis=(0, 1))).astype(int) - 1
        high = np.ceil(corners[chosen].max(axis=(0, 1))).astype(int) + 2
        left, top = (int(v) for v in np.maximum(low, 0))
        right, bottom = (int(v) for v in np.minimum(high, mapping.shape[1::-1]))
        if right <= left or bottom <= top:
            return
        touched = np.zeros((bottom - top, right - left), np.uint8)
        shapes = list(np.round((corners[chosen] - np.array([left, top], np.float32)) * SUBPIXELS).astype(np.int32))
        cv2.polylines(touched, shapes, True, 1, shift=SUBPIXEL_BITS)
        cv2.fillPoly(touched, shapes, 1, shift=SUBPIXEL_BITS)
        rows, columns = np.nonzero(cv2.dilate(touched, np.ones((3, 3), np.uint8)))
        index = np.full(touched.shape, -1, np.int32)
        index[rows, columns] = np.arange(len(rows))
        rows, columns = rows + top, columns + left
        # where each of their finer pixels comes from
        many = max(FINE, self._lid_fine) if lids else FINE
        move = (self.source - target).astype(np.float32)
        own = (mapping[rows, columns] - np.stack([columns + x0, rows + y0], 1)).astype(np.float32)  # (P, 2)
        finer = np.repeat(own[:, None], many * many, axis=1)  # (P, many^2, 2)
        draw_finer(at - np.array([left, top], np.float32), move, self._triangles, index, many, finer)
        step = ((np.arange(many) + 0.5) / many - 0.5).astype(np.float32)
        within = np.stack([np.tile(step, many), np.repeat(step, many)], 1)  # (many^2, 2) x, y
        finer += np.stack([columns + x0, rows + y0], 1)[:, None].astype(np.float32) + within
        # sampled, then averaged
        for first in range(0, len(rows), MOST_ROWS):  # cv2.remap takes no more rows at once
            part = slice(first, first + MOST_ROWS)
            several = self.sample(pixels, finer[part])  # (P, many^2, C)
            drawn[rows[part], columns[part]] = cv2.reduce(several, 1, cv2.REDUCE_AVG)[:, 0]

    def draw(self, pixels: Image, moved: tuple[int, int, Array, Bands]) -> Image:
        """Return the moving part (h, w, C) as :meth:`map` says; what lies outside its bands is any."""
        mapping, bands = moved[2:]
        out = np.empty((*mapping.shape[:2], pixels.shape[2]), np.uint8)
        for band in bands:
            out[band] = self.sample(pixels, mapping[band])
        return out

    def sample(self, pixels: Image, mapping: Array) -> Image:
        """Return the picture that an absolute map takes from the photo, by cubic interpolation.

        Where the map points at whole pixels the result holds the photo's own values. A map of this mesh never points
        outside the mesh, and ``box`` is two pixels wider, as cubic interpolation needs: no more of the photo is read.

        Args:
            pixels: the photo's part in ``box``, (box height, box width, C) uint8.
            mapping: (h, w, 2) px of the whole photo.

        Returns:
            (h, w, C) uint8.
        """
        x0, y0 = self.box[:2]
        inside = cv2.subtract(mapping, (x0, y0, 0, 0))
        return np.asarray(cv2.remap(pixels, inside, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE))
