"""Samples as agents' frameworks carry them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FULL = 32767.0  # of 16-bit samples


def as_bytes(samples: npt.NDArray[np.float32]) -> bytes:
    """Return (N,) samples of full scale 1 as 16-bit ones."""
    return bytes(np.rint(np.clip(samples, -1, 1) * FULL).astype("<i2").data)
