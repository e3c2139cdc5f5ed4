"""A microphone's sound on its way to a live face: what has piled up is left out where it is quiet.

A browser's clock and this machine's differ a little, and a connection that stood still delivers everything at once.
Both would make the face answer later and later.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from portrait_anim.live.engine import LiveFace

Array = npt.NDArray[np.float32]

QUIET = 0.004  # RMS, full scale 1: pieces that may be left out
TOO_MUCH_S = 0.28  # that waits: quiet pieces are left out
FAR_TOO_MUCH_S = 0.6  # loud ones too


class Ear:
    """Feeds a face.

    Attributes:
        left_out_s: sound that was left out.
    """

    def __init__(self) -> None:
        self.left_out_s = 0.0

    def hear(self, face: LiveFace, samples: Array, sample_rate: int) -> None:
        """Pass a piece on, or leave it out.

        Args:
            face: what hears it.
            samples: (N,) mono.
            sample_rate: Hz.
        """
        waits = face.numbers.queued_s
        quiet = float(np.sqrt(np.mean(np.square(samples)))) < QUIET
        if waits > FAR_TOO_MUCH_S or (waits > TOO_MUCH_S and quiet):
            self.left_out_s += len(samples) / sample_rate
        else:
            face.feed(samples, sample_rate)
