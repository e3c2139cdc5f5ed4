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


def air(frames: npt.NDArray[np.integer], seed: int, loop: int | None = None) -> npt.NDArray[np.float64]:
    """Return how much air is in (T,), 0..1; none in the first frame of a film.

    Args:
        frames: (T,) numbers of the frames, at 25 frames/s.
        seed: of the period.
        loop: frames after which it comes round; None: it does not.
    """
    period = float(np.random.default_rng((seed, 0xB4EA)).uniform(*PERIOD_S)) * FPS
    early = WANDERS * np.sin(2 * np.pi * np.asarray(frames) / FPS / WANDERS_S)
    if loop is not None:
        period, early = loop / max(round(loop / period), 1), np.zeros(len(frames))
    done = (np.asarray(frames) / period + early) % 1.0
    phase = np.where(done < IN_SHARE, done / IN_SHARE, 1 + (done - IN_SHARE) / (1 - IN_SHARE)) * np.pi
    return np.asarray((1 - np.cos(phase)) / 2, np.float64)


def breathing(frames: npt.NDArray[np.integer], seed: int, head_motion: float) -> Array:
    """Return how far shoulders and chest have risen (T,), IOD.

    Args:
        frames: (T,) numbers of the frames, at 25 frames/s.
        seed: of the period.
        head_motion: 0 (perfectly still) to 2; more than 1 does not deepen it.
    """
    return np.asarray(DEPTH * min(head_motion, 1.0) * air(frames, seed), np.float32)
