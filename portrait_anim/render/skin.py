"""Folds of the skin that come and go with the motion: beside nose and mouth, at chin, eyes, brows and forehead.

A warp moves the photo's skin but makes no folds, so they are shaded into the photo before it is warped. Each fold is a
curve (:mod:`portrait_anim.render.folds`), which is moved onto the photo's own crease where there is one, so that no
fold is seen twice (:mod:`portrait_anim.render.crease`). Where nothing has moved the photo stays as it is.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from portrait_anim.render.crease import fold_field
from portrait_anim.render.folds import FOLDS, LEAST, activation, drive_weights
from portrait_anim.render.skin_look import read_skin
from portrait_anim.system.opencv import cv2

Array = npt.NDArray[np.float32]
Float = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]

GRID_IOD = 100  # grid points an IOD at most; smaller faces are shaded pixel by pixel
LEAST_PX = 8  # px, side of the shaded part at least
SEEN = np.float32(1e-3)  # log brightness; pixels that would change less stay as they are


class Skin:
    """The folds of one photo's face; safe to share between threads.

    Args:
        pixels: (H, W, 3) the photo.
        landmarks: (478, 3) px.
        iod_px: px an IOD.
        part: first column and row of the part of the photo that is shaded; it holds the whole face.
    """

    def __init__(self, pixels: Image, landmarks: Array, iod_px: float, part: tuple[int, int] = (0, 0)) -> None:
        height, width = pixels.shape[:2]
        xy = landmarks[:, :2].astype(np.float64)
        # the part of the photo round the face, and the grid on it
        low, high = np.floor(xy.min(0)).astype(int), np.ceil(xy.max(0)).astype(int) + 1
        x0, y0 = np.clip(low, 0, [width - LEAST_PX, height - LEAST_PX])
        x1, y1 = np.clip(high, LEAST_PX, [width, height])
        self._step = max(1, round(iod_px / GRID_IOD))
        self._corner = int(x0) - part[0], int(y0) - part[1]
        patch = pixels[y0:y1, x0:x1]
        size = -(-patch.shape[1] // self._step), -(-patch.shape[0] // self._step)
        self._shape = size[1], size[0]
        unit = iod_px / self._step  # grid points an IOD
        small = cv2.resize(patch, size, interpolation=cv2.INTER_AREA) if self._step > 1 else patch
        # landmarks on the grid, whose points lie in the middle of blocks of step x step px
        points = ((xy - [x0, y0] + 0.5) / self._step - 0.5).astype(np.float64)
        look = read_skin(small, landmarks, points, unit)
        # each fold's field, and what drives it
        weights, self._fields = [], []
        for fold in FOLDS:
            for side in (1,) if fold.both else (1, -1):
                made = fold_field(fold, side, look, points)
                if made is not None:
                    self._fields.append(made)
                    weights.append(drive_weights(fold, side))
        self._weights = np.array(weights, np.float32).reshape(-1, 2 * len(landmarks))  # (F, 478 * 2)

    def shade(self, pixels: Image, displacement: Array) -> Image:
        """Return (h, w, 3) pixels with the folds of a displacement (478, 3) IOD; the same array if it has none."""
        amounts = activation(self._weights @ displacement[:, :2].ravel())
        active = np.flatnonzero(np.abs(amounts) > LEAST)
        if not len(active):
            return pixels
        total = np.zeros((*self._shape, 3), np.float32)
        for k in active:
            top, left, deepen, fade = self._fields[k]
            _add(total, deepen if amounts[k] > 0 else fade, abs(float(amounts[k])), top, left)
        out = pixels.copy()
        _apply(out, total, *self._corner, self._step)
        return out


@numba.njit(cache=True, nogil=True)
def _add(total: Array, field: Array, amount: float, top: int, left: int) -> None:
    """Add ``amount`` times a field (h, w, 3) to a larger one, from row ``top`` and column ``left`` on, in place."""
    for row in range(field.shape[0]):
        for column in range(field.shape[1]):
            for k in range(3):
                total[top + row, left + column, k] += np.float32(amount) * field[row, column, k]


@numba.njit(cache=True, nogil=True)
def _apply(pixels: Image, total: Array, x0: int, y0: int, step: int) -> None:
    """Change the brightness of pixels in place, linear between grid points.

    The factor for a value v is 1 + v above 0 and 1 / (1 - v) below, close to exp(v) for small ones. For large
    negative v it stays well above exp(v), so that folds which lie over each other do not turn black.

    Args:
        pixels: (H, W, 3), changed.
        total: (h, w, 3) log brightness on the grid.
        x0: first column that the grid covers.
        y0: first row.
        step: px between grid points.
    """
    height, width = total.shape[0], total.shape[1]
    one, half = np.float32(1), np.float32(0.5)
    last_column = min(width * step, pixels.shape[1] - x0)
    for row in range(min(height * step, pixels.shape[0] - y0)):
        y = min(max((row + half) / step - half, np.float32(0)), np.float32(height - 1))
        i = min(int(y), height - 2)
        a = np.float32(y - i)
        for j in range(width - 1):
            most = np.float32(0)  # between the four points round it no value is larger
            for k in range(3):
                upper = max(abs(total[i, j, k]), abs(total[i, j + 1, k]))
                most = max(most, upper, max(abs(total[i + 1, j, k]), abs(total[i + 1, j + 1, k])))
            if most <= SEEN:
                continue
            # the columns that lie between points j and j + 1
            first = 0 if j == 0 else j * step + step // 2
            end = last_column if j == width - 2 else min(last_column, (j + 1) * step + step // 2)
            for column in range(first, end):
                x = min(max((column + half) / step - half, np.float32(0)), np.float32(width - 1))
                b = np.float32(x - j)
                for k in range(3):
                    value = (one - a) * ((one - b) * total[i, j, k] + b * total[i, j + 1, k]) + a * (
                        (one - b) * total[i + 1, j, k] + b * total[i + 1, j + 1, k]
                    )
                    if abs(value) > SEEN:
                        gain = one + value if value > 0 else one / (one - value)
                        shaded = pixels[y0 + row, x0 + column, k] * gain + half
                        pixels[y0 + row, x0 + column, k] = np.uint8(min(shaded, np.float32(255)))
