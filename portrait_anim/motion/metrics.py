"""Measures of mouth motion against the real speaker's, as usual in published work on talking faces."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]

MAX_LAG = 8  # frames searched for the best offset


def correlation(a: Array, b: Array) -> float:
    """Pearson's r of two (T,) curves; 0 where one of them does not move."""
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return 0.0 if norm <= 1e-9 else float((a * b).sum()) / norm  # NaN stays NaN


def lagged_correlation(made: Array, real: Array, lag: int) -> float:
    """Pearson's r of ``made[t]`` with ``real[t + lag]``, both (T,)."""
    at = np.arange(len(made)) + lag
    inside = (at >= 0) & (at < len(real))
    return correlation(made[inside], real[at[inside]])


def best_offset(made: Array, real: Array, max_lag: int = MAX_LAG) -> tuple[float, int]:
    """Return the highest lagged correlation and its lag in frames (+: the real picture is later)."""
    lags = range(-max_lag, max_lag + 1)
    scores = [lagged_correlation(made, real, lag) for lag in lags]
    best = int(np.argmax(scores))
    return scores[best], lags[best]


def amplitude(made: Array, real: Array) -> float:
    """Return the standard deviation of a made curve (T,) over the real one's."""
    return float(made.std() / max(float(real.std()), 1e-9))


def closures(made: Array, peaks: npt.NDArray[np.bool_], share: float = 0.15, before: int = 3, after: int = 2) -> float:
    """Return the share of the sounds /p b m/ (bilabials) at which a mouth closes.

    Args:
        made: (T,) aperture.
        peaks: (T,) True where the sound has /p b m/.
        share: closed means below this share of the clip's range.
        before: frames before a peak that count.
        after: frames after a peak that count.

    Returns:
        0..1, or NaN when there is no peak.
    """
    limit = made.min() + share * (np.percentile(made, 98) - made.min())
    starts = np.flatnonzero(peaks & ~np.roll(peaks, 1))
    hits = [made[max(0, i - before) : i + after + 1].min() <= limit for i in starts]
    return float(np.mean(hits)) if hits else float("nan")


def leak(aspect: Array, limit: float = 0.25) -> float:
    """Return the share of frames whose mouth aspect ratio (T,) exceeds ``limit``: KeySync's LipLeak.

    To be measured at sound without a voice.
    """
    return float((aspect > limit).mean())


def opening_p95(made: Array) -> float:
    """Return the 95th percentile of the opening (T,) above rest, IOD; 0 when the lips never open."""
    return max(0.0, float(np.percentile(made, 95)))


def jitter(made: Array, real: Array) -> float:
    """Return the mean absolute second difference of a curve (T,) over the real one's; above 1 it jitters more."""
    return float(np.abs(np.diff(made, 2)).mean() / max(float(np.abs(np.diff(real, 2)).mean()), 1e-9))
