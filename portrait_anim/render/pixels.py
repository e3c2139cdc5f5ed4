"""From a displacement map to the frame's pixels, in one pass: where each comes from, its colour, and what is behind it.

Compiled loops. The map is drawn on a coarse grid (:mod:`portrait_anim.render.warp`) and read here pixel by pixel, so no
map of all pixels is ever made, and only pixels that may move are looked at.

Convention:
    * Everything belongs to one box of the photo and is indexed [row, column]; maps go backwards, px, (x, y).
    * A person's pixel holds R, G, B times opacity, and the opacity (:mod:`portrait_anim.render.layers`).
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from portrait_anim.render.cubic import ACROSS, DOWN, PARTS, Number, address_of, taken
from portrait_anim.render.raster import draw_finer

Array = npt.NDArray[np.float32]
Image = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Whole = npt.NDArray[np.int32]

OPAQUE = 255 << 24  # a pixel's number from which on it is opaque


class Flow(NamedTuple):
    """Where the pixels of one frame come from.

    Attributes:
        coarse: (R, C, 2) px, displacements on the coarse grid.
        spans: (R, 2) int32: first point of each row of it that moves, and the one after the last; equal where none.
        step: px between its points, which lie in the middle of blocks of so many; beyond the last its value goes on.
        patch: (h, w, 2) px, displacements pixel by pixel where the grid is too coarse; NaN where it is not.
        left: column of its upper left pixel.
        top: row of that.
    """

    coarse: Array
    spans: Whole
    step: int
    patch: Array
    left: int
    top: int


class Stack(NamedTuple):
    """What a frame is laid together of, beside the person; all of the box's size, or empty where it is not used.

    Attributes:
        background: (H, W, 3) uint8; (0, 0, 3): nothing is behind the person, and frames are colours times opacity.
        free: (H, W) False where something stands in front.
    """

    background: Image
    free: Mask


@numba.njit(cache=True, nogil=True)
def seen_behind(opacity: Number, colour: Number) -> Number:
    """Return what an opacity 0..255 lets through of a colour behind it, rounded: everywhere alike, or layers differ."""
    return ((255 - int(opacity)) * int(colour) + 127) * 0x8081 >> 23  # divided by 255: exact up to 65535


@numba.njit(cache=True, nogil=True)
def _over(pixel: Number, red: int, green: int, blue: int) -> Number:
    """Return a person's pixel laid over a colour; the highest byte is any."""
    alpha = pixel >> 24
    red = min((pixel & 255) + seen_behind(alpha, red), 255)
    green = min((pixel >> 8 & 255) + seen_behind(alpha, green), 255)
    blue = min((pixel >> 16 & 255) + seen_behind(alpha, blue), 255)
    return red | green << 8 | blue << 16


@numba.njit(cache=True, nogil=True)
def lay(person: Image, stack: Stack, flow: Flow, out: Image, opacity: Image) -> None:
    """Draw the moved person over what is behind, in place, where it may have moved.

    Args:
        person: (H, W, 4) the person as in the photo.
        stack: what else there is.
        flow: where pixels come from.
        out: (H, W, 3) the frame's box.
        opacity: (H, W) of that, where nothing is behind the person; else (0, 0).
    """
    # looked up beforehand: in the loops each look-up of an array in a tuple would be counted
    coarse, spans, patch = flow.coarse, flow.spans, flow.patch
    background, free = stack
    behind = len(background) > 0
    step, n_rows, n_columns = flow.step, coarse.shape[0], coarse.shape[1]
    height, width = person.shape[0], person.shape[1]
    base, across, down = address_of(person), address_of(ACROSS), address_of(DOWN)
    line_x, line_y = np.empty(n_columns + 2, np.float32), np.empty(n_columns + 2, np.float32)
    from_x, from_y = np.empty((n_columns + 2) * step, np.int32), np.empty((n_columns + 2) * step, np.int32)
    one, half, parts = np.float32(1), np.float32(0.5), np.float32(PARTS)
    begin = step // 2 - step  # column that the first two values of a line begin at
    for row in range(height):
        upper, part = _between(row, step, n_rows)
        lower = min(upper + 1, n_rows - 1)
        # the points that move, those one row and one column further included
        first, end = n_columns, 0
        for near in range(max(upper - 1, 0), min(lower + 2, n_rows)):
            if spans[near, 1] > spans[near, 0]:
                first, end = min(first, spans[near, 0]), max(end, spans[near, 1])
        if end <= first:
            continue
        first, end = max(first - 1, 0), min(end + 1, n_columns)
        left, right = first * step, min(width, end * step)
        # where its pixels come from: between two rows of points, then between two points
        for i in range(first, min(end + 2, n_columns + 2)):
            point = min(max(i - 1, 0), n_columns - 1)
            line_x[i] = (one - part) * coarse[upper, point, 0] + part * coarse[lower, point, 0]
            line_y[i] = (one - part) * coarse[upper, point, 1] + part * coarse[lower, point, 1]
        y = np.float32(row)
        for s in range(step):
            along = np.float32((s + (0.5 if step % 2 == 0 else 0.0)) / step)
            for i in range(first, min(end + 1, n_columns + 1)):
                x = np.float32(begin + i * step + s)
                move_x = line_x[i] + along * (line_x[i + 1] - line_x[i])
                move_y = line_y[i] + along * (line_y[i + 1] - line_y[i])
                from_x[i * step + s] = np.int32(np.floor((x + move_x) * parts + half))
                from_y[i * step + s] = np.int32(np.floor((y + move_y) * parts + half))
        if flow.top <= row < flow.top + patch.shape[0]:
            for column in range(max(left, flow.left), min(right, flow.left + patch.shape[1])):
                move_x = patch[row - flow.top, column - flow.left, 0]
                move_y = patch[row - flow.top, column - flow.left, 1]
                if move_x == move_x:
                    from_x[column - begin] = int(np.floor((np.float32(column) + move_x) * parts + half))
                    from_y[column - begin] = int(np.floor((y + move_y) * parts + half))
        for column in range(left, right):
            if len(free) and not free[row, column]:
                continue
            at_x, at_y = from_x[column - begin], from_y[column - begin]
            pixel: Number = np.int64(taken(base, width, height, across, down, at_x, at_y))
            if behind and pixel < OPAQUE:
                pixel = _over(pixel, background[row, column, 0], background[row, column, 1], background[row, column, 2])
            elif not behind and len(opacity):
                opacity[row, column] = pixel >> 24
            for k in range(3):
                out[row, column, k] = pixel >> 8 * k & 255


