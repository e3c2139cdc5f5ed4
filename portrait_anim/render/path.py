"""The cheapest way through a strip of a picture, for lines that are there but not where the mesh has them."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt


@numba.njit(cache=True, nogil=True)
def cheapest_path(cost: npt.NDArray[np.float64], bend: float) -> npt.NDArray[np.int64]:
    """Return the row in each column (C,) of the cheapest path from left to right, by dynamic programming.

    Args:
        cost: (R, C) of each place.
        bend: cost of a step to the next row; a path takes one at most in a column.
    """
    rows, columns = cost.shape
    total = cost.copy()
    steps = np.zeros((rows, columns), np.int64)
    for column in range(1, columns):
        for row in range(rows):
            best, step = np.inf, 0
            for way in (-1, 0, 1):
                if 0 <= row + way < rows:
                    value = total[row + way, column - 1] + (bend if way else 0.0)
                    if value < best:
                        best, step = value, way
            total[row, column] += best
            steps[row, column] = step
    path = np.empty(columns, np.int64)
    path[columns - 1] = total[:, columns - 1].argmin()
    for column in range(columns - 1, 0, -1):
        path[column - 1] = path[column] + steps[path[column], column]
    return path
