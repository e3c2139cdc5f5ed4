"""How wide a voice opens the mouth beside what it says: loud passages wider than quiet ones, and as the user wants it.

The nets hear a recording at one level and give everything said the opening of ordinary speech. People open wider when
they shout or sing out (Schulman 1989, J. Acoust. Soc. Am. 85: about half as wide again in loud speech). What is loud is
judged against the recording's own voice, so that a quiet recording is no mumbling.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d

from portrait_anim.config import FPS, SAMPLES_PER_FRAME

Array = npt.NDArray[np.float32]

PASSAGE_S = 0.8  # Gaussian deviation: louder syllables are not meant, louder passages are
PER_DB = 0.02  # share that the mouth opens wider for each decibel
LEAST, MOST = 0.8, 1.35  # share of the ordinary opening
HEARD_DBFS = -70.0  # what is quieter has no loudness
OPEN = 0.5  # opening of the voice gate from which on a frame counts

MUMBLED, OVERDONE = 0.25, 1.6  # share of the opening at articulation 0 and 2


def loudness_gain(waveform: Array, gate: Array) -> Array:
    """Return (T,) by how much the mouth opens wider or less wide in louder and quieter passages.

    Args:
        waveform: (N,) at 16 kHz, as recorded.
        gate: (T,) 0..1, whether somebody speaks or sings.
    """
    n_frames = len(gate)
    samples = waveform[: n_frames * SAMPLES_PER_FRAME]
    power = np.zeros(n_frames)
    whole = len(samples) // SAMPLES_PER_FRAME
    rows = samples[: whole * SAMPLES_PER_FRAME].reshape(whole, SAMPLES_PER_FRAME)
    power[:whole] = np.einsum("ij,ij->i", rows, rows, dtype=np.float64) / SAMPLES_PER_FRAME
    spoken = (gate > OPEN) & (power > 10 ** (HEARD_DBFS / 10))
    if not spoken.any():
        return np.ones(n_frames, np.float32)
    spread = PASSAGE_S * FPS
    heard = gaussian_filter1d(np.where(spoken, power, 0), spread, mode="constant")
    count = gaussian_filter1d(spoken.astype(float), spread, mode="constant")
    passage = 10 * np.log10(np.maximum(heard, 1e-12) / np.maximum(count, 1e-6) + 1e-12)
    usual = float(np.median(passage[spoken]))
    return np.asarray(np.clip(1 + PER_DB * (passage - usual), LEAST, MOST), np.float32)


def articulation_gain(articulation: float) -> float:
    """Return by how much the mouth opens wider for an articulation of 0 (mumbling) over 1 (as the voice asks) to 2."""
    if articulation <= 1:
        return MUMBLED + (1 - MUMBLED) * articulation
    return 1 + (OVERDONE - 1) * (articulation - 1)
