"""The One Euro filter: still where a signal rests, without lag where it moves.

Casiez, Roussel, Vogel 2012, "1 Euro Filter: A Simple Speed-based Low-pass Filter for Noisy Input in Interactive
Systems": a low-pass filter of first order whose cutoff rises with the signal's speed.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float64]


class OneEuro:
    """Filters one signal, an array of any shape; its parts share one cutoff, so that a shape is not bent.

    Args:
        min_cutoff_hz: of a signal at rest.
        beta: Hz by which the cutoff rises for each unit a second of speed (root mean square over the array).
        speed_cutoff_hz: of the filter on the speed itself.
    """

    def __init__(self, min_cutoff_hz: float, beta: float, speed_cutoff_hz: float = 1.0) -> None:
        self._min_hz, self._beta, self._speed_hz = min_cutoff_hz, beta, speed_cutoff_hz
        self._time_s = 0.0
        self._value: Float | None = None
        self._speed: Float | None = None

    def push(self, value: npt.NDArray[np.floating], time_s: float) -> Float:
        """Return the filtered value; the first one as it is.

        Args:
            value: of the same shape each time.
            time_s: later than before.
        """
        now = np.asarray(value, np.float64)
        before, step_s = self._value, time_s - self._time_s
        if before is None or self._speed is None:
            self._value, self._speed, self._time_s = now, np.zeros_like(now), time_s
            return now
        if step_s <= 0:
            return before
        self._speed = self._speed + _share(self._speed_hz, step_s) * ((now - before) / step_s - self._speed)
        cutoff = self._min_hz + self._beta * float(np.sqrt(np.mean(self._speed**2)))
        self._value = before + _share(cutoff, step_s) * (now - before)
        self._time_s = time_s
        return self._value


def _share(cutoff_hz: float, step_s: float) -> float:
    """Return how much of the way a low-pass filter of first order goes in a step."""
    reach = 2 * np.pi * cutoff_hz * step_s
    return float(reach / (1 + reach))
