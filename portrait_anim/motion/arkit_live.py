"""ARKit's 61 values of a motion that comes frame by frame."""

from __future__ import annotations

import numpy as np

from portrait_anim.motion import arkit
from portrait_anim.motion.space import Motion, MotionSpace

SWEEPS = 6  # of the fit, from the frame before


class LiveValues:
    """Turns frames into values, each fitted from the one before it, which takes a tenth of the time.

    Args:
        space: of the frames' motion.
    """

    def __init__(self, space: MotionSpace) -> None:
        self._space, self._fit = space, arkit.ShapeFit(space.shapes)
        self._weights: arkit.Array | None = None

    def __call__(self, motion: Motion) -> dict[str, float]:
        """Return the values of a frame (T = 1), by the names of :data:`arkit.VALUES`."""
        moved = self._space.displacement(motion, slice(0, 1))
        first = self._weights is None
        self._weights = self._fit(moved, self._weights, arkit.SWEEPS if first else SWEEPS)
        values = arkit.values_of(self._weights, motion.blink[:1], motion.gaze[:1], motion.rotation[:1])
        return {name: float(np.asarray(value)[0]) for name, value in values.items()}
