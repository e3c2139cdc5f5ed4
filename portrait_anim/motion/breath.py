"""Breathing: how far shoulders and chest have risen."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from portrait_anim.config import FPS

Array = npt.NDArray[np.float32]

DEPTH = 0.03  # IOD by which they rise; about 3 mm, as in quiet breathing through clothes
PERIOD_S = (3.6, 4.8)  # s, a breath of people who sit: 12 to 17 a minute
IN_SHARE = 0.4  # of a breath in which the chest rises
WANDERS = 0.12  # of a breath by which it comes early or late, slowly
WANDERS_S = 23.0  # s, over which it does so


def breathing(frames: npt.NDArray[np.integer], seed: int, head_motion: float) -> Array:
    """Return how far shoulders and chest have risen (T,), IOD; 0 in the first frame of a film.

    Args:
        frames: (T,) numbers of the frames, at 25 frames/s.
        seed: of the period.
        head_motion: 0 (perfectly still) to 2; more than 1 does not deepen it.
    """
    period_s = np.random.default_rng((seed, 0xB4EA)).uniform(*PERIOD_S)
    time_s = np.asarray(frames, np.float64) / FPS
    done = (time_s / period_s + WANDERS * np.sin(2 * np.pi * time_s / WANDERS_S)) % 1.0
    phase = np.where(done < IN_SHARE, done / IN_SHARE, 1 + (done - IN_SHARE) / (1 - IN_SHARE)) * np.pi
    return np.asarray(DEPTH * min(head_motion, 1.0) * (1 - np.cos(phase)) / 2, np.float32)
