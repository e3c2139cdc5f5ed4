"""Measures how loud a recording is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from portrait_anim.audio.kept import pieces
from portrait_anim.config import SAMPLE_RATE, WINDOW_LENGTH

QUIET_DBFS = -50.0  # quieter recordings are amplified
NOTHING_DBFS = -85.0  # quieter ones are not: there is nothing in them (the noise of the last of 16 bits is at -92)
LOUD_S = 0.5  # a recording is as loud as its loudest half second (of 25 ms frames, wherever they are) is at least
LOUD_SHARE = 0.05  # or this share of it, where that is shorter


def loud_dbfs(waveform: npt.NDArray[np.float32]) -> float:
    """Return the level (RMS, dBFS) that the loudest frames of a sound (N,) at 16 kHz reach."""
    n_frames = len(waveform) // WINDOW_LENGTH
    if n_frames == 0:
        return -float("inf")
    whole = pieces(waveform[: n_frames * WINDOW_LENGTH])
    rms = np.concatenate([piece.reshape(-1, WINDOW_LENGTH).std(axis=1) for piece in whole])
    count = max(1, min(round(LOUD_S * SAMPLE_RATE / WINDOW_LENGTH), round(LOUD_SHARE * n_frames)))
    return float(20 * np.log10(max(float(np.partition(rms, -count)[-count]), 1e-12)))
