"""Draws triangles into displacement maps; compiled loops. See :mod:`portrait_anim.render.warp` for the convention."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Whole = npt.NDArray[np.int32]

STILL_PX = 0.01  # px; smaller motion counts as none
FLAT_PX2 = 1e-9  # px^2, twice the area below which a triangle is not drawn
ROUNDING_PX = 1e-4  # px by which a triangle's sides reach outwards, so that rounding leaves no gaps between two
AROUND_PX = 2.0  # px round a triangle that :func:`reached` takes in
ROUNDING = 1e-4  # of a triangle's weights, likewise


@numba.njit(cache=True, nogil=True)
def _moves(move: Array, vertex: int) -> bool:
    moves: bool = abs(move[vertex, 0]) > STILL_PX or abs(move[vertex, 1]) > STILL_PX
    return moves


@numba.njit(cache=True, nogil=True)
def draw(target: Array, move: Array, triangles: npt.NDArray[np.int32], out: Array) -> None:
    """Draw the triangles that move into a displacement map, in place.

    Args:
        target: (N, 2) where the vertices are in the frame, in the map's own pixels.
        move: (N, 2) px, what has to be added to that to get where they are in the photo.
        triangles: (M, 3) vertex indices in drawing order.
        out: (H, W, 2) map to draw into.
    """
    height, width = out.shape[0], out.shape[1]
    for m in range(triangles.shape[0]):
        a, b, c = triangles[m, 0], triangles[m, 1], triangles[m, 2]
        if not (_moves(move, a) or _moves(move, b) or _moves(move, c)):
            continue
        ax, ay, bx, by, cx, cy = target[a, 0], target[a, 1], target[b, 0], target[b, 1], target[c, 0], target[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if abs(area) < FLAT_PX2:
            continue
        # what a step to the right adds to the weights of b and c, and to the displacement
        right_b, right_c = (cy - ay) / area, -(by - ay) / area
        right_x = right_b * (move[b, 0] - move[a, 0]) + right_c * (move[c, 0] - move[a, 0])
        right_y = right_b * (move[b, 1] - move[a, 1]) + right_c * (move[c, 1] - move[a, 1])
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
            wb = ((left - ax) * (cy - ay) - (y - ay) * (cx - ax)) / area
            wc = ((bx - ax) * (y - ay) - (by - ay) * (left - ax)) / area
            move_x = move[a, 0] + wb * (move[b, 0] - move[a, 0]) + wc * (move[c, 0] - move[a, 0])
            move_y = move[a, 1] + wb * (move[b, 1] - move[a, 1]) + wc * (move[c, 1] - move[a, 1])
            for x in range(left, right + 1):
                out[y, x, 0] = move_x + (x - left) * right_x
                out[y, x, 1] = move_y + (x - left) * right_y


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
def moving_spans(move: Array, to_person: Array, step: int) -> npt.NDArray[np.int32]:
    """Return (H, 2) between which columns of each row of a displacement map the person may be seen moved.

    The first column and the one after the last; equal where it is not.

    Args:
        move: (H, W, 2) px, on a grid of ``step`` px.
        to_person: (H, W) grid points from each to the person in the photo.
        step: px.
    """
    height, width = to_person.shape
    most = np.float32(0)
    for row in range(height):
        for column in range(width):
            most = max(most, abs(move[row, column, 0]), abs(move[row, column, 1]))
    reach = np.float32(1.5) * most / step + 1  # sideways and up at once is 1.42 times as far
    out = np.zeros((height, 2), np.int32)
    for row in range(height):
        first, end = width, 0
        for column in range(width):
            if _seen(move, to_person, row, column, reach):
                first = column
                break
        for column in range(width - 1, first - 1, -1):
            if _seen(move, to_person, row, column, reach):
                end = column + 1
                break
        if end > first:
            out[row, 0], out[row, 1] = first, end
    return out


@numba.njit(cache=True, nogil=True)
def _seen(move: Array, to_person: Array, row: int, column: int, reach: np.floating) -> bool:
    moves = abs(move[row, column, 0]) > STILL_PX or abs(move[row, column, 1]) > STILL_PX
    seen: bool = moves and to_person[row, column] <= reach
    return seen


@numba.njit(cache=True, nogil=True)
def maps(
    source: Array, target: Array, triangles: Whole, fine: Whole, to_person: Array, step: int, offset: Array, size: Whole
) -> tuple[Array, Whole, Array, int, int]:
    """Return where the pixels of a frame come from.

    Args:
        source: (N, 2) px from the box's corner, the vertices in the photo.
        target: (N, 2) likewise, in the frame.
        triangles: (M, 3) vertex indices in drawing order.
        fine: (K, 3) likewise, those that a coarse map would blur.
        to_person: (R, C) grid points from each to the person in the photo.
        step: px between grid points.
        offset: px of the first point.
        size: (width, height) px of the box.

    Returns:
        (R, C, 2) px the map on the grid; (R, 2) its moving spans; (h, w, 2) px the map pixel by pixel round ``fine``,
        NaN where none of these triangles is; the column and row where that begins.
    """
    n = len(source)
    move, on_grid = np.empty((n, 2), np.float32), np.empty((n, 2), np.float32)
    most = np.float32(0)
    for i in range(n):
        for k in range(2):
            move[i, k] = source[i, k] - target[i, k]
            on_grid[i, k] = (target[i, k] - offset[k]) / step
            most = max(most, abs(move[i, k]))
    coarse = np.zeros((*to_person.shape, 2), np.float32)
    patch, left, top = np.empty((0, 0, 2), np.float32), 0, 0
    if most <= STILL_PX:
        return coarse, np.zeros((len(coarse), 2), np.int32), patch, left, top
    draw(on_grid, move, triangles, coarse)
    spans = moving_spans(coarse, to_person, step)
    if step > 1 and len(fine):
        low_x, low_y, high_x, high_y = np.inf, np.inf, -np.inf, -np.inf
        for m in range(len(fine)):
            for k in range(3):
                x, y = target[fine[m, k], 0], target[fine[m, k], 1]
                low_x, low_y, high_x, high_y = min(low_x, x), min(low_y, y), max(high_x, x), max(high_y, y)
        left, top = max(0, int(np.floor(low_x))), max(0, int(np.floor(low_y)))
        right, bottom = min(size[0], int(np.ceil(high_x)) + 2), min(size[1], int(np.ceil(high_y)) + 2)
        if right > left and bottom > top:
            patch = np.full((bottom - top, right - left, 2), np.nan, np.float32)
            draw(target - np.array([left, top], np.float32), move, fine, patch)
    return coarse, spans, patch, left, top


@numba.njit(cache=True, nogil=True)
def reached(
    at: Array, triangles: Whole, per_area: npt.NDArray[np.floating], least: float, always: npt.NDArray[np.bool_],
    size: Whole,
) -> tuple[Whole, int, int]:  # fmt: skip
    """Return which pixels are within ``AROUND_PX`` of the triangles that keep less than a share of their area.

    Args:
        at: (N, 2) px from the box's corner, where the vertices are.
        triangles: (M, 3) vertex indices.
        per_area: (M,) 1 over twice the signed area that each had; NaN: it is not asked.
        least: the share.
        always: (M,) triangles that are taken anyway.
        size: (width, height) px of the box.

    Returns:
        (h, w) int32 the pixels' numbers, row by row, -1 for the others, and the column and row where that begins.
    """
    chosen = np.zeros(len(triangles), np.bool_)
    left, top, right, bottom = size[0], size[1], 0, 0
    for m in range(len(triangles)):
        a, b, c = triangles[m, 0], triangles[m, 1], triangles[m, 2]
        ax, ay, bx, by, cx, cy = at[a, 0], at[a, 1], at[b, 0], at[b, 1], at[c, 0], at[c, 1]
        if always[m] or ((bx - ax) * (cy - ay) - (by - ay) * (cx - ax)) * per_area[m] < least:
            chosen[m] = True
            left, top = min(left, int(np.floor(min(ax, bx, cx))) - 1), min(top, int(np.floor(min(ay, by, cy))) - 1)
            right = max(right, int(np.ceil(max(ax, bx, cx))) + 2)
            bottom = max(bottom, int(np.ceil(max(ay, by, cy))) + 2)
    left, top, right, bottom = max(left, 0), max(top, 0), min(right, size[0]), min(bottom, size[1])
    if right <= left or bottom <= top:
        return np.empty((0, 0), np.int32), 0, 0
    index = np.full((bottom - top, right - left), -1, np.int32)
    for m in range(len(triangles)):
        if chosen[m]:
            _touch(at, triangles[m, 0], triangles[m, 1], triangles[m, 2], left, top, index)
    count = 0
    for row in range(index.shape[0]):
        for column in range(index.shape[1]):
            if index[row, column] == 0:
                index[row, column] = count
                count += 1
    return index, left, top


@numba.njit(cache=True, nogil=True)
def _touch(at: Array, a: int, b: int, c: int, left: int, top: int, index: Whole) -> None:
    """Set to 0 what is within ``AROUND_PX`` of a triangle."""
    x = (at[a, 0] - left, at[b, 0] - left, at[c, 0] - left)
    y = (at[a, 1] - top, at[b, 1] - top, at[c, 1] - top)
    turn = 1.0 if (x[1] - x[0]) * (y[2] - y[0]) - (y[1] - y[0]) * (x[2] - x[0]) >= 0 else -1.0
    first, end = max(0, int(np.floor(min(x))) - 1), min(index.shape[1], int(np.ceil(max(x))) + 2)
    for row in range(max(0, int(np.floor(min(y))) - 1), min(index.shape[0], int(np.ceil(max(y))) + 2)):
        low, high = float(first), float(end - 1)
        for k in range(3):  # the side from corner k on, moved outwards
            side_x, side_y = x[(k + 1) % 3] - x[k], y[(k + 1) % 3] - y[k]
            # inside: turn * (side_x * (row - y) - side_y * (column - x)) >= -AROUND_PX * length
            rest = turn * side_x * (row - y[k]) + AROUND_PX * np.hypot(side_x, side_y)
            slope = turn * side_y
            if abs(slope) < FLAT_PX2:
                if rest < 0:
                    low, high = 1.0, 0.0
            elif slope > 0:
                high = min(high, x[k] + rest / slope)
            else:
                low = max(low, x[k] + rest / slope)
        for column in range(int(np.ceil(low)), int(np.floor(high)) + 1):
            index[row, column] = 0


def areas(corners: Array) -> Array:
    """Return twice the signed areas (M,) of triangles (M, 3, 2)."""
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return np.asarray(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])
