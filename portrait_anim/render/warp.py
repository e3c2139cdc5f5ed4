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

import numpy as np
import numpy.typing as npt

from portrait_anim.render.pixels import Flow, Stack, lay, lay_finer
from portrait_anim.render.raster import areas, maps, reached
from portrait_anim.render.scene import Box
from portrait_anim.system.opencv import cv2

Array = npt.NDArray[np.float32]
Image = npt.NDArray[np.uint8]

SMALL_PX2 = 0.5  # px^2, twice the area in the photo below which a triangle is not asked how it is pressed
PRESSED = 0.4  # share of its area in the photo below which a triangle is drawn finely
FINE = 2  # times finer along x and y, that it is drawn there
BOX_MARGIN_PX = 2  # px beyond the mesh that cubic interpolation may read


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
        self._lid_mask, self._none = lids, np.zeros_like(lids)
        size = areas(self.source[self._triangles])
        pressable = (np.abs(size) > SMALL_PX2) & ~fine
        self._per_area = np.divide(1, size, out=np.full(len(size), np.nan), where=pressable)
        self.box = box
        x0, y0, x1, y1 = box
        # grid points lie in the middle of blocks of step x step px, as cv2.resize takes them (half-pixel centres)
        self._corner, self._size = np.array([x0, y0], np.float32), np.array([x1 - x0, y1 - y0], np.int32)
        self._source = self._in_box(self.source)
        self._offset = np.full(2, (step - 1) / 2, np.float32)
        rows, columns = -(-(self.box[3] - y0) // step), -(-(self.box[2] - x0) // step)
        self._coarse = rows, columns
        self._to_person = np.zeros(self._coarse, np.float32)  # grid points from each to the person
        if person is not None:
            whole = np.pad(person, ((0, rows * step - person.shape[0]), (0, columns * step - person.shape[1])))
            there = whole.reshape(rows, step, columns, step).any(axis=(1, 3))
            self._to_person = cv2.distanceTransform((~there).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_3)

    def flow(self, target: Array) -> Flow | None:
        """Return where the pixels of a frame come from; None when nothing moves.

        Args:
            target: (N, 2) px, the vertices in the frame.
        """
        coarse, spans, patch, left, top = maps(
            self._source, self._in_box(target), self._triangles, self._fine, self._to_person, self.step,
            self._offset, self._size,
        )  # fmt: skip
        return Flow(coarse, spans, self.step, patch, left, top) if spans.any() else None

    def _in_box(self, points: Array) -> Array:
        return (points - self._corner).astype(np.float32)

    def paint(
        self, person: Image, stack: Stack, target: Array, flow: Flow, out: Image, opacity: Image | None, *, lids: bool
    ) -> None:
        """Draw the moved person into a frame, in place.

        Skin which is pressed together where the head turns away, and the line of a shut lid, look like stairs when they
        are drawn pixel by pixel: they are drawn on a finer grid and averaged.

        Args:
            person: (box height, box width, 4) uint8, the person in the photo.
            stack: what is behind.
            target: (N, 2) px, the vertices in the frame.
            flow: what :meth:`flow` returned for them.
            out: (box height, box width, 3) the part of the frame in ``box``.
            opacity: (box height, box width) of that, where nothing is behind.
            lids: whether the lids are drawn finely, too.
        """
        alpha = np.empty((0, 0), np.uint8) if opacity is None else opacity
        lay(person, stack, flow, out, alpha)
        at = self._in_box(target)
        drawn_finer = self._lid_mask if lids and self._lid_fine > 1 else self._none
        index, left, top = reached(at, self._triangles, self._per_area, PRESSED, drawn_finer, self._size)
        if index.size:
            many = max(FINE, self._lid_fine) if lids else FINE
            lay_finer(
                person, stack, flow, at - np.array([left, top], np.float32), self._source - at, self._triangles, index,
                left, top, many, out, alpha,
            )  # fmt: skip
