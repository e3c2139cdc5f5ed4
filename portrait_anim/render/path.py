"""The cheapest path through a strip of a picture: finds a line in the photo that lies beside the mesh's own line."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt


@numba.njit(cache=True, nogil=True)
def cheapest_path(cost: npt.NDArray[np.float64], bend: float) -> npt.NDArray[np.int64]:
    """Return the row in each column (C,) of the cheapest path from left to right, by dynamic programming.

    Args:
        cost: (R, C) of each place.
        bend: extra cost of a step to a neighbouring row; from one column to the next a path changes by at most one row.
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