@numba.njit(cache=True, nogil=True)
def lay_finer(
    person: Image, stack: Stack, flow: Flow, target: Array, move: Array, triangles: Whole, index: Whole, left: int,
    top: int, many: int, out: Image, opacity: Image,
) -> None:  # fmt: skip
    """Draw some pixels again, each as the mean of ``many`` x ``many`` finer ones, in place.

    Args:
        person: as in :func:`lay`.
        stack: likewise.
        flow: likewise.
        target: (N, 2) px from the first of these pixels, where the vertices are in the frame.
        move: (N, 2) px, what has to be added to that to get where they are in the photo.
        triangles: (M, 3) vertex indices in drawing order.
        index: (h, w) 0 or above: a pixel's number, counted row by row; -1: it stays.
        left: column of the box that ``index`` begins at.
        top: row.
        many: finer pixels in a pixel along x, and along y.
        out: as in :func:`lay`.
        opacity: likewise.
    """
    base, across, down = address_of(person), address_of(ACROSS), address_of(DOWN)
    background, free = stack
    height, width, behind = person.shape[0], person.shape[1], len(background) > 0
    count = many * many
    finer = np.empty((index.max() + 1, count, 2), np.float32)
    for row in range(index.shape[0]):
        for column in range(index.shape[1]):
            if index[row, column] >= 0:
                x, y = _displacement(flow, top + row, left + column)
                for s in range(count):
                    finer[index[row, column], s, 0], finer[index[row, column], s, 1] = x, y
    draw_finer(target, move, triangles, index, many, finer)
    half, parts = np.float32(0.5), np.float32(PARTS)
    for row in range(index.shape[0]):
        for column in range(index.shape[1]):
            number = index[row, column]
            if number < 0 or (len(free) and not free[top + row, left + column]):
                continue
            half_count: Number = count // 2  # half of what the sums are divided by
            red, green, blue, alpha = half_count, half_count, half_count, half_count
            for s in range(count):
                x = np.float32(left + column + (s % many + 0.5) / many - 0.5) + finer[number, s, 0]
                y = np.float32(top + row + (s // many + 0.5) / many - 0.5) + finer[number, s, 1]
                at_x, at_y = int(np.floor(x * parts + half)), int(np.floor(y * parts + half))
                pixel = np.int64(taken(base, width, height, across, down, at_x, at_y))
                red += pixel & 255
                green += (pixel >> 8) & 255
                blue += (pixel >> 16) & 255
                alpha += (pixel >> 24) & 255
            mean = red // count | (green // count) << 8 | (blue // count) << 16 | (alpha // count) << 24
            i, j = top + row, left + column
            if behind and mean < OPAQUE:
                mean = _over(mean, background[i, j, 0], background[i, j, 1], background[i, j, 2])
            elif not behind and len(opacity):
                opacity[i, j] = mean >> 24
            for k in range(3):
                out[i, j, k] = mean >> 8 * k & 255


@numba.njit(cache=True, nogil=True)
def _between(at: int, step: int, n_points: int) -> tuple[int, float]:
    """Return which point of the grid lies before a row or column of pixels, and its way to the next one, 0..1."""
    place = min(max((at + 0.5) / step - 0.5, 0.0), n_points - 1.0)
    before = int(place)
    share: float = np.float32(place - before)  # type: ignore[assignment]
    return before, share


@numba.njit(cache=True, nogil=True)
def _displacement(flow: Flow, row: int, column: int) -> tuple[float, float]:
    """Return the displacement (x, y) px of one pixel."""
    i, j = row - flow.top, column - flow.left
    if 0 <= i < flow.patch.shape[0] and 0 <= j < flow.patch.shape[1] and flow.patch[i, j, 0] == flow.patch[i, j, 0]:
        return flow.patch[i, j, 0], flow.patch[i, j, 1]
    one = np.float32(1)
    upper, a = _between(row, flow.step, flow.coarse.shape[0])
    before, b = _between(column, flow.step, flow.coarse.shape[1])
    lower, after = min(upper + 1, flow.coarse.shape[0] - 1), min(before + 1, flow.coarse.shape[1] - 1)
    x = (one - b) * ((one - a) * flow.coarse[upper, before, 0] + a * flow.coarse[lower, before, 0])
    x += b * ((one - a) * flow.coarse[upper, after, 0] + a * flow.coarse[lower, after, 0])
    y = (one - b) * ((one - a) * flow.coarse[upper, before, 1] + a * flow.coarse[lower, before, 1])
    y += b * ((one - a) * flow.coarse[upper, after, 1] + a * flow.coarse[lower, after, 1])
    return x, y
