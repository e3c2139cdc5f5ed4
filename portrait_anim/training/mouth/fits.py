"""Estimates audio offsets of clips and amplitudes of people with a trained mouth net."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from portrait_anim.motion.metrics import MAX_LAG, lagged_correlation
from portrait_anim.motion.model import MouthNet
from portrait_anim.motion.space import MotionSpace
from portrait_anim.training.data.clips import Alignment
from portrait_anim.training.data.prepare import Clip

MIN_R = 0.3  # least correlation at the best offset; otherwise the index's offset is kept
MAX_CHANGE = 1.5  # frames, greatest difference between a new offset and the index's; likewise
GAIN_RANGE = (0.5, 2.0)  # least and greatest amplitude


def fine_offset(made: npt.NDArray[np.floating], real: npt.NDArray[np.floating]) -> tuple[float, float]:
    """Return the best correlation of two (T,) curves over whole-frame offsets and the offset in fractions of a frame.

    The fraction is where the parabola through the best offset and its two neighbours has its maximum. Above 0 the real
    picture is later.
    """
    scores = np.array([lagged_correlation(made, real, lag) for lag in range(-MAX_LAG, MAX_LAG + 1)])
    best = int(scores.argmax())
    fraction = 0.0
    if 0 < best < len(scores) - 1:
        before, here, after = scores[best - 1 : best + 2]
        bend = before - 2 * here + after
        if bend < -1e-9:
            fraction = float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5))
    return float(scores[best]), best - MAX_LAG + fraction


def estimate_fits(net: MouthNet, space: MotionSpace, clips: Sequence[Clip]) -> dict[str, Alignment]:
    """Return offset and amplitude of every clip, by id.

    The index's offset is kept where the net's motion hardly correlates with the clip's, or gives one far from it. An
    amplitude belongs to a person: the regression slope of the real opening on the net's over all of the person's clips,
    of which the square root is taken (halfway to 1 on a logarithmic scale).
    """
    lags: dict[str, float] = {}
    sums: dict[str, list[float]] = {}
    with torch.no_grad():
        for clip in clips:
            features = torch.from_numpy(clip.tensors["features"].astype(np.float32))[None]
            made = space.aperture(net(features)[0].T.cpu().numpy())
            real = space.aperture(space.encode(clip.tensors["displacement"].astype(np.float32)))
            given = clip.info.lag_frames
            score, lag = fine_offset(made, real)
            sure = score >= MIN_R and (given is None or abs(lag - given) <= MAX_CHANGE)
            lags[clip.info.id] = lag if sure else float(given or 0)
            shift = round(lags[clip.info.id])
            at = np.arange(len(made)) + shift
            inside = (at >= 0) & (at < len(real))
            a, b = made[inside] - made[inside].mean(), real[at[inside]] - real[at[inside]].mean()
            total = sums.setdefault(clip.info.person, [0.0, 0.0])
            total[0] += float((a * b).sum())
            total[1] += float((a * a).sum())
    low, high = GAIN_RANGE
    gains = {
        person: float(np.sqrt(np.clip(shared / max(own, 1e-9), low**2, high**2)))
        for person, (shared, own) in sums.items()
    }
    return {clip.info.id: Alignment(lags[clip.info.id], gains[clip.info.person]) for clip in clips}
