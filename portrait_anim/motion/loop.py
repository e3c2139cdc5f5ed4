"""A motion whose end goes over into its start, so that a film can be played again and again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from portrait_anim.motion.space import Motion

Array = npt.NDArray[np.float32]

OVER_S = 0.6  # before the end, in which the motion leaves its way for its start's
SPEED_S = 0.12  # over which its speed is measured, at both ends


def looped(motion: Motion) -> Motion:
    """Return a motion that comes round: what would be shown after the last frame is the first, at the same speed."""
    tracks: dict[str, Any] = {name: closed(track, motion.fps) for name, track in motion.tracks().items()}
    tracks["blink"] = np.clip(tracks["blink"], 0, 1)
    return replace(motion, **tracks)


def closed(track: Array, fps: float) -> Array:
    """Add to the end of a track (T, ...) the smooth cubic that ends in the difference to its start and its speed."""
    n_frames = len(track)
    over = min(round(OVER_S * fps), n_frames - 1)
    near = min(max(round(SPEED_S * fps), 1), n_frames - 1)
    if over < 1 or not track.size:
        return track
    speed, wanted = (track[-1] - track[-1 - near]) / near, (track[near] - track[0]) / near
    value = track[0] - (track[-1] + speed)  # a frame after the last one
    share = (np.arange(1, over + 1) / (over + 1)).reshape(-1, *([1] * (track.ndim - 1)))
    added = value * share**2 * (3 - 2 * share) + (wanted - speed) * (over + 1) * share**2 * (share - 1)
    out = track.copy()
    out[n_frames - over :] += added.astype(np.float32)
    return out
